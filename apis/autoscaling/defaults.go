package autoscaling

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource/defaulting"
)

// defaultCPUUtilization is the target of an autoscaler that names none, in
// percent.
const defaultCPUUtilization int32 = 80

func addDefaults(s *runtime.Scheme) {
	defaulting.Kind(s, SetDefaultsHorizontalPodAutoscaler,
		func(l *autoscalingv2.HorizontalPodAutoscalerList) []autoscalingv2.HorizontalPodAutoscaler {
			return l.Items
		})
	defaulting.Kind(s, SetDefaultsHorizontalPodAutoscalerV1,
		func(l *autoscalingv1.HorizontalPodAutoscalerList) []autoscalingv1.HorizontalPodAutoscaler {
			return l.Items
		})
}

// SetDefaultsHorizontalPodAutoscaler gives an autoscaler one replica at least, a
// CPU target, and rules for a behavior that is half there.
func SetDefaultsHorizontalPodAutoscaler(hpa *autoscalingv2.HorizontalPodAutoscaler) {
	defaulting.Pointer(&hpa.Spec.MinReplicas, 1)
	if len(hpa.Spec.Metrics) == 0 {
		hpa.Spec.Metrics = []autoscalingv2.MetricSpec{cpuUtilization(defaultCPUUtilization)}
	}
	if b := hpa.Spec.Behavior; b != nil {
		b.ScaleUp = completeRules(b.ScaleUp, scaleUpRules())
		b.ScaleDown = completeRules(b.ScaleDown, scaleDownRules())
	}
}

// SetDefaultsHorizontalPodAutoscalerV1 has no CPU target to add: only the
// conversion knows whether the annotations have metrics.
func SetDefaultsHorizontalPodAutoscalerV1(hpa *autoscalingv1.HorizontalPodAutoscaler) {
	defaulting.Pointer(&hpa.Spec.MinReplicas, 1)
}

// completeRules fills what is missing in rules.
func completeRules(rules *autoscalingv2.HPAScalingRules, standard autoscalingv2.HPAScalingRules) *autoscalingv2.HPAScalingRules {
	if rules == nil {
		return &standard
	}
	if rules.SelectPolicy == nil {
		rules.SelectPolicy = standard.SelectPolicy
	}
	if rules.StabilizationWindowSeconds == nil {
		rules.StabilizationWindowSeconds = standard.StabilizationWindowSeconds
	}
	if len(rules.Policies) == 0 {
		rules.Policies = standard.Policies
	}
	return rules
}

// scaleUpRules double the replicas, or add four, every 15 seconds.
func scaleUpRules() autoscalingv2.HPAScalingRules {
	window, selectMax := int32(0), autoscalingv2.MaxChangePolicySelect
	return autoscalingv2.HPAScalingRules{
		StabilizationWindowSeconds: &window,
		SelectPolicy:               &selectMax,
		Policies: []autoscalingv2.HPAScalingPolicy{
			{Type: autoscalingv2.PodsScalingPolicy, Value: 4, PeriodSeconds: 15},
			{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15},
		},
	}
}

// scaleDownRules remove any number. There is no stabilization window: without
// one, the controller's own applies.
func scaleDownRules() autoscalingv2.HPAScalingRules {
	selectMax := autoscalingv2.MaxChangePolicySelect
	return autoscalingv2.HPAScalingRules{
		SelectPolicy: &selectMax,
		Policies:     []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15}},
	}
}
