package discovery

import (
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource"
)

// AddToScheme registers the kinds of the group discovery.k8s.io.
func AddToScheme(s *runtime.Scheme) error {
	return resource.AddHub(s, discoveryv1.SchemeGroupVersion, discoveryv1.AddToScheme)
}

// Resources returns the rows of the group discovery.k8s.io.
func Resources() []resource.Resource {
	return []resource.Resource{
		endpointSliceResource(),
	}
}

func endpointSliceResource() resource.Resource {
	return resource.Define[discoveryv1.EndpointSlice, discoveryv1.EndpointSliceList](resource.Definition[discoveryv1.EndpointSlice]{
		Names: resource.Names{
			Kind:   discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"),
			Plural: "endpointslices",
		},
	})
}
