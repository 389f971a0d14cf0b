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

// answer fills the status of a review.
type answer func(ctx context.Context, cfg Config, review runtime.Object) error

var answers = map[schema.GroupKind]answer{
	{Group: authenticationv1.GroupName, Kind: "TokenReview"}:             reviewToken,
	{Group: authenticationv1.GroupName, Kind: "SelfSubjectReview"}:       reviewSelf,
	{Group: authorizationv1.GroupName, Kind: "SubjectAccessReview"}:      reviewAccess,
	{Group: authorizationv1.GroupName, Kind: "LocalSubjectAccessReview"}: reviewLocalAccess,
	{Group: authorizationv1.GroupName, Kind: "SelfSubjectAccessReview"}:  reviewSelfAccess,
	{Group: authorizationv1.GroupName, Kind: "SelfSubjectRulesReview"}:   reviewSelfRules,
}

// storage serves one kind of review.
type storage struct {
	cfg    Config
	row    resource.Resource
	answer answer
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
	a, ok := answers[row.Kind.GroupKind()]
	if !ok {
		return nil, fmt.Errorf("nothing answers a %s", row.Kind.GroupKind())
	}
	return &storage{cfg: cfg, row: row, answer: a}, nil
}

func (s *storage) New() runtime.Object     { return s.row.New() }
func (s *storage) Destroy()                {}
func (s *storage) NamespaceScoped() bool   { return !s.row.ClusterScoped }
func (s *storage) GetSingularName() string { return s.row.Singular }

// Create implements rest.Creater: it returns the question with its answer.
func (s *storage) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	review := obj.DeepCopyObject()
	if validate != nil {
		if err := validate(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	if err := s.answer(ctx, s.cfg, review); err != nil {
		return nil, err
	}
	return review, nil
}

func badKind(obj runtime.Object) error {
	return apierrors.NewBadRequest(fmt.Sprintf("unexpected kind of review: %T", obj))
}
