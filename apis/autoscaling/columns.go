package autoscaling

import (
	"fmt"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apiresource "k8s.io/apimachinery/pkg/api/resource"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/columns"
)

func horizontalPodAutoscalerColumns() []resource.TypedColumn[autoscalingv2.HorizontalPodAutoscaler] {
	type hpa = autoscalingv2.HorizontalPodAutoscaler
	spec, status := autoscalingv2.HorizontalPodAutoscalerSpec{}.SwaggerDoc(), autoscalingv2.HorizontalPodAutoscalerStatus{}.SwaggerDoc()
	return []resource.TypedColumn[hpa]{
		columns.Name[hpa](),
		columns.Text("Reference", spec["scaleTargetRef"], func(h *hpa) string {
			return fmt.Sprintf("%s/%s", h.Spec.ScaleTargetRef.Kind, h.Spec.ScaleTargetRef.Name)
		}),
		columns.Text("Targets", spec["metrics"], func(h *hpa) string { return targets(h.Spec.Metrics, h.Status.CurrentMetrics) }),
		columns.Text("MinPods", spec["minReplicas"], func(h *hpa) string { return columns.Counted(h.Spec.MinReplicas) }),
		columns.Number("MaxPods", spec["maxReplicas"], func(h *hpa) int32 { return h.Spec.MaxReplicas }),
		columns.Number("Replicas", status["currentReplicas"], func(h *hpa) int32 { return h.Status.CurrentReplicas }),
		columns.Age[hpa](),
	}
}

// targets returns "cpu: 12%/80%" and the like for the first two metrics, and how
// many more there are.
func targets(specs []autoscalingv2.MetricSpec, statuses []autoscalingv2.MetricStatus) string {
	const most = 2
	if len(specs) == 0 {
		return columns.None
	}
	var list []string
	for i, spec := range specs {
		var status autoscalingv2.MetricStatus
		if i < len(statuses) {
			status = statuses[i]
		}
		list = append(list, target(spec, status))
	}
	if len(list) > most {
		return fmt.Sprintf("%s + %d more...", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}

func target(spec autoscalingv2.MetricSpec, status autoscalingv2.MetricStatus) string {
	switch {
	case spec.External != nil:
		var current autoscalingv2.MetricValueStatus
		if status.External != nil {
			current = status.External.Current
		}
		return valueTarget(spec.External.Target, current)
	case spec.Object != nil:
		var current autoscalingv2.MetricValueStatus
		if status.Object != nil {
			current = status.Object.Current
		}
		return valueTarget(spec.Object.Target, current)
	case spec.Pods != nil:
		var current autoscalingv2.MetricValueStatus
		if status.Pods != nil {
			current = status.Pods.Current
		}
		return fmt.Sprintf("%s/%s", amount(current.AverageValue), amount(spec.Pods.Target.AverageValue))
	case spec.Resource != nil:
		var current autoscalingv2.MetricValueStatus
		if status.Resource != nil {
			current = status.Resource.Current
		}
		return string(spec.Resource.Name) + ": " + utilizationTarget(spec.Resource.Target, current)
	case spec.ContainerResource != nil:
		var current autoscalingv2.MetricValueStatus
		if status.ContainerResource != nil {
			current = status.ContainerResource.Current
		}
		return string(spec.ContainerResource.Name) + ": " + utilizationTarget(spec.ContainerResource.Target, current)
	}
	return "<unknown type>"
}

func valueTarget(target autoscalingv2.MetricTarget, current autoscalingv2.MetricValueStatus) string {
	if target.AverageValue != nil {
		return fmt.Sprintf("%s/%s (avg)", amount(current.AverageValue), amount(target.AverageValue))
	}
	return fmt.Sprintf("%s/%s", amount(current.Value), amount(target.Value))
}

func utilizationTarget(target autoscalingv2.MetricTarget, current autoscalingv2.MetricValueStatus) string {
	if target.AverageValue != nil {
		return fmt.Sprintf("%s/%s", amount(current.AverageValue), amount(target.AverageValue))
	}
	percentage := func(p *int32, missing string) string {
		if p == nil {
			return missing
		}
		return fmt.Sprintf("%d%%", *p)
	}
	return percentage(current.AverageUtilization, columns.Unknown) + "/" + percentage(target.AverageUtilization, "<auto>")
}

func amount(q *apiresource.Quantity) string {
	if q == nil {
		return columns.Unknown
	}
	return q.String()
}
