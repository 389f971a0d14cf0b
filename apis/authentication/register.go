// Package authentication declares the kinds of authentication.k8s.io/v1. None of
// them is stored: TokenReview and SelfSubjectReview are questions, answered when
// they are created, and TokenRequest is a subresource of service accounts.
package authentication

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/defaulting"
	"github.com/skiff-project/skiff/apis/resource/rules"
)

// The lifetimes of tokens, in seconds.
const (
	defaultTokenSeconds int64 = 60 * 60
	minTokenSeconds     int64 = 10 * 60
	maxTokenSeconds     int64 = 1 << 32
)

// AddToScheme registers the kinds of authentication.k8s.io and their defaults.
func AddToScheme(s *runtime.Scheme) error {
	if err := resource.AddHub(s, authenticationv1.SchemeGroupVersion, authenticationv1.AddToScheme); err != nil {
		return err
	}
	s.AddTypeDefaultingFunc(&authenticationv1.TokenRequest{}, func(obj any) { SetDefaultsTokenRequest(obj.(*authenticationv1.TokenRequest)) })
	return nil
}

// Resources returns the rows of authentication.k8s.io.
func Resources() []resource.Resource {
	return []resource.Resource{
		resource.Define[authenticationv1.SelfSubjectReview, authenticationv1.SelfSubjectReview](resource.Definition[authenticationv1.SelfSubjectReview]{
			Names: names("SelfSubjectReview", "selfsubjectreviews"),
		}),
		resource.Define[authenticationv1.TokenReview, authenticationv1.TokenReview](resource.Definition[authenticationv1.TokenReview]{
			Names:    names("TokenReview", "tokenreviews"),
			Validate: ValidateTokenReview,
		}),
	}
}

func names(kind, plural string) resource.Names {
	return resource.Names{
		Kind:          authenticationv1.SchemeGroupVersion.WithKind(kind),
		Plural:        plural,
		ClusterScoped: true,
		NoStatus:      true,
		NoGeneration:  true,
		NotStored:     true,
		Verbs:         []string{"create"},
	}
}

// ValidateTokenReview returns what is wrong with a question about a token.
func ValidateTokenReview(_ context.Context, r *authenticationv1.TokenReview) field.ErrorList {
	if r.Spec.Token == "" {
		return field.ErrorList{field.Required(rules.Spec.Child("token"), "token is required for TokenReview in authentication")}
	}
	return nil
}

// SetDefaultsTokenRequest asks for a token of one hour.
func SetDefaultsTokenRequest(r *authenticationv1.TokenRequest) {
	defaulting.Pointer(&r.Spec.ExpirationSeconds, defaultTokenSeconds)
}

// ValidateTokenRequest returns what is wrong with a request for a token.
func ValidateTokenRequest(_ context.Context, r *authenticationv1.TokenRequest) field.ErrorList {
	var errs field.ErrorList
	at := rules.Spec.Child("expirationSeconds")
	switch seconds := r.Spec.ExpirationSeconds; {
	case seconds == nil:
		errs = append(errs, field.Required(at, ""))
	case *seconds < minTokenSeconds:
		errs = append(errs, field.Invalid(at, *seconds, "may not specify a duration less than 10 minutes"))
	case *seconds > maxTokenSeconds:
		errs = append(errs, field.Invalid(at, *seconds, "may not specify a duration larger than 2^32 seconds"))
	}
	if len(r.Spec.Attestations) > 0 {
		errs = append(errs, field.Forbidden(rules.Spec.Child("attestations"), "may only be requested for tokens bound to a webhook configuration"))
	}
	return errs
}
