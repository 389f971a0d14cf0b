// Package scheduling declares PriorityClass, the kind of scheduling.k8s.io/v1.
package scheduling

import (
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/defaulting"
)

// AddToScheme registers PriorityClass and its defaults.
func AddToScheme(s *runtime.Scheme) error {
	if err := resource.AddHub(s, schedulingv1.SchemeGroupVersion, schedulingv1.AddToScheme); err != nil {
		return err
	}
	defaulting.Kind(s, SetDefaultsPriorityClass, func(l *schedulingv1.PriorityClassList) []schedulingv1.PriorityClass { return l.Items })
	return nil
}

// Resources returns the rows of the group scheduling.k8s.io.
func Resources() []resource.Resource {
	return []resource.Resource{
		priorityClassResource(),
	}
}
