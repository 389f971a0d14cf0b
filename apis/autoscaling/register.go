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

func horizontalPodAutoscalerResource() resource.Resource {
	return resource.Define[autoscalingv2.HorizontalPodAutoscaler, autoscalingv2.HorizontalPodAutoscalerList](resource.Definition[autoscalingv2.HorizontalPodAutoscaler]{
		Names: resource.Names{
			Kind:       autoscalingv2.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler"),
			Plural:     "horizontalpodautoscalers",
			ShortNames: []string{"hpa"},
			Categories: []string{"all"},
			Also:       []schema.GroupVersion{autoscalingv1.SchemeGroupVersion},
		},
	})
}
