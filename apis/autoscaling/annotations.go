package autoscaling

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
)

// What autoscaling/v1 has no fields for it carries in these annotations.
const (
	metricsAnnotation        = "autoscaling.alpha.kubernetes.io/metrics"
	currentMetricsAnnotation = "autoscaling.alpha.kubernetes.io/current-metrics"
	conditionsAnnotation     = "autoscaling.alpha.kubernetes.io/conditions"
	behaviorAnnotation       = "autoscaling.alpha.kubernetes.io/behavior"
)

// dropAnnotations returns annotations without those above. The map of the
// object itself is never changed: it may be shared.
func dropAnnotations(annotations map[string]string) map[string]string {
	if annotations == nil {
		return nil
	}
	out := make(map[string]string, len(annotations))
	for key, value := range annotations {
		switch key {
		case metricsAnnotation, currentMetricsAnnotation, conditionsAnnotation, behaviorAnnotation:
		default:
			out[key] = value
		}
	}
	return out
}

// behavior and its parts are the form of autoscalingv2.HorizontalPodAutoscalerBehavior
// in the annotation: the names have no JSON tags there, and clients read them so.
type behavior struct {
	ScaleUp   *rulesOf
	ScaleDown *rulesOf
}

type rulesOf struct {
	StabilizationWindowSeconds *int32
	SelectPolicy               *autoscalingv2.ScalingPolicySelect
	Policies                   []policyOf
	Tolerance                  *resource.Quantity
}

type policyOf struct {
	Type          autoscalingv2.HPAScalingPolicyType
	Value         int32
	PeriodSeconds int32
}

func behaviorFrom(in *autoscalingv2.HorizontalPodAutoscalerBehavior) behavior {
	from := func(in *autoscalingv2.HPAScalingRules) *rulesOf {
		if in == nil {
			return nil
		}
		out := &rulesOf{StabilizationWindowSeconds: in.StabilizationWindowSeconds, SelectPolicy: in.SelectPolicy, Tolerance: in.Tolerance}
		for _, p := range in.Policies {
			out.Policies = append(out.Policies, policyOf(p))
		}
		return out
	}
	return behavior{ScaleUp: from(in.ScaleUp), ScaleDown: from(in.ScaleDown)}
}

func (b behavior) to() *autoscalingv2.HorizontalPodAutoscalerBehavior {
	to := func(in *rulesOf) *autoscalingv2.HPAScalingRules {
		if in == nil {
			return nil
		}
		out := &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: in.StabilizationWindowSeconds, SelectPolicy: in.SelectPolicy, Tolerance: in.Tolerance}
		for _, p := range in.Policies {
			out.Policies = append(out.Policies, autoscalingv2.HPAScalingPolicy(p))
		}
		return out
	}
	return &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: to(b.ScaleUp), ScaleDown: to(b.ScaleDown)}
}
