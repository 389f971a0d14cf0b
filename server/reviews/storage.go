package reviews

import (
	"context"
	"errors"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/skiff-project/skiff/apis/resource"
)

// Config names what the questions are put to.
type Config struct {
	Authenticator authenticator.Request
	APIAudiences  authenticator.Audiences
	Authorizer    authorizer.Authorizer
	RuleResolver  authorizer.RuleResolver
}

// kind is how one kind of review is answered.
type kind struct {
	// answer fills the status of a review that the row's rules let pass.
	answer func(ctx context.Context, cfg Config, review runtime.Object) error
	// badRequest: a question that breaks the rules is answered with 400 and the
	// bare reason instead of 422, as Kubernetes does for this kind.
	badRequest bool
}

var kinds = map[schema.GroupKind]kind{
	{Group: authenticationv1.GroupName, Kind: "TokenReview"}:             {answer: typed(reviewToken), badRequest: true},
	{Group: authenticationv1.GroupName, Kind: "SelfSubjectReview"}:       {answer: typed(reviewSelf)},
	{Group: authorizationv1.GroupName, Kind: "SubjectAccessReview"}:      {answer: typed(reviewAccess)},
	{Group: authorizationv1.GroupName, Kind: "LocalSubjectAccessReview"}: {answer: typed(reviewLocalAccess)},
	{Group: authorizationv1.GroupName, Kind: "SelfSubjectAccessReview"}:  {answer: typed(reviewSelfAccess)},
	{Group: authorizationv1.GroupName, Kind: "SelfSubjectRulesReview"}:   {answer: typed(reviewSelfRules), badRequest: true},
}

// typed lets the answer to reviews of type T take any object.
func typed[T any, PT resource.Object[T]](answer func(ctx context.Context, cfg Config, review PT) error) func(context.Context, Config, runtime.Object) error {
	return func(ctx context.Context, cfg Config, obj runtime.Object) error {
		review, ok := obj.(PT)
		if !ok {
			return apierrors.NewBadRequest(fmt.Sprintf("unexpected kind of review: %T", obj))
		}
		return answer(ctx, cfg, review)
	}
}

// storage serves one kind of review.
type storage struct {
	cfg  Config
	row  resource.Resource
	kind kind
}

var (
	_ rest.Creater              = &storage{}
	_ rest.Scoper               = &storage{}
	_ rest.SingularNameProvider = &storage{}
)

// New returns the storage of a row of reviews.
func New(cfg Config, row resource.Resource) (rest.Storage, error) {
	if cfg.Authenticator == nil || cfg.Authorizer == nil || cfg.RuleResolver == nil {
		return nil, errors.New("reviews need an authenticator, an authorizer and a rule resolver")
	}
	k, ok := kinds[row.Kind.GroupKind()]
	if !ok {
		return nil, fmt.Errorf("nothing answers a %s", row.Kind.GroupKind())
	}
	return &storage{cfg: cfg, row: row, kind: k}, nil
}

func (s *storage) New() runtime.Object     { return s.row.New() }
func (s *storage) Destroy()                {}
func (s *storage) NamespaceScoped() bool   { return !s.row.ClusterScoped }
func (s *storage) GetSingularName() string { return s.row.Singular }

// Create implements rest.Creater: it returns the question with its answer.
func (s *storage) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	review := obj.DeepCopyObject()
	if err := s.check(ctx, review); err != nil {
		return nil, err
	}
	if validate != nil {
		if err := validate(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	if err := s.kind.answer(ctx, s.cfg, review); err != nil {
		return nil, err
	}
	return review, nil
}

// check refuses a question that breaks the rules of its row.
func (s *storage) check(ctx context.Context, review runtime.Object) error {
	if s.row.Validate == nil {
		return nil
	}
	errs := s.row.Validate(ctx, review)
	switch {
	case len(errs) == 0:
		return nil
	case s.kind.badRequest:
		return apierrors.NewBadRequest(errs[0].Detail)
	}
	return apierrors.NewInvalid(s.row.Kind.GroupKind(), "", errs)
}
