package authentication

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource"
)

// AddToScheme registers the kinds of the group authentication.k8s.io.
func AddToScheme(s *runtime.Scheme) error {
	return resource.AddHub(s, authenticationv1.SchemeGroupVersion, authenticationv1.AddToScheme)
}

// Resources returns the rows of the group authentication.k8s.io.
func Resources() []resource.Resource {
	return []resource.Resource{
		tokenReviewResource(),
		selfSubjectReviewResource(),
	}
}

func tokenReviewResource() resource.Resource {
	return resource.Define[authenticationv1.TokenReview, authenticationv1.TokenReview](resource.Definition[authenticationv1.TokenReview]{
		Names: resource.Names{
			Kind:          authenticationv1.SchemeGroupVersion.WithKind("TokenReview"),
			Plural:        "tokenreviews",
			ClusterScoped: true,
			NoStatus:      true,
			NoGeneration:  true,
			NotStored:     true,
			Verbs:         []string{"create"},
		},
	})
}

func selfSubjectReviewResource() resource.Resource {
	return resource.Define[authenticationv1.SelfSubjectReview, authenticationv1.SelfSubjectReview](resource.Definition[authenticationv1.SelfSubjectReview]{
		Names: resource.Names{
			Kind:          authenticationv1.SchemeGroupVersion.WithKind("SelfSubjectReview"),
			Plural:        "selfsubjectreviews",
			ClusterScoped: true,
			NoStatus:      true,
			NoGeneration:  true,
			NotStored:     true,
			Verbs:         []string{"create"},
		},
	})
}
