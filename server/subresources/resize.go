package subresources

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/core"
	podhelper "github.com/skiff-project/skiff/apis/helpers/pod"
)

func equalSpecs(a, b *corev1.Pod) bool { return equality.Semantic.DeepEqual(a.Spec, b.Spec) }

// takeResources copies what a resize may change: the resources and resize
// policies of containers.
func takeResources(pod, from *corev1.Pod) {
	copyContainers := func(to, from []corev1.Container) {
		for i := range to {
			if i < len(from) && to[i].Name == from[i].Name {
				to[i].Resources, to[i].ResizePolicy = from[i].Resources, from[i].ResizePolicy
			}
		}
	}
	copyContainers(pod.Spec.Containers, from.Spec.Containers)
	copyContainers(pod.Spec.InitContainers, from.Spec.InitContainers)
}

// validateResize returns what is wrong with a change through /resize (KEP-1287):
// only the cpu and memory of containers change, and the pod stays in its class of
// service.
func validateResize(_ context.Context, pod, old *corev1.Pod) field.ErrorList {
	path := field.NewPath("spec")
	errs := apivalidation.ValidateObjectMetaUpdate(&pod.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	if podhelper.IsStatic(old) {
		return append(errs, field.Forbidden(field.NewPath(""), "static pods cannot be resized"))
	}
	errs = append(errs, core.ValidatePodSpec(&pod.Spec, &pod.ObjectMeta, path)...)
	if podhelper.ComputeQOSClass(&pod.Spec) != podhelper.QOSClass(old) {
		errs = append(errs, field.Invalid(path, podhelper.ComputeQOSClass(&pod.Spec), "Pod QOS Class may not change as a result of resizing"))
	}
	check := func(now, was []corev1.Container, path *field.Path) {
		for i := range now {
			at := path.Index(i).Child("resources")
			errs = append(errs, checkResized(now[i].Resources.Requests, was[i].Resources.Requests, at.Child("requests"))...)
			errs = append(errs, checkResized(now[i].Resources.Limits, was[i].Resources.Limits, at.Child("limits"))...)
		}
	}
	check(pod.Spec.Containers, old.Spec.Containers, path.Child("containers"))
	check(pod.Spec.InitContainers, old.Spec.InitContainers, path.Child("initContainers"))
	return errs
}

func checkResized(now, was corev1.ResourceList, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for name, quantity := range was {
		changed, kept := now[name]
		switch {
		case !kept:
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("resource %s cannot be removed", path.String())))
		case mutable(name):
		case changed.Cmp(quantity) != 0:
			errs = append(errs, field.Forbidden(path.Key(string(name)), "only cpu and memory resources are mutable"))
		}
	}
	for name := range now {
		if _, had := was[name]; !had && !mutable(name) {
			errs = append(errs, field.Forbidden(path.Key(string(name)), "only cpu and memory resources are mutable"))
		}
	}
	return errs
}

func mutable(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory
}
