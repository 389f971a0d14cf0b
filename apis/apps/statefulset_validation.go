package apps

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/core"
	"github.com/skiff-project/skiff/apis/resource/rules"
)

// ValidateStatefulSet returns what is wrong with a new stateful set.
func ValidateStatefulSet(_ context.Context, sts *appsv1.StatefulSet) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&sts.ObjectMeta, true, apivalidation.NameIsDNSLabel, rules.Metadata)
	errs = append(errs, checkStatefulSetSpec(&sts.Spec)...)
	errs = append(errs, checkStatefulTemplate(&sts.Spec)...)
	if name := sts.Spec.ServiceName; name != "" {
		errs = append(errs, rules.Invalid(rules.Spec.Child("serviceName"), name, validation.IsDNS1123Label(name)...)...)
	}
	return errs
}

// ValidateStatefulSetUpdate returns what is wrong with a change of a stateful
// set. A template that did not change is taken as it is: sets of old may have
// one that today's rules refuse.
func ValidateStatefulSetUpdate(_ context.Context, sts, old *appsv1.StatefulSet) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&sts.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, checkStatefulSetSpec(&sts.Spec)...)
	if !equality.Semantic.DeepEqual(sts.Spec.Template, old.Spec.Template) {
		errs = append(errs, checkStatefulTemplate(&sts.Spec)...)
	}

	allowed := old.Spec.DeepCopy()
	allowed.Replicas = sts.Spec.Replicas
	allowed.Template = sts.Spec.Template
	allowed.UpdateStrategy = sts.Spec.UpdateStrategy
	allowed.MinReadySeconds = sts.Spec.MinReadySeconds
	allowed.Ordinals = sts.Spec.Ordinals
	allowed.RevisionHistoryLimit = sts.Spec.RevisionHistoryLimit
	allowed.PersistentVolumeClaimRetentionPolicy = sts.Spec.PersistentVolumeClaimRetentionPolicy
	if !equality.Semantic.DeepEqual(&sts.Spec, allowed) {
		errs = append(errs, field.Forbidden(rules.Spec, "updates to statefulset spec for fields other than 'replicas', 'ordinals', "+
			"'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"))
	}
	return errs
}

func checkStatefulSetSpec(spec *appsv1.StatefulSetSpec) field.ErrorList {
	errs := checkPodManagement(spec.PodManagementPolicy, rules.Spec.Child("podManagementPolicy"))
	errs = append(errs, checkStatefulSetStrategy(&spec.UpdateStrategy, rules.Spec.Child("updateStrategy"))...)
	if policy := spec.PersistentVolumeClaimRetentionPolicy; policy != nil {
		path := rules.Spec.Child("persistentVolumeClaimRetentionPolicy")
		errs = append(errs, checkClaimRetention(policy.WhenDeleted, path.Child("whenDeleted"))...)
		errs = append(errs, checkClaimRetention(policy.WhenScaled, path.Child("whenScaled"))...)
	}
	errs = append(errs, rules.NonNegativeIfSet(spec.Replicas, rules.Spec.Child("replicas"))...)
	errs = append(errs, rules.NonNegative(spec.MinReadySeconds, rules.Spec.Child("minReadySeconds"))...)
	if spec.Ordinals != nil {
		errs = append(errs, rules.NonNegative(spec.Ordinals.Start, rules.Spec.Child("ordinals", "start"))...)
	}
	errs = append(errs, checkSelector(spec.Selector, "statefulset")...)
	errs = append(errs, checkSelects(spec.Selector, &spec.Template)...)
	return append(errs, checkRunsForever(&spec.Template.Spec, "StatefulSet")...)
}

func checkPodManagement(policy appsv1.PodManagementPolicyType, path *field.Path) field.ErrorList {
	switch policy {
	case "":
		return field.ErrorList{field.Required(path, "")}
	case appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement:
		return nil
	}
	return field.ErrorList{field.Invalid(path, policy, fmt.Sprintf("must be '%s' or '%s'", appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement))}
}

