// Package discovery declares EndpointSlice, the kind of discovery.k8s.io/v1.
package discovery

import (
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/defaulting"
)

// AddToScheme registers EndpointSlice and its defaults.
func AddToScheme(s *runtime.Scheme) error {
	if err := resource.AddHub(s, discoveryv1.SchemeGroupVersion, discoveryv1.AddToScheme); err != nil {
		return err
	}
	defaulting.Kind(s, SetDefaultsEndpointSlice, func(l *discoveryv1.EndpointSliceList) []discoveryv1.EndpointSlice { return l.Items })
	return nil
}

// Resources returns the rows of the group discovery.k8s.io.
func Resources() []resource.Resource {
	return []resource.Resource{
		endpointSliceResource(),
	}
}
