// Package coordination declares Lease, the kind of coordination.k8s.io/v1.
package coordination

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource"
)

// AddToScheme registers the kinds of the group coordination.k8s.io.
func AddToScheme(s *runtime.Scheme) error {
	return resource.AddHub(s, coordinationv1.SchemeGroupVersion, coordinationv1.AddToScheme)
}

// Resources returns the rows of the group coordination.k8s.io.
func Resources() []resource.Resource {
	return []resource.Resource{
		leaseResource(),
	}
}
