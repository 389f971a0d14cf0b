package apps

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/core"
	"github.com/skiff-project/skiff/apis/resource/rules"
)

// ValidateDaemonSet returns what is wrong with a new daemon set.
func ValidateDaemonSet(_ context.Context, ds *appsv1.DaemonSet) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&ds.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, rules.Metadata)
	return append(errs, checkDaemonSetSpec(&ds.Spec)...)
}

// ValidateDaemonSetUpdate returns what is wrong with a change of a daemon set.
func ValidateDaemonSetUpdate(_ context.Context, ds, old *appsv1.DaemonSet) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&ds.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, checkDaemonSetSpec(&ds.Spec)...)
	return append(errs, rules.Immutable(ds.Spec.Selector, old.Spec.Selector, selectorPath)...)
}

func checkDaemonSetSpec(spec *appsv1.DaemonSetSpec) field.ErrorList {
	errs := checkSelector(spec.Selector, "daemonset")
	errs = append(errs, checkSelects(spec.Selector, &spec.Template)...)
	errs = append(errs, core.ValidatePodTemplateSpec(&spec.Template, rules.Template)...)
	errs = append(errs, checkRunsForever(&spec.Template.Spec, "DaemonSet")...)
	errs = append(errs, rules.NonNegative(spec.MinReadySeconds, rules.Spec.Child("minReadySeconds"))...)
	errs = append(errs, checkDaemonSetStrategy(&spec.UpdateStrategy, rules.Spec.Child("updateStrategy"))...)
	return append(errs, rules.NonNegativeIfSet(spec.RevisionHistoryLimit, rules.Spec.Child("revisionHistoryLimit"))...)
}

func checkDaemonSetStrategy(strategy *appsv1.DaemonSetUpdateStrategy, path *field.Path) field.ErrorList {
	switch strategy.Type {
	case appsv1.OnDeleteDaemonSetStrategyType:
		return nil
	case appsv1.RollingUpdateDaemonSetStrategyType:
		if strategy.RollingUpdate == nil {
			return field.ErrorList{field.Required(path.Child("rollingUpdate"), "")}
		}
		return checkRollingDaemonSet(strategy.RollingUpdate, path.Child("rollingUpdate"))
	}
	return field.ErrorList{field.NotSupported(path, strategy, []appsv1.DaemonSetUpdateStrategyType{
		appsv1.RollingUpdateDaemonSetStrategyType, appsv1.OnDeleteDaemonSetStrategyType,
	})}
}

// checkRollingDaemonSet checks that a pod is either stopped before its successor
// starts or after: exactly one of the two limits is above zero.
func checkRollingDaemonSet(r *appsv1.RollingUpdateDaemonSet, path *field.Path) field.ErrorList {
	var unavailable, surge intstr.IntOrString
	if r.MaxUnavailable != nil {
		unavailable = *r.MaxUnavailable
	}
	if r.MaxSurge != nil {
		surge = *r.MaxSurge
	}
	errs := rules.NonNegativeIntOrPercent(unavailable, path.Child("maxUnavailable"))
	errs = append(errs, rules.NonNegativeIntOrPercent(surge, path.Child("maxSurge"))...)
	switch {
	case amount(unavailable) != 0 && amount(surge) != 0:
		errs = append(errs, field.Invalid(path.Child("maxSurge"), surge, "may not be set when maxUnavailable is non-zero"))
	case amount(unavailable) == 0 && amount(surge) == 0:
		errs = append(errs, field.Required(path.Child("maxUnavailable"), "cannot be 0 when maxSurge is 0"))
	}
	errs = append(errs, rules.AtMost100Percent(unavailable, path.Child("maxUnavailable"))...)
	return append(errs, rules.AtMost100Percent(surge, path.Child("maxSurge"))...)
}

// ValidateDaemonSetStatusUpdate returns what is wrong with a new status.
func ValidateDaemonSetStatusUpdate(_ context.Context, ds, old *appsv1.DaemonSet) field.ErrorList {
	s := &ds.Status
	errs := apivalidation.ValidateObjectMetaUpdate(&ds.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, checkCounters(s.ObservedGeneration,
		counter{"currentNumberScheduled", s.CurrentNumberScheduled},
		counter{"numberMisscheduled", s.NumberMisscheduled},
		counter{"desiredNumberScheduled", s.DesiredNumberScheduled},
		counter{"numberReady", s.NumberReady},
		counter{"updatedNumberScheduled", s.UpdatedNumberScheduled},
		counter{"numberAvailable", s.NumberAvailable},
		counter{"numberUnavailable", s.NumberUnavailable},
	)...)
	return append(errs, checkCollisionCount(s.CollisionCount, old.Status.CollisionCount, rules.Status.Child("collisionCount"))...)
}
