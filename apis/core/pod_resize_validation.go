package core

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"

	podhelper "github.com/skiff-project/skiff/apis/helpers/pod"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// ValidatePodResize returns what is wrong with a change of resources in place:
// only CPU and memory can change, and the quality of service class stays.
func ValidatePodResize(_ context.Context, pod, old *corev1.Pod) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&pod.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, validatePod(pod)...)
	if podhelper.IsStatic(old) {
		errs = append(errs, field.Forbidden(field.NewPath(""), "static pods cannot be resized"))
	}
	if podhelper.IsTerminal(old) {
		errs = append(errs, field.Forbidden(field.NewPath(""), "pods in a terminal phase cannot be resized"))
	}
	if old.Spec.OS != nil && old.Spec.OS.Name == corev1.Windows {
		errs = append(errs, field.Forbidden(field.NewPath(""), "windows pods cannot be resized"))
	}
	if podhelper.QOSClass(old) != podhelper.ComputeQOSClass(&pod.Spec) {
		errs = append(errs, field.Invalid(rules.Spec, podhelper.ComputeQOSClass(&pod.Spec), "Pod QOS Class may not change as a result of resizing"))
	}
	if len(pod.Spec.Containers) != len(old.Spec.Containers) || len(pod.Spec.InitContainers) != len(old.Spec.InitContainers) {
		return append(errs, field.Forbidden(rules.Spec.Child("containers"), "containers may not be added or removed on resize"))
	}
	settled := pod.Spec.DeepCopy()
	for i := range settled.Containers {
		errs = append(errs, checkResize(&settled.Containers[i], &old.Spec.Containers[i], rules.Spec.Child("containers").Index(i))...)
	}
	for i := range settled.InitContainers {
		if c := &settled.InitContainers[i]; podhelper.IsSidecar(c) {
			errs = append(errs, checkResize(c, &old.Spec.InitContainers[i], rules.Spec.Child("initContainers").Index(i))...)
		}
	}
	if !equality.Semantic.DeepEqual(settled, &old.Spec) {
		errs = append(errs, field.Forbidden(rules.Spec, fmt.Sprintf("only cpu and memory resources are mutable\n%v", diff.Diff(&old.Spec, settled))))
	}
	return errs
}

// checkResize checks that nothing that was requested or limited vanishes, and puts
// CPU and memory of c back to the old values.
func checkResize(c, old *corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	restore := func(list *corev1.ResourceList, was corev1.ResourceList, path *field.Path, what string) {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			quantity, had := was[name]
			if _, has := (*list)[name]; had && !has {
				errs = append(errs, field.Forbidden(path, fmt.Sprintf("resource %s cannot be removed", what)))
			}
			if !had {
				delete(*list, name)
				continue
			}
			if *list == nil {
				*list = corev1.ResourceList{}
			}
			(*list)[name] = quantity
		}
	}
	restore(&c.Resources.Limits, old.Resources.Limits, path.Child("resources", "limits"), "limits")
	restore(&c.Resources.Requests, old.Resources.Requests, path.Child("resources", "requests"), "requests")
	return errs
}
