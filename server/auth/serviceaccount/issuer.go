package serviceaccount

import (
	"context"
	"fmt"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	tokenjwt "k8s.io/apiserver/pkg/authentication/token/jwt"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/utils/clock"

	"github.com/skiff-project/skiff/apis/authentication"
)

const (
	// podTokenSeconds is the odd lifetime that the ServiceAccount admission plugin
	// asks for in the volumes that it injects. It marks tokens for clients that
	// may not know how to reload them.
	podTokenSeconds = 60*60 + 7
	// extendedSeconds is what such a token really gets.
	extendedSeconds = 365 * 24 * 60 * 60
)

// IssuerConfig configures an Issuer.
type IssuerConfig struct {
	// URL becomes the "iss" claim.
	URL string
	// APIAudiences are the audiences of tokens that ask for none.
	APIAudiences authenticator.Audiences
	// MaxExpiration caps what a request may ask for; zero: no cap.
	MaxExpiration time.Duration
	// ExtendExpiration gives tokens of injected pod volumes a year and notes
	// their use after the hour that they asked for.
	ExtendExpiration bool
}

// Issuer answers TokenRequests.
type Issuer struct {
	config IssuerConfig
	keys   *KeySet
	getter Getter
	clock  clock.PassiveClock
}

// NewIssuer returns an Issuer.
func NewIssuer(config IssuerConfig, keys *KeySet, getter Getter, clk clock.PassiveClock) *Issuer {
	return &Issuer{config: config, keys: keys, getter: getter, clock: clk}
}

// Issue returns a copy of request with defaults and, in its status, a token for
// the service account. name and namespace are those of the URL. validate, which
// may be nil, is the admission of the request; it runs before anything is signed.
// It serves the token subresource of service accounts.
func (i *Issuer) Issue(ctx context.Context, namespace, name string, request *authenticationv1.TokenRequest, validate rest.ValidateObjectFunc) (*authenticationv1.TokenRequest, error) {
	account, err := i.getter.ServiceAccount(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	out := request.DeepCopy()
	if err := i.complete(out, account); err != nil {
		return nil, err
	}
	// The answer must not promise more than the token, so the time is taken first.
	now := i.clock.Now()
	if errs := authentication.ValidateTokenRequest(ctx, out); len(errs) > 0 {
		return nil, apierrors.NewInvalid(authenticationv1.SchemeGroupVersion.WithKind("TokenRequest").GroupKind(), "", errs)
	}
	if validate != nil {
		if err := validate(ctx, out.DeepCopy()); err != nil {
			return nil, err
		}
	}
	bound, err := i.bind(ctx, account, out.Spec.BoundObjectRef)
	if err != nil {
		return nil, err
	}
	i.capExpiration(ctx, &out.Spec)

	life := i.lifetime(now, out.Spec, bound)
	public, private := makeClaims(account, bound, life, i.config.URL, out.Spec.Audiences)
	token, err := i.keys.sign(public, private)
	if err != nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("signing a token for %s/%s: %w", namespace, name, err))
	}
	audit.AddAuditAnnotation(ctx, serviceaccount.IssuedCredentialIDAuditAnnotationKey, tokenjwt.CredentialIDForJTI(public.ID))
	out.Status = authenticationv1.TokenRequestStatus{
		Token:               token,
		ExpirationTimestamp: metav1.NewTime(now.Add(time.Duration(*out.Spec.ExpirationSeconds) * time.Second)),
	}
	return out, nil
}

// complete fills what the request leaves open and refuses names that contradict
// the URL.
func (i *Issuer) complete(request *authenticationv1.TokenRequest, account *corev1.ServiceAccount) error {
	if err := rest.EnsureObjectNamespaceMatchesRequestNamespace(account.Namespace, request); err != nil {
		return err
	}
	if request.Name != "" && request.Name != account.Name {
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s) does not match the name on the URL (%s)", request.Name, account.Name))
	}
	request.Name = account.Name
	if request.CreationTimestamp.IsZero() {
		request.CreationTimestamp = metav1.NewTime(i.clock.Now().Truncate(time.Second))
	}
	if len(request.Spec.Audiences) == 0 {
		request.Spec.Audiences = slices.Clone([]string(i.config.APIAudiences))
	}
	authentication.SetDefaultsTokenRequest(request)
	return nil
}

