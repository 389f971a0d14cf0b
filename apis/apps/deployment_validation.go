package apps

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// ValidateDeployment returns what is wrong with a new deployment.
func ValidateDeployment(_ context.Context, d *appsv1.Deployment) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&d.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, rules.Metadata)
	return append(errs, checkDeploymentSpec(&d.Spec)...)
}

// ValidateDeploymentUpdate returns what is wrong with a change of a deployment.
func ValidateDeploymentUpdate(_ context.Context, d, old *appsv1.Deployment) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&d.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, checkDeploymentSpec(&d.Spec)...)
	return append(errs, rules.Immutable(d.Spec.Selector, old.Spec.Selector, selectorPath)...)
}

func checkDeploymentSpec(spec *appsv1.DeploymentSpec) field.ErrorList {
	errs := rules.NonNegativeIfSet(spec.Replicas, rules.Spec.Child("replicas"))
	errs = append(errs, checkSelector(spec.Selector, "deployment")...)
	errs = append(errs, checkReplicaTemplate(spec.Selector, &spec.Template)...)
	errs = append(errs, checkDeploymentStrategy(&spec.Strategy, rules.Spec.Child("strategy"))...)
	errs = append(errs, rules.NonNegative(spec.MinReadySeconds, rules.Spec.Child("minReadySeconds"))...)
	errs = append(errs, rules.NonNegativeIfSet(spec.RevisionHistoryLimit, rules.Spec.Child("revisionHistoryLimit"))...)
	if deadline := spec.ProgressDeadlineSeconds; deadline != nil {
		path := rules.Spec.Child("progressDeadlineSeconds")
		errs = append(errs, rules.NonNegative(*deadline, path)...)
		if *deadline <= spec.MinReadySeconds {
			errs = append(errs, field.Invalid(path, *deadline, "must be greater than minReadySeconds"))
		}
	}
	return errs
}

func checkDeploymentStrategy(strategy *appsv1.DeploymentStrategy, path *field.Path) field.ErrorList {
	rolling := path.Child("rollingUpdate")
	switch strategy.Type {
	case appsv1.RecreateDeploymentStrategyType:
		if strategy.RollingUpdate != nil {
			return field.ErrorList{field.Forbidden(rolling, "may not be specified when strategy `type` is 'Recreate'")}
		}
		return nil
	case appsv1.RollingUpdateDeploymentStrategyType:
		if strategy.RollingUpdate == nil {
			return field.ErrorList{field.Required(rolling, "this should be defaulted and never be nil")}
		}
		return checkRollingDeployment(strategy.RollingUpdate, rolling)
	}
	return field.ErrorList{field.NotSupported(path, strategy, []appsv1.DeploymentStrategyType{
		appsv1.RecreateDeploymentStrategyType, appsv1.RollingUpdateDeploymentStrategyType,
	})}
}

func checkRollingDeployment(r *appsv1.RollingUpdateDeployment, path *field.Path) field.ErrorList {
	var unavailable, surge intstr.IntOrString
	if r.MaxUnavailable != nil {
		unavailable = *r.MaxUnavailable
	}
	if r.MaxSurge != nil {
		surge = *r.MaxSurge
	}
	errs := rules.NonNegativeIntOrPercent(unavailable, path.Child("maxUnavailable"))
	errs = append(errs, rules.NonNegativeIntOrPercent(surge, path.Child("maxSurge"))...)
	if amount(unavailable) == 0 && amount(surge) == 0 {
		errs = append(errs, field.Invalid(path.Child("maxUnavailable"), unavailable, "may not be 0 when `maxSurge` is 0"))
	}
	return append(errs, rules.AtMost100Percent(unavailable, path.Child("maxUnavailable"))...)
}

// amount returns the count or the percentage.
func amount(value intstr.IntOrString) int {
	if n, ok := rules.Percentage(value); ok {
		return n
	}
	return value.IntValue()
}

// ValidateDeploymentStatusUpdate returns what is wrong with a new status.
func ValidateDeploymentStatusUpdate(_ context.Context, d, old *appsv1.Deployment) field.ErrorList {
	s := &d.Status
	updated, ready := counter{"updatedReplicas", s.UpdatedReplicas}, counter{"readyReplicas", s.ReadyReplicas}
	available := counter{"availableReplicas", s.AvailableReplicas}

	errs := apivalidation.ValidateObjectMetaUpdate(&d.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, checkCounters(s.ObservedGeneration, counter{"replicas", s.Replicas}, updated, ready, available,
		counter{"unavailableReplicas", s.UnavailableReplicas})...)
	errs = append(errs, rules.NonNegativeIfSet(s.TerminatingReplicas, rules.Status.Child("terminatingReplicas"))...)
	errs = append(errs, checkAtMost(s.Replicas, "status.replicas", updated, ready, available)...)
	errs = append(errs, checkAtMost(s.ReadyReplicas, "readyReplicas", available)...)
	return append(errs, checkCollisionCount(s.CollisionCount, old.Status.CollisionCount, rules.Status.Child("collisionCount"))...)
}
