package core

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	podhelper "github.com/skiff-project/skiff/apis/helpers/pod"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// ValidatePodCreate returns what is wrong with a new pod.
func ValidatePodCreate(_ context.Context, pod *corev1.Pod) field.ErrorList {
	errs := validatePod(pod)
	if len(pod.Spec.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(rules.Spec.Child("ephemeralContainers"), "cannot be set on create"))
	}
	if pod.Spec.NodeName != "" && len(pod.Spec.SchedulingGates) > 0 {
		errs = append(errs, field.Forbidden(rules.Spec.Child("nodeName"), "cannot be set until all schedulingGates have been cleared"))
	}
	// Only pods: templates with blanks around an image exist and must stay valid.
	return append(errs, checkImageBlanks(&pod.Spec)...)
}

// validatePod applies the rules that hold for new and for changed pods.
func validatePod(pod *corev1.Pod) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&pod.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, rules.Metadata)
	errs = append(errs, checkPodAnnotations(pod.Annotations, &pod.Spec, rules.Metadata.Child("annotations"))...)
	return append(errs, ValidatePodSpec(&pod.Spec, &pod.ObjectMeta, rules.Spec)...)
}

// checkPodAnnotations checks the annotations that mean something.
func checkPodAnnotations(annotations map[string]string, spec *corev1.PodSpec, path *field.Path) field.ErrorList {
	if value, mirror := annotations[corev1.MirrorPodAnnotationKey]; mirror && spec.NodeName == "" {
		return field.ErrorList{field.Invalid(path.Key(corev1.MirrorPodAnnotationKey), value,
			"must set spec.nodeName if mirror pod annotation is set")}
	}
	return nil
}

func checkImageBlanks(spec *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	index := map[string]int{}
	for list, c := range podhelper.Containers(spec) {
		if c.Image != strings.TrimSpace(c.Image) {
			errs = append(errs, field.Invalid(rules.Spec.Child(list).Index(index[list]).Child("image"), c.Image,
				"must not have leading or trailing whitespace"))
		}
		index[list]++
	}
	return errs
}

// ValidatePodBinding returns what is wrong with a binding of a pod to a node.
func ValidatePodBinding(binding *corev1.Binding) field.ErrorList {
	var errs field.ErrorList
	if kind := binding.Target.Kind; kind != "" && kind != "Node" {
		errs = append(errs, field.NotSupported(field.NewPath("target", "kind"), kind, []string{"Node", "<empty>"}))
	}
	return append(errs, checkRequired(binding.Target.Name, field.NewPath("target", "name"))...)
}
