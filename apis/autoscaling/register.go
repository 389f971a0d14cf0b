// Package autoscaling declares the kinds of the API group autoscaling:
// HorizontalPodAutoscaler in v2, which is the hub, and in v1, and Scale, the form
// of the scale subresource of every kind.
//
// # Model
//
// v1 has one metric, CPU, as a field; the others, the behavior and the
// conditions travel in annotations, so that a client of v1 can read an
// autoscaler and write it back without losing them (see conversion.go).
package autoscaling

import (
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skiff-project/skiff/apis/resource"
)

// AddToScheme registers autoscaling: v2 is the hub of HorizontalPodAutoscaler,
// v1 is converted to it; Scale exists in v1 only and is its own hub.
func AddToScheme(s *runtime.Scheme) error {
	if err := resource.AddHub(s, autoscalingv2.SchemeGroupVersion, autoscalingv2.AddToScheme); err != nil {
		return err
	}
	if err := autoscalingv1.AddToScheme(s); err != nil {
		return fmt.Errorf("registering %s: %w", autoscalingv1.SchemeGroupVersion, err)
	}
	internal := schema.GroupVersion{Group: autoscalingv1.GroupName, Version: runtime.APIVersionInternal}
	s.AddKnownTypes(internal, &autoscalingv1.Scale{})
	addDefaults(s)
	if err := addConversions(s); err != nil {
		return fmt.Errorf("registering the conversions of %s: %w", autoscalingv1.SchemeGroupVersion, err)
	}
	return nil
}

// Resources returns the rows of the group autoscaling.
func Resources() []resource.Resource {
	return []resource.Resource{
		horizontalPodAutoscalerResource(),
	}
}
