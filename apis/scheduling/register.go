package scheduling

import (
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource"
)

// AddToScheme registers the kinds of the group scheduling.k8s.io.
func AddToScheme(s *runtime.Scheme) error {
	return resource.AddHub(s, schedulingv1.SchemeGroupVersion, schedulingv1.AddToScheme)
}

// Resources returns the rows of the group scheduling.k8s.io.
func Resources() []resource.Resource {
	return []resource.Resource{
		priorityClassResource(),
	}
}

func priorityClassResource() resource.Resource {
	return resource.Define[schedulingv1.PriorityClass, schedulingv1.PriorityClassList](resource.Definition[schedulingv1.PriorityClass]{
		Names: resource.Names{
			Kind:          schedulingv1.SchemeGroupVersion.WithKind("PriorityClass"),
			Plural:        "priorityclasses",
			ShortNames:    []string{"pc"},
			ClusterScoped: true,
		},
	})
}
