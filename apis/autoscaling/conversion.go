package autoscaling

import (
	"encoding/json"
	"fmt"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"
)

func addConversions(s *runtime.Scheme) error {
	add := []error{
		s.AddConversionFunc((*autoscalingv1.HorizontalPodAutoscaler)(nil), (*autoscalingv2.HorizontalPodAutoscaler)(nil), func(in, out any, _ conversion.Scope) error {
			return FromV1(in.(*autoscalingv1.HorizontalPodAutoscaler), out.(*autoscalingv2.HorizontalPodAutoscaler))
		}),
		s.AddConversionFunc((*autoscalingv2.HorizontalPodAutoscaler)(nil), (*autoscalingv1.HorizontalPodAutoscaler)(nil), func(in, out any, _ conversion.Scope) error {
			return ToV1(in.(*autoscalingv2.HorizontalPodAutoscaler), out.(*autoscalingv1.HorizontalPodAutoscaler))
		}),
		s.AddConversionFunc((*autoscalingv1.HorizontalPodAutoscalerList)(nil), (*autoscalingv2.HorizontalPodAutoscalerList)(nil), func(in, out any, _ conversion.Scope) (err error) {
			list, hub := in.(*autoscalingv1.HorizontalPodAutoscalerList), out.(*autoscalingv2.HorizontalPodAutoscalerList)
			hub.ListMeta = list.ListMeta
			hub.Items, err = convertAll(list.Items, FromV1)
			return err
		}),
		s.AddConversionFunc((*autoscalingv2.HorizontalPodAutoscalerList)(nil), (*autoscalingv1.HorizontalPodAutoscalerList)(nil), func(in, out any, _ conversion.Scope) (err error) {
			hub, list := in.(*autoscalingv2.HorizontalPodAutoscalerList), out.(*autoscalingv1.HorizontalPodAutoscalerList)
			list.ListMeta = hub.ListMeta
			list.Items, err = convertAll(hub.Items, ToV1)
			return err
		}),
	}
	for _, err := range add {
		if err != nil {
			return err
		}
	}
	return nil
}

func convertAll[In, Out any](in []In, convert func(*In, *Out) error) ([]Out, error) {
	if in == nil {
		return nil, nil
	}
	out := make([]Out, len(in))
	for i := range in {
		if err := convert(&in[i], &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ToV1 writes the autoscaler as version v1 has it: its CPU target into the field
// for it, and all that v1 has no field for into annotations.
func ToV1(in *autoscalingv2.HorizontalPodAutoscaler, out *autoscalingv1.HorizontalPodAutoscaler) error {
	out.ObjectMeta = in.ObjectMeta
	out.Annotations = dropAnnotations(in.Annotations)
	out.Spec = autoscalingv1.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv1.CrossVersionObjectReference(in.Spec.ScaleTargetRef),
		MinReplicas:    in.Spec.MinReplicas,
		MaxReplicas:    in.Spec.MaxReplicas,
	}
	out.Status = autoscalingv1.HorizontalPodAutoscalerStatus{
		ObservedGeneration: in.Status.ObservedGeneration,
		LastScaleTime:      in.Status.LastScaleTime,
		CurrentReplicas:    in.Status.CurrentReplicas,
		DesiredReplicas:    in.Status.DesiredReplicas,
	}

	var others []autoscalingv1.MetricSpec
	for _, m := range in.Spec.Metrics {
		if isCPUUtilization(m) {
			out.Spec.TargetCPUUtilizationPercentage = m.Resource.Target.AverageUtilization
			continue
		}
		others = append(others, metricToV1(m))
	}
	var current []autoscalingv1.MetricStatus
	for _, m := range in.Status.CurrentMetrics {
		if m.Type == autoscalingv2.ResourceMetricSourceType && m.Resource != nil && m.Resource.Name == corev1.ResourceCPU &&
			m.Resource.Current.AverageUtilization != nil {
			out.Status.CurrentCPUUtilizationPercentage = m.Resource.Current.AverageUtilization
		}
		// The annotation keeps CPU too: the field has no room for its raw value.
		current = append(current, metricStatusToV1(m))
	}
	return annotate(in, out, others, current)
}

func annotate(in *autoscalingv2.HorizontalPodAutoscaler, out *autoscalingv1.HorizontalPodAutoscaler, others []autoscalingv1.MetricSpec, current []autoscalingv1.MetricStatus) error {
	set := func(there bool, annotation string, value any) error {
		if !there {
			return nil
		}
		text, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("writing annotation %s: %w", annotation, err)
		}
		if out.Annotations == nil {
			out.Annotations = map[string]string{}
		}
		out.Annotations[annotation] = string(text)
		return nil
	}
	if err := set(len(others) > 0, metricsAnnotation, others); err != nil {
		return err
	}
	if err := set(len(current) > 0, currentMetricsAnnotation, current); err != nil {
		return err
	}
	if err := set(len(in.Status.Conditions) > 0, conditionsAnnotation, conditionsToV1(in.Status.Conditions)); err != nil {
		return err
	}
	if in.Spec.Behavior == nil {
		return nil
	}
	return set(true, behaviorAnnotation, behaviorFrom(in.Spec.Behavior))
}

func conditionsToV1(in []autoscalingv2.HorizontalPodAutoscalerCondition) []autoscalingv1.HorizontalPodAutoscalerCondition {
	out := make([]autoscalingv1.HorizontalPodAutoscalerCondition, 0, len(in))
	for _, c := range in {
		out = append(out, autoscalingv1.HorizontalPodAutoscalerCondition{
			Type: autoscalingv1.HorizontalPodAutoscalerConditionType(c.Type), Status: c.Status, Reason: c.Reason,
			Message: c.Message, LastTransitionTime: c.LastTransitionTime, ObservedGeneration: c.ObservedGeneration,
		})
	}
	return out
}

// FromV1 reads an autoscaler of version v1 and its annotations. Annotations that
// cannot be read are dropped: users may have written anything there.
func FromV1(in *autoscalingv1.HorizontalPodAutoscaler, out *autoscalingv2.HorizontalPodAutoscaler) error {
	out.ObjectMeta = in.ObjectMeta
	out.Annotations = dropAnnotations(in.Annotations)
	out.Spec = autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference(in.Spec.ScaleTargetRef),
		MinReplicas:    in.Spec.MinReplicas,
		MaxReplicas:    in.Spec.MaxReplicas,
		Metrics:        metricsFromV1(in),
	}
	var b behavior
	if read(in.Annotations, behaviorAnnotation, &b) {
		out.Spec.Behavior = b.to()
	}
	out.Status = autoscalingv2.HorizontalPodAutoscalerStatus{
		ObservedGeneration: in.Status.ObservedGeneration,
		LastScaleTime:      in.Status.LastScaleTime,
		CurrentReplicas:    in.Status.CurrentReplicas,
		DesiredReplicas:    in.Status.DesiredReplicas,
		CurrentMetrics:     metricStatusesFromV1(in),
	}
	var conditions []autoscalingv1.HorizontalPodAutoscalerCondition
	if read(in.Annotations, conditionsAnnotation, &conditions) {
		for _, c := range conditions {
			out.Status.Conditions = append(out.Status.Conditions, autoscalingv2.HorizontalPodAutoscalerCondition{
				Type: autoscalingv2.HorizontalPodAutoscalerConditionType(c.Type), Status: c.Status, Reason: c.Reason,
				Message: c.Message, LastTransitionTime: c.LastTransitionTime, ObservedGeneration: c.ObservedGeneration,
			})
		}
	}
	return nil
}