// bind looks up the object that the token shall be bound to.
func (i *Issuer) bind(ctx context.Context, account *corev1.ServiceAccount, ref *authenticationv1.BoundObjectReference) (binding, error) {
	if ref == nil {
		return binding{}, nil
	}
	var bound binding
	var uid types.UID
	gvk := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	switch gvk {
	case corev1.SchemeGroupVersion.WithKind("Pod"):
		pod, err := i.getter.Pod(ctx, account.Namespace, ref.Name)
		if err != nil {
			return bound, err
		}
		if pod.Spec.ServiceAccountName != account.Name {
			return bound, apierrors.NewBadRequest(fmt.Sprintf("cannot bind token for serviceaccount %q to pod running with different serviceaccount name.", account.Name))
		}
		if bound.Node, err = i.nodeOf(ctx, pod); err != nil {
			return bound, err
		}
		bound.Pod, uid = pod, pod.UID
	case corev1.SchemeGroupVersion.WithKind("Secret"):
		secret, err := i.getter.Secret(ctx, account.Namespace, ref.Name)
		if err != nil {
			return bound, err
		}
		bound.Secret, uid = secret, secret.UID
	case corev1.SchemeGroupVersion.WithKind("Node"):
		node, err := i.getter.Node(ctx, ref.Name)
		if err != nil {
			return bound, err
		}
		bound.Node, uid = refTo(node), node.UID
	default:
		return bound, apierrors.NewBadRequest(fmt.Sprintf("cannot bind token to object of type %s", gvk))
	}
	if ref.UID != "" && ref.UID != uid {
		return bound, apierrors.NewConflict(schema.GroupResource{Group: gvk.Group, Resource: gvk.Kind}, ref.Name,
			fmt.Errorf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID))
	}
	return bound, nil
}

// nodeOf returns the node that a pod's token names. A pod may run, or wait, on a
// node that is not registered; then only the name is known.
func (i *Issuer) nodeOf(ctx context.Context, pod *corev1.Pod) (*objectRef, error) {
	if pod.Spec.NodeName == "" {
		return nil, nil
	}
	node, err := i.getter.Node(ctx, pod.Spec.NodeName)
	switch {
	case apierrors.IsNotFound(err):
		return &objectRef{Name: pod.Spec.NodeName}, nil
	case err != nil:
		return nil, apierrors.NewInternalError(err)
	}
	return refTo(node), nil
}

func (i *Issuer) capExpiration(ctx context.Context, spec *authenticationv1.TokenRequestSpec) {
	limit := int64(i.config.MaxExpiration / time.Second)
	if limit > 0 && *spec.ExpirationSeconds > limit {
		warning.AddWarning(ctx, "", fmt.Sprintf("requested expiration of %d seconds shortened to %d seconds", *spec.ExpirationSeconds, limit))
		spec.ExpirationSeconds = &limit
	}
}

func (i *Issuer) lifetime(now time.Time, spec authenticationv1.TokenRequestSpec, bound binding) lifetime {
	life := lifetime{Now: now, Expires: time.Duration(*spec.ExpirationSeconds) * time.Second}
	if i.config.ExtendExpiration && bound.Pod != nil && *spec.ExpirationSeconds == podTokenSeconds && i.forAPIServer(spec.Audiences) {
		life.WarnAfter = life.Expires
		life.Expires = extendedSeconds * time.Second
	}
	return life
}

// forAPIServer reports whether all audiences are the API server's own.
func (i *Issuer) forAPIServer(audiences []string) bool {
	for _, audience := range audiences {
		if !slices.Contains(i.config.APIAudiences, audience) {
			return false
		}
	}
	return true
}
