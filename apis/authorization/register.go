package authorization

import (
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource"
)

// AddToScheme registers the kinds of the group authorization.k8s.io.
func AddToScheme(s *runtime.Scheme) error {
	return resource.AddHub(s, authorizationv1.SchemeGroupVersion, authorizationv1.AddToScheme)
}

// Resources returns the rows of the group authorization.k8s.io.
func Resources() []resource.Resource {
	return []resource.Resource{
		localSubjectAccessReviewResource(),
		selfSubjectAccessReviewResource(),
		selfSubjectRulesReviewResource(),
		subjectAccessReviewResource(),
	}
}

func localSubjectAccessReviewResource() resource.Resource {
	return resource.Define[authorizationv1.LocalSubjectAccessReview, authorizationv1.LocalSubjectAccessReview](resource.Definition[authorizationv1.LocalSubjectAccessReview]{
		Names: resource.Names{
			Kind:         authorizationv1.SchemeGroupVersion.WithKind("LocalSubjectAccessReview"),
			Plural:       "localsubjectaccessreviews",
			NoStatus:     true,
			NoGeneration: true,
			NotStored:    true,
			Verbs:        []string{"create"},
		},
	})
}

func selfSubjectAccessReviewResource() resource.Resource {
	return resource.Define[authorizationv1.SelfSubjectAccessReview, authorizationv1.SelfSubjectAccessReview](resource.Definition[authorizationv1.SelfSubjectAccessReview]{
		Names: resource.Names{
			Kind:          authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectAccessReview"),
			Plural:        "selfsubjectaccessreviews",
			ClusterScoped: true,
			NoStatus:      true,
			NoGeneration:  true,
			NotStored:     true,
			Verbs:         []string{"create"},
		},
	})
}

func selfSubjectRulesReviewResource() resource.Resource {
	return resource.Define[authorizationv1.SelfSubjectRulesReview, authorizationv1.SelfSubjectRulesReview](resource.Definition[authorizationv1.SelfSubjectRulesReview]{
		Names: resource.Names{
			Kind:          authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectRulesReview"),
			Plural:        "selfsubjectrulesreviews",
			ClusterScoped: true,
			NoStatus:      true,
			NoGeneration:  true,
			NotStored:     true,
			Verbs:         []string{"create"},
		},
	})
}

func subjectAccessReviewResource() resource.Resource {
	return resource.Define[authorizationv1.SubjectAccessReview, authorizationv1.SubjectAccessReview](resource.Definition[authorizationv1.SubjectAccessReview]{
		Names: resource.Names{
			Kind:          authorizationv1.SchemeGroupVersion.WithKind("SubjectAccessReview"),
			Plural:        "subjectaccessreviews",
			ClusterScoped: true,
			NoStatus:      true,
			NoGeneration:  true,
			NotStored:     true,
			Verbs:         []string{"create"},
		},
	})
}