func read(annotations map[string]string, key string, into any) bool {
	text, there := annotations[key]
	return there && json.Unmarshal([]byte(text), into) == nil
}

// metricsFromV1 returns the metrics of the annotation and the CPU target, or,
// without any, the target that an autoscaler has by default.
func metricsFromV1(in *autoscalingv1.HorizontalPodAutoscaler) []autoscalingv2.MetricSpec {
	var out []autoscalingv2.MetricSpec
	var others []autoscalingv1.MetricSpec
	if read(in.Annotations, metricsAnnotation, &others) {
		for _, m := range others {
			out = append(out, metricFromV1(m))
		}
	}
	if percentage := in.Spec.TargetCPUUtilizationPercentage; percentage != nil {
		out = append(out, cpuUtilization(*percentage))
	}
	if len(out) == 0 {
		out = append(out, cpuUtilization(defaultCPUUtilization))
	}
	return out
}

func metricStatusesFromV1(in *autoscalingv1.HorizontalPodAutoscaler) []autoscalingv2.MetricStatus {
	var out []autoscalingv2.MetricStatus
	var current []autoscalingv1.MetricStatus
	if read(in.Annotations, currentMetricsAnnotation, &current) {
		for _, m := range current {
			out = append(out, metricStatusFromV1(m))
		}
	}
	if percentage := in.Status.CurrentCPUUtilizationPercentage; percentage != nil && len(out) == 0 {
		out = append(out, autoscalingv2.MetricStatus{
			Type: autoscalingv2.ResourceMetricSourceType,
			Resource: &autoscalingv2.ResourceMetricStatus{
				Name:    corev1.ResourceCPU,
				Current: autoscalingv2.MetricValueStatus{AverageUtilization: percentage},
			},
		})
	}
	return out
}

func isCPUUtilization(m autoscalingv2.MetricSpec) bool {
	return m.Type == autoscalingv2.ResourceMetricSourceType && m.Resource != nil && m.Resource.Name == corev1.ResourceCPU &&
		m.Resource.Target.AverageUtilization != nil
}

func cpuUtilization(percentage int32) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{
		Type: autoscalingv2.ResourceMetricSourceType,
		Resource: &autoscalingv2.ResourceMetricSource{
			Name:   corev1.ResourceCPU,
			Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &percentage},
		},
	}
}
