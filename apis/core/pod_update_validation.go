package core

import (
	"context"
	"fmt"
	"math"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	podhelper "github.com/skiff-project/skiff/apis/helpers/pod"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

const mutablePodFields = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`," +
	"`spec.tolerations` (only additions to existing tolerations)," +
	"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"

// ValidatePodUpdate returns what is wrong with a change of a pod: nearly all of
// its spec is settled when it is created.
func ValidatePodUpdate(_ context.Context, pod, old *corev1.Pod) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&pod.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, checkMirrorUnchanged(pod, old)...)
	if len(pod.Spec.Containers) != len(old.Spec.Containers) {
		return append(errs, field.Forbidden(rules.Spec.Child("containers"), "pod updates may not add or remove containers"))
	}
	if len(pod.Spec.InitContainers) != len(old.Spec.InitContainers) {
		return append(errs, field.Forbidden(rules.Spec.Child("initContainers"), "pod updates may not add or remove containers"))
	}
	errs = append(errs, checkChangedImages(pod, old)...)
	errs = append(errs, checkDeadline(pod.Spec.ActiveDeadlineSeconds, old.Spec.ActiveDeadlineSeconds, rules.Spec.Child("activeDeadlineSeconds"))...)
	errs = append(errs, checkGatesOnlyRemoved(pod, old)...)
	errs = append(errs, checkTolerationsOnlyAdded(pod, old)...)

	settled := withMutableFieldsOf(pod, old)
	if equality.Semantic.DeepEqual(settled, &old.Spec) {
		return errs
	}
	if len(old.Spec.SchedulingGates) > 0 {
		errs = append(errs, checkGatedPlacement(settled, &old.Spec)...)
		if equality.Semantic.DeepEqual(settled, &old.Spec) {
			return errs
		}
	}
	return append(errs, field.Forbidden(rules.Spec, fmt.Sprintf("pod updates may not change fields other than %s\n%v",
		mutablePodFields, diff.Diff(&old.Spec, settled))))
}

// withMutableFieldsOf returns the pod's spec with everything that may change put
// back to what the old one has; what differs still was changed unlawfully.
func withMutableFieldsOf(pod, old *corev1.Pod) *corev1.PodSpec {
	spec := pod.Spec.DeepCopy()
	for i := range spec.Containers {
		spec.Containers[i].Image = old.Spec.Containers[i].Image
	}
	for i := range spec.InitContainers {
		spec.InitContainers[i].Image = old.Spec.InitContainers[i].Image
	}
	spec.ActiveDeadlineSeconds = old.Spec.ActiveDeadlineSeconds
	spec.Tolerations = old.Spec.Tolerations
	spec.SchedulingGates = old.Spec.SchedulingGates
	if grace, was := spec.TerminationGracePeriodSeconds, old.Spec.TerminationGracePeriodSeconds; grace != nil && *grace == 1 && was != nil && *was < 0 {
		spec.TerminationGracePeriodSeconds = was
	}
	spec.DeprecatedServiceAccount = old.Spec.DeprecatedServiceAccount
	return spec
}

func checkMirrorUnchanged(pod, old *corev1.Pod) field.ErrorList {
	value, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	was, wasMirror := old.Annotations[corev1.MirrorPodAnnotationKey]
	at := rules.Metadata.Child("annotations").Key(corev1.MirrorPodAnnotationKey)
	switch {
	case mirror && !wasMirror:
		return field.ErrorList{field.Forbidden(at, "may not add mirror pod annotation")}
	case !mirror && wasMirror:
		return field.ErrorList{field.Forbidden(at, "may not remove mirror pod annotation")}
	case value != was:
		return field.ErrorList{field.Forbidden(at, "may not update mirror pod annotation")}
	}
	return nil
}

// checkChangedImages checks the images that the update sets.
func checkChangedImages(pod, old *corev1.Pod) field.ErrorList {
	var errs field.ErrorList
	for i, c := range pod.Spec.Containers {
		if c.Image != old.Spec.Containers[i].Image {
			errs = append(errs, checkRequired(c.Image, rules.Spec.Child("containers").Index(i).Child("image"))...)
		}
	}
	for i, c := range pod.Spec.InitContainers {
		if c.Image != old.Spec.InitContainers[i].Image {
			errs = append(errs, checkRequired(c.Image, rules.Spec.Child("initContainers").Index(i).Child("image"))...)
		}
	}
	return append(errs, checkImageBlanks(&pod.Spec)...)
}

// checkDeadline checks that a deadline only comes nearer.
func checkDeadline(deadline, old *int64, path *field.Path) field.ErrorList {
	if deadline == nil {
		if old != nil {
			return field.ErrorList{field.Invalid(path, deadline, "must not update from a positive integer to nil value")}
		}
		return nil
	}
	if *deadline < 0 || *deadline > math.MaxInt32 {
		return field.ErrorList{field.Invalid(path, *deadline, validation.InclusiveRangeError(0, math.MaxInt32))}
	}
	if old != nil && *old < *deadline {
		return field.ErrorList{field.Invalid(path, *deadline, "must be less than or equal to previous value")}
	}
	return nil
}

func checkGatesOnlyRemoved(pod, old *corev1.Pod) field.ErrorList {
	had := sets.New(old.Spec.SchedulingGates...)
	for i, gate := range pod.Spec.SchedulingGates {
		if !had.Has(gate) {
			return field.ErrorList{field.Forbidden(rules.Spec.Child("schedulingGates").Index(i),
				fmt.Sprintf("only deletion is allowed, but found new scheduling gate '%s'", gate.Name))}
		}
	}
	return nil
}

// checkTolerationsOnlyAdded checks that every old toleration is there still; only
// its duration may have changed.
func checkTolerationsOnlyAdded(pod, old *corev1.Pod) field.ErrorList {
	path := rules.Spec.Child("tolerations")
	for _, was := range old.Spec.Tolerations {
		was.TolerationSeconds = nil
		kept := false
		for _, is := range pod.Spec.Tolerations {
			is.TolerationSeconds = nil
			kept = kept || is == was
		}
		if !kept {
			return field.ErrorList{field.Forbidden(path, "existing toleration can not be modified except its tolerationSeconds")}
		}
	}
	if reflect.DeepEqual(pod.Spec.Tolerations, old.Spec.Tolerations) {
		return nil
	}
	return checkTolerations(pod.Spec.Tolerations, path)
}

// ValidatePodEphemeralContainersUpdate returns what is wrong with a change through
// /ephemeralcontainers: they can be added, and that is all.
func ValidatePodEphemeralContainersUpdate(_ context.Context, pod, old *corev1.Pod) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&pod.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, validatePod(pod)...)
	if podhelper.IsStatic(old) {
		return append(errs, field.Forbidden(field.NewPath(""), "static pods do not support ephemeral containers"))
	}
	path := rules.Spec.Child("ephemeralContainers")
	now := map[string]*corev1.EphemeralContainer{}
	for i := range pod.Spec.EphemeralContainers {
		now[pod.Spec.EphemeralContainers[i].Name] = &pod.Spec.EphemeralContainers[i]
	}
	for i := range old.Spec.EphemeralContainers {
		was := &old.Spec.EphemeralContainers[i]
		is := now[was.Name]
		switch {
		case is == nil:
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("existing ephemeral containers %q may not be removed\n", was.Name)))
		case !equality.Semantic.DeepEqual(is, was):
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("existing ephemeral containers %q may not be changed\n%v", was.Name, diff.Diff(was, is))))
		}
	}
	return errs
}