func checkClaimRetention(policy appsv1.PersistentVolumeClaimRetentionPolicyType, path *field.Path) field.ErrorList {
	return rules.Enum(policy, path, appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType)
}

func checkStatefulSetStrategy(strategy *appsv1.StatefulSetUpdateStrategy, path *field.Path) field.ErrorList {
	rolling := path.Child("rollingUpdate")
	switch strategy.Type {
	case "":
		return field.ErrorList{field.Required(path, "")}
	case appsv1.OnDeleteStatefulSetStrategyType:
		if strategy.RollingUpdate != nil {
			return field.ErrorList{field.Invalid(rolling, strategy.RollingUpdate,
				fmt.Sprintf("only allowed for updateStrategy '%s'", appsv1.RollingUpdateStatefulSetStrategyType))}
		}
		return nil
	case appsv1.RollingUpdateStatefulSetStrategyType:
		if strategy.RollingUpdate == nil {
			return nil
		}
		return checkRollingStatefulSet(strategy.RollingUpdate, rolling)
	}
	return field.ErrorList{field.Invalid(path, strategy, fmt.Sprintf("must be '%s' or '%s'",
		appsv1.RollingUpdateStatefulSetStrategyType, appsv1.OnDeleteStatefulSetStrategyType))}
}

func checkRollingStatefulSet(r *appsv1.RollingUpdateStatefulSetStrategy, path *field.Path) field.ErrorList {
	errs := rules.NonNegativeIfSet(r.Partition, path.Child("partition"))
	if r.MaxUnavailable == nil {
		return errs
	}
	at := path.Child("maxUnavailable")
	errs = append(errs, rules.NonNegativeIntOrPercent(*r.MaxUnavailable, at)...)
	if amount(*r.MaxUnavailable) == 0 {
		errs = append(errs, field.Invalid(at, *r.MaxUnavailable, "cannot be 0"))
	}
	return append(errs, rules.AtMost100Percent(*r.MaxUnavailable, at)...)
}

// checkStatefulTemplate checks the template with the volumes that the
// controller adds to each pod: one for each claim template, which takes the
// place of a volume of the same name.
func checkStatefulTemplate(spec *appsv1.StatefulSetSpec) field.ErrorList {
	template := spec.Template.DeepCopy()
	claimed := map[string]bool{}
	for _, claim := range spec.VolumeClaimTemplates {
		claimed[claim.Name] = true
	}
	volumes := make([]corev1.Volume, 0, len(template.Spec.Volumes)+len(claimed))
	for _, v := range template.Spec.Volumes {
		if !claimed[v.Name] {
			volumes = append(volumes, v)
		}
	}
	for _, claim := range spec.VolumeClaimTemplates {
		volumes = append(volumes, corev1.Volume{Name: claim.Name, VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name},
		}})
	}
	template.Spec.Volumes = volumes
	return core.ValidatePodTemplateSpec(template, rules.Template)
}

// ValidateStatefulSetStatusUpdate returns what is wrong with a new status.
func ValidateStatefulSetStatusUpdate(_ context.Context, sts, old *appsv1.StatefulSet) field.ErrorList {
	s := &sts.Status
	ready, available := counter{"readyReplicas", s.ReadyReplicas}, counter{"availableReplicas", s.AvailableReplicas}
	current, updated := counter{"currentReplicas", s.CurrentReplicas}, counter{"updatedReplicas", s.UpdatedReplicas}

	errs := apivalidation.ValidateObjectMetaUpdate(&sts.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, checkCounters(s.ObservedGeneration, counter{"replicas", s.Replicas}, ready, current, updated, available)...)
	errs = append(errs, checkAtMost(s.Replicas, "status.replicas", ready, current, updated, available)...)
	errs = append(errs, checkAtMost(s.ReadyReplicas, "status.readyReplicas", available)...)
	return append(errs, checkCollisionCount(s.CollisionCount, old.Status.CollisionCount, rules.Status.Child("collisionCount"))...)
}
