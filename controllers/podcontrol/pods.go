package podcontrol

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// ByController is the name of the index of namespaced objects by the UID of
	// their controller; objects without one are under Orphan.
	ByController = "metadata.controllerUID"
	// Orphan is the key of ByController for objects that no controller owns.
	Orphan = "orphan"
	// ByNode is the name of the index of pods by spec.nodeName.
	ByNode = "spec.nodeName"
)

// IndexByController is the index function of ByController.
func IndexByController(obj client.Object) []string {
	if ref := metav1.GetControllerOf(obj); ref != nil {
		return []string{string(ref.UID)}
	}
	return []string{Orphan}
}

// IndexByNode is the index function of ByNode; it takes pods.
func IndexByNode(obj client.Object) []string {
	pod, ok := obj.(*corev1.Pod)
	if !ok || pod.Spec.NodeName == "" {
		return nil
	}
	return []string{pod.Spec.NodeName}
}

// List returns pods from the cache. They are shared: copy before changing.
func List(ctx context.Context, reader client.Reader, opts ...client.ListOption) ([]*corev1.Pod, error) {
	var list corev1.PodList
	if err := reader.List(ctx, &list, opts...); err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	pods := make([]*corev1.Pod, len(list.Items))
	for i := range list.Items {
		pods[i] = &list.Items[i]
	}
	return pods, nil
}

// ListOwnedOrOrphan returns the pods of a namespace that the controller with
// that UID owns, and those that nobody owns. It needs the index ByController.
func ListOwnedOrOrphan(ctx context.Context, reader client.Reader, namespace string, uid types.UID) ([]*corev1.Pod, error) {
	owned, err := List(ctx, reader, client.InNamespace(namespace), client.MatchingFields{ByController: string(uid)})
	if err != nil {
		return nil, err
	}
	orphans, err := List(ctx, reader, client.InNamespace(namespace), client.MatchingFields{ByController: Orphan})
	if err != nil {
		return nil, err
	}
	return append(owned, orphans...), nil
}

// Terminal reports that the pod has ended (status.phase Succeeded or Failed).
func Terminal(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// Active reports that the pod has not ended and is not being deleted.
func Active(pod *corev1.Pod) bool {
	return !Terminal(pod) && pod.DeletionTimestamp == nil
}

// Terminating reports that the pod is being deleted but has not ended yet.
func Terminating(pod *corev1.Pod) bool {
	return !Terminal(pod) && pod.DeletionTimestamp != nil
}

// Filter returns the pods for which keep is true.
func Filter(pods []*corev1.Pod, keep func(*corev1.Pod) bool) []*corev1.Pod {
	out := make([]*corev1.Pod, 0, len(pods))
	for _, pod := range pods {
		if keep(pod) {
			out = append(out, pod)
		}
	}
	return out
}

// Condition returns the pod's condition of that type, or nil.
func Condition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// Ready reports that the pod's Ready condition is true.
func Ready(pod *corev1.Pod) bool {
	c := Condition(pod, corev1.PodReady)
	return c != nil && c.Status == corev1.ConditionTrue
}

// SetCondition replaces the pod's condition of the same type, or adds it, and
// reports whether that changed anything. The transition time of an unchanged
// status is kept.
func SetCondition(pod *corev1.Pod, c corev1.PodCondition) bool {
	old := Condition(pod, c.Type)
	if old == nil {
		pod.Status.Conditions = append(pod.Status.Conditions, c)
		return true
	}
	if old.Status == c.Status {
		c.LastTransitionTime = old.LastTransitionTime
	}
	changed := old.Status != c.Status || old.Reason != c.Reason || old.Message != c.Message || old.ObservedGeneration != c.ObservedGeneration
	*old = c
	return changed
}

// FromTemplate returns the pod that a controller's template asks for, owned by
// it, with a generated name. The template is not changed.
func FromTemplate(template *corev1.PodTemplateSpec, owner client.Object, kind schema.GroupVersionKind) *corev1.Pod {
	copied := template.DeepCopy()
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       owner.GetNamespace(),
			GenerateName:    owner.GetName() + "-",
			Labels:          copied.Labels,
			Annotations:     copied.Annotations,
			Finalizers:      copied.Finalizers,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, kind)},
		},
		Spec: copied.Spec,
	}
}
