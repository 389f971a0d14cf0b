package subresources

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/skiff-project/skiff/server/registry"
)

// tokenStorage serves serviceaccounts/token.
type tokenStorage struct{ issuer TokenIssuer }

var (
	_ rest.NamedCreater             = &tokenStorage{}
	_ rest.GroupVersionKindProvider = &tokenStorage{}
)

func newToken(cfg Config, _ *registry.Store) rest.Storage {
	if cfg.Issuer == nil {
		return nil // this server has no signing key
	}
	return &tokenStorage{cfg.Issuer}
}

func (s *tokenStorage) New() runtime.Object { return &authenticationv1.TokenRequest{} }
func (s *tokenStorage) Destroy()            {}

// GroupVersionKind implements rest.GroupVersionKindProvider.
func (s *tokenStorage) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
}

// Create implements rest.NamedCreater.
func (s *tokenStorage) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	tokenRequest, ok := obj.(*authenticationv1.TokenRequest)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenRequest object: %T", obj))
	}
	namespace, ok := request.NamespaceFrom(ctx)
	if !ok {
		return nil, apierrors.NewBadRequest("namespace is required")
	}
	return s.issuer.Issue(ctx, namespace, name, tokenRequest, validate)
}
