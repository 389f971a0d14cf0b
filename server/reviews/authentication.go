package reviews

import (
	"context"
	"errors"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// errAudiences: an authenticator must say which audiences a token is good for.
var errAudiences = errors.New("token audiences do not match the requested ones")

// reviewToken answers TokenReview by authenticating a request made up for it.
func reviewToken(ctx context.Context, cfg Config, review *authenticationv1.TokenReview) error {
	fake, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	fake.Header.Set("Authorization", "Bearer "+review.Spec.Token)
	audiences := authenticator.Audiences(review.Spec.Audiences)
	if len(audiences) == 0 {
		audiences = cfg.APIAudiences
	}
	if len(audiences) > 0 {
		fake = fake.WithContext(authenticator.WithAudiences(ctx, audiences))
	}
	response, ok, err := cfg.Authenticator.AuthenticateRequest(fake)
	review.Status = authenticationv1.TokenReviewStatus{Authenticated: ok}
	if err != nil {
		review.Status.Error = err.Error()
	}
	if !ok || response == nil {
		return nil
	}
	if len(audiences) > 0 && len(audiences.Intersect(response.Audiences)) == 0 {
		review.Status = authenticationv1.TokenReviewStatus{Error: errAudiences.Error()}
		return nil
	}
	review.Status.User = userInfo(response.User)
	review.Status.Audiences = response.Audiences
	return nil
}

// reviewSelf answers SelfSubjectReview (kubectl auth whoami).
func reviewSelf(ctx context.Context, _ Config, review *authenticationv1.SelfSubjectReview) error {
	who, err := asker(ctx)
	if err != nil {
		return err
	}
	if review.CreationTimestamp.IsZero() {
		review.CreationTimestamp = metav1.Now()
	}
	review.Status.UserInfo = userInfo(who)
	return nil
}

// asker returns the user who sent the request.
func asker(ctx context.Context) (user.Info, error) {
	who, ok := request.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("no user present on request")
	}
	return who, nil
}

func userInfo(who user.Info) authenticationv1.UserInfo {
	if who == nil {
		return authenticationv1.UserInfo{}
	}
	info := authenticationv1.UserInfo{Username: who.GetName(), UID: who.GetUID(), Groups: who.GetGroups()}
	for key, values := range who.GetExtra() {
		if info.Extra == nil {
			info.Extra = map[string]authenticationv1.ExtraValue{}
		}
		info.Extra[key] = authenticationv1.ExtraValue(values)
	}
	return info
}
