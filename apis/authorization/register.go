// Package authorization declares the kinds of authorization.k8s.io/v1: questions
// about what someone may do, answered when they are created and never stored.
package authorization

import (
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource"
)

// AddToScheme registers the kinds of authorization.k8s.io.
func AddToScheme(s *runtime.Scheme) error {
	return resource.AddHub(s, authorizationv1.SchemeGroupVersion, authorizationv1.AddToScheme)
}

// Resources returns the rows of authorization.k8s.io.
func Resources() []resource.Resource {
	return []resource.Resource{
		resource.Define[authorizationv1.LocalSubjectAccessReview, authorizationv1.LocalSubjectAccessReview](
			resource.Definition[authorizationv1.LocalSubjectAccessReview]{
				Names:    names("LocalSubjectAccessReview", "localsubjectaccessreviews", false),
				Validate: ValidateLocalSubjectAccessReview,
			}),
		resource.Define[authorizationv1.SelfSubjectAccessReview, authorizationv1.SelfSubjectAccessReview](
			resource.Definition[authorizationv1.SelfSubjectAccessReview]{
				Names:    names("SelfSubjectAccessReview", "selfsubjectaccessreviews", true),
				Validate: ValidateSelfSubjectAccessReview,
			}),
		resource.Define[authorizationv1.SelfSubjectRulesReview, authorizationv1.SelfSubjectRulesReview](
			resource.Definition[authorizationv1.SelfSubjectRulesReview]{
				Names:    names("SelfSubjectRulesReview", "selfsubjectrulesreviews", true),
				Validate: ValidateSelfSubjectRulesReview,
			}),
		resource.Define[authorizationv1.SubjectAccessReview, authorizationv1.SubjectAccessReview](
			resource.Definition[authorizationv1.SubjectAccessReview]{
				Names:    names("SubjectAccessReview", "subjectaccessreviews", true),
				Validate: ValidateSubjectAccessReview,
			}),
	}
}

func names(kind, plural string, clusterScoped bool) resource.Names {
	return resource.Names{
		Kind:          authorizationv1.SchemeGroupVersion.WithKind(kind),
		Plural:        plural,
		ClusterScoped: clusterScoped,
		NoStatus:      true,
		NoGeneration:  true,
		NotStored:     true,
		Verbs:         []string{"create"},
	}
}
