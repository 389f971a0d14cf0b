package autoscaling

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/skiff-project/skiff/apis/resource"
)

func horizontalPodAutoscalerResource() resource.Resource {
	return resource.Define[autoscalingv2.HorizontalPodAutoscaler, autoscalingv2.HorizontalPodAutoscalerList](
		resource.Definition[autoscalingv2.HorizontalPodAutoscaler]{
			Names: resource.Names{
				Kind:       autoscalingv2.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler"),
				Also:       []schema.GroupVersion{autoscalingv1.SchemeGroupVersion},
				Plural:     "horizontalpodautoscalers",
				ShortNames: []string{"hpa"},
				Categories: []string{"all"},
				// It never counted its generations.
				NoGeneration: true,
			},
			Validate:             ValidateHorizontalPodAutoscaler,
			ValidateUpdate:       ValidateHorizontalPodAutoscalerUpdate,
			ValidateStatusUpdate: ValidateHorizontalPodAutoscalerStatusUpdate,
			Columns:              horizontalPodAutoscalerColumns(),
		})
}
