// Package policy declares the kinds of policy/v1: PodDisruptionBudget, and
// Eviction, which is served as a subresource of pods and has no row.
package policy

import (
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource"
)

// AddToScheme registers the kinds of the group policy.
func AddToScheme(s *runtime.Scheme) error {
	return resource.AddHub(s, policyv1.SchemeGroupVersion, policyv1.AddToScheme)
}

// Resources returns the rows of the group policy.
func Resources() []resource.Resource {
	return []resource.Resource{
		podDisruptionBudgetResource(),
	}
}
