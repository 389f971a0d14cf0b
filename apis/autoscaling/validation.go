package autoscaling

import (
	"context"
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

const (
	// lowestMinReplicas is 0 since autoscalers can scale to zero (KEP-2021).
	lowestMinReplicas      = 0
	maxPeriodSeconds       = 1800
	maxStabilizationWindow = 3600
)

// ValidateHorizontalPodAutoscaler returns what is wrong with a new autoscaler.
func ValidateHorizontalPodAutoscaler(_ context.Context, h *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&h.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, rules.Metadata)
	return append(errs, checkSpec(&h.Spec)...)
}

// ValidateHorizontalPodAutoscalerUpdate returns what is wrong with a change.
func ValidateHorizontalPodAutoscalerUpdate(_ context.Context, h, old *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&h.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	return append(errs, checkSpec(&h.Spec)...)
}

// ValidateHorizontalPodAutoscalerStatusUpdate returns what is wrong with a new
// status.
func ValidateHorizontalPodAutoscalerStatusUpdate(_ context.Context, h, old *autoscalingv2.HorizontalPodAutoscaler) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&h.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, rules.NonNegative(h.Status.CurrentReplicas, rules.Status.Child("currentReplicas"))...)
	return append(errs, rules.NonNegative(h.Status.DesiredReplicas, rules.Status.Child("desiredReplicas"))...)
}

func checkSpec(spec *autoscalingv2.HorizontalPodAutoscalerSpec) field.ErrorList {
	var errs field.ErrorList
	least, most := spec.MinReplicas, spec.MaxReplicas
	if least != nil && *least < lowestMinReplicas {
		errs = append(errs, field.Invalid(rules.Spec.Child("minReplicas"), *least, fmt.Sprintf("must be greater than or equal to %d", lowestMinReplicas)))
	}
	if most < 1 {
		errs = append(errs, field.Invalid(rules.Spec.Child("maxReplicas"), most, "must be greater than 0"))
	}
	if least != nil && most < *least {
		errs = append(errs, field.Invalid(rules.Spec.Child("maxReplicas"), most, "must be greater than or equal to `minReplicas`"))
	}
	errs = append(errs, checkReference(spec.ScaleTargetRef, rules.Spec.Child("scaleTargetRef"))...)
	errs = append(errs, checkMetrics(spec.Metrics, least, rules.Spec.Child("metrics"))...)
	if b := spec.Behavior; b != nil {
		at := rules.Spec.Child("behavior")
		errs = append(errs, checkScalingRules(b.ScaleUp, at.Child("scaleUp"))...)
		errs = append(errs, checkScalingRules(b.ScaleDown, at.Child("scaleDown"))...)
	}
	return errs
}

func checkReference(ref autoscalingv2.CrossVersionObjectReference, at *field.Path) field.ErrorList {
	segment := func(value string, at *field.Path) field.ErrorList {
		if value == "" {
			return field.ErrorList{field.Required(at, "")}
		}
		return rules.Invalid(at, value, path.IsValidPathSegmentName(value)...)
	}
	errs := append(segment(ref.Kind, at.Child("kind")), segment(ref.Name, at.Child("name"))...)
	if ref.APIVersion != "" {
		if _, err := schema.ParseGroupVersion(ref.APIVersion); err != nil {
			errs = append(errs, field.Invalid(at.Child("apiVersion"), ref.APIVersion, err.Error()))
		}
	}
	return errs
}

func checkScalingRules(r *autoscalingv2.HPAScalingRules, at *field.Path) field.ErrorList {
	if r == nil {
		return nil
	}
	var errs field.ErrorList
	if w := r.StabilizationWindowSeconds; w != nil {
		window := at.Child("stabilizationWindowSeconds")
		if *w < 0 {
			errs = append(errs, field.Invalid(window, *w, "must be greater than or equal to zero"))
		}
		if *w > maxStabilizationWindow {
			errs = append(errs, field.Invalid(window, *w, fmt.Sprintf("must be less than or equal to %v", maxStabilizationWindow)))
		}
	}
	if r.SelectPolicy != nil {
		errs = append(errs, rules.Enum(*r.SelectPolicy, at.Child("selectPolicy"), autoscalingv2.DisabledPolicySelect,
			autoscalingv2.MaxChangePolicySelect, autoscalingv2.MinChangePolicySelect)...)
	}
	if t := r.Tolerance; t != nil && t.Sign() < 0 {
		errs = append(errs, field.Invalid(at.Child("tolerance"), t.String(), "must be greater or equal to 0"))
	}
	policies := at.Child("policies")
	if len(r.Policies) == 0 {
		errs = append(errs, field.Required(policies, "must specify at least one Policy"))
	}
	for i, p := range r.Policies {
		errs = append(errs, checkPolicy(p, policies.Index(i))...)
	}
	return errs
}

func checkPolicy(p autoscalingv2.HPAScalingPolicy, at *field.Path) field.ErrorList {
	errs := rules.Enum(p.Type, at.Child("type"), autoscalingv2.PercentScalingPolicy, autoscalingv2.PodsScalingPolicy)
	if p.Value <= 0 {
		errs = append(errs, field.Invalid(at.Child("value"), p.Value, "must be greater than zero"))
	}
	if p.PeriodSeconds <= 0 {
		errs = append(errs, field.Invalid(at.Child("periodSeconds"), p.PeriodSeconds, "must be greater than zero"))
	}
	if p.PeriodSeconds > maxPeriodSeconds {
		errs = append(errs, field.Invalid(at.Child("periodSeconds"), p.PeriodSeconds, fmt.Sprintf("must be less than or equal to %v", maxPeriodSeconds)))
	}
	return errs
}
