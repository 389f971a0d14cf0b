package autoscaling

import (
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// checkMetrics checks the metrics; least are the fewest replicas wanted. From
// zero replicas only metrics from outside the pods can lead back.
func checkMetrics(metrics []autoscalingv2.MetricSpec, least *int32, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	outside := false
	for i := range metrics {
		errs = append(errs, checkMetric(&metrics[i], at.Index(i))...)
		switch metrics[i].Type {
		case autoscalingv2.ObjectMetricSourceType, autoscalingv2.ExternalMetricSourceType:
			outside = true
		}
	}
	if least != nil && *least == 0 && !outside {
		errs = append(errs, field.Forbidden(at, "must specify at least one Object or External metric to support scaling to zero replicas"))
	}
	return errs
}

func checkMetric(m *autoscalingv2.MetricSpec, at *field.Path) field.ErrorList {
	if m.Type == "" {
		return field.ErrorList{field.Required(at.Child("type"), "must specify a metric source type")}
	}
	errs := rules.Enum(m.Type, at.Child("type"), autoscalingv2.ContainerResourceMetricSourceType, autoscalingv2.ExternalMetricSourceType,
		autoscalingv2.ObjectMetricSourceType, autoscalingv2.PodsMetricSourceType, autoscalingv2.ResourceMetricSourceType)
	var present []string
	source := func(name string, there bool, check func(*field.Path) field.ErrorList) {
		if there {
			present = append(present, name)
			errs = append(errs, check(at.Child(name))...)
		}
	}
	source("object", m.Object != nil, func(at *field.Path) field.ErrorList { return checkObject(m.Object, at) })
	source("external", m.External != nil, func(at *field.Path) field.ErrorList { return checkExternal(m.External, at) })
	source("pods", m.Pods != nil, func(at *field.Path) field.ErrorList { return checkPods(m.Pods, at) })
	source("resource", m.Resource != nil, func(at *field.Path) field.ErrorList {
		return checkResource(string(m.Resource.Name), m.Resource.Target, at)
	})
	source("containerResource", m.ContainerResource != nil, func(at *field.Path) field.ErrorList {
		errs := checkResource(string(m.ContainerResource.Name), m.ContainerResource.Target, at)
		if m.ContainerResource.Container == "" {
			return append(errs, field.Required(at.Child("container"), "must specify a container"))
		}
		return append(errs, rules.DNSLabel(m.ContainerResource.Container, at.Child("container"))...)
	})

	expected := map[autoscalingv2.MetricSourceType]string{
		autoscalingv2.ObjectMetricSourceType:            "object",
		autoscalingv2.ExternalMetricSourceType:          "external",
		autoscalingv2.PodsMetricSourceType:              "pods",
		autoscalingv2.ResourceMetricSourceType:          "resource",
		autoscalingv2.ContainerResourceMetricSourceType: "containerResource",
	}[m.Type]
	found := false
	for _, name := range present {
		found = found || name == expected
	}
	if expected != "" && !found {
		errs = append(errs, field.Required(at.Child(expected), "must populate information for the given metric source"))
	}
	if len(present) > 1 {
		for _, name := range present {
			if name != expected {
				errs = append(errs, field.Forbidden(at.Child(name), "must populate the given metric source only"))
			}
		}
	}
	return errs
}

func checkObject(s *autoscalingv2.ObjectMetricSource, at *field.Path) field.ErrorList {
	errs := checkReference(s.DescribedObject, at.Child("describedObject"))
	errs = append(errs, checkIdentifier(s.Metric, at.Child("metric"))...)
	errs = append(errs, checkTarget(s.Target, at.Child("target"))...)
	if s.Target.Value == nil && s.Target.AverageValue == nil {
		errs = append(errs, field.Required(at.Child("target").Child("averageValue"), "must set either a target value or averageValue"))
	}
	return errs
}

func checkExternal(s *autoscalingv2.ExternalMetricSource, at *field.Path) field.ErrorList {
	errs := checkIdentifier(s.Metric, at.Child("metric"))
	target := at.Child("target")
	errs = append(errs, checkTarget(s.Target, target)...)
	switch {
	case s.Target.Value == nil && s.Target.AverageValue == nil:
		errs = append(errs, field.Required(target.Child("averageValue"), "must set either a target value for metric or a per-pod target"))
	case s.Target.Value != nil && s.Target.AverageValue != nil:
		errs = append(errs, field.Forbidden(target.Child("value"), "may not set both a target value for metric and a per-pod target"))
	}
	return errs
}

func checkPods(s *autoscalingv2.PodsMetricSource, at *field.Path) field.ErrorList {
	errs := checkIdentifier(s.Metric, at.Child("metric"))
	errs = append(errs, checkTarget(s.Target, at.Child("target"))...)
	if s.Target.AverageValue == nil || s.Target.AverageValue.Sign() != 1 {
		errs = append(errs, field.Required(at.Child("target").Child("averageValue"), "must specify a positive target averageValue"))
	}
	return errs
}

func checkResource(name string, target autoscalingv2.MetricTarget, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if name == "" {
		errs = append(errs, field.Required(at.Child("name"), "must specify a resource name"))
	}
	errs = append(errs, checkTarget(target, at.Child("target"))...)
	switch {
	case target.AverageUtilization == nil && target.AverageValue == nil:
		errs = append(errs, field.Required(at.Child("target").Child("averageUtilization"), "must set either a target raw value or a target utilization"))
	case target.AverageUtilization != nil && target.AverageValue != nil:
		errs = append(errs, field.Forbidden(at.Child("target").Child("averageValue"), "may not set both a target raw value and a target utilization"))
	}
	return errs
}

func checkIdentifier(id autoscalingv2.MetricIdentifier, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if id.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), "must specify a metric name"))
	} else {
		errs = append(errs, rules.Invalid(at.Child("name"), id.Name, path.IsValidPathSegmentName(id.Name)...)...)
	}
	if id.Selector != nil {
		if _, err := metav1.LabelSelectorAsSelector(id.Selector); err != nil {
			errs = append(errs, metavalidation.ValidateLabelSelector(id.Selector, metavalidation.LabelSelectorValidationOptions{}, at.Child("selector"))...)
		}
	}
	return errs
}

func checkTarget(t autoscalingv2.MetricTarget, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch t.Type {
	case "":
		errs = append(errs, field.Required(at.Child("type"), "must specify a metric target type"))
	case autoscalingv2.UtilizationMetricType, autoscalingv2.ValueMetricType, autoscalingv2.AverageValueMetricType:
	default:
		errs = append(errs, field.Invalid(at.Child("type"), t.Type, fmt.Sprintf("must be either %s, %s, or %s",
			autoscalingv2.UtilizationMetricType, autoscalingv2.ValueMetricType, autoscalingv2.AverageValueMetricType)))
	}
	if v := t.Value; v != nil && v.Sign() != 1 {
		errs = append(errs, field.Invalid(at.Child("value"), v.String(), "must be positive"))
	}
	if v := t.AverageValue; v != nil && v.Sign() != 1 {
		errs = append(errs, field.Invalid(at.Child("averageValue"), v.String(), "must be positive"))
	}
	if v := t.AverageUtilization; v != nil && *v < 1 {
		errs = append(errs, field.Invalid(at.Child("averageUtilization"), *v, "must be greater than 0"))
	}
	return errs
}
