package pod

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Condition returns the condition of the given type, or nil. It points into
// status.
func Condition(status *corev1.PodStatus, conditionType corev1.PodConditionType) *corev1.PodCondition {
	for i := range status.Conditions {
		if status.Conditions[i].Type == conditionType {
			return &status.Conditions[i]
		}
	}
	return nil
}

// IsConditionTrue reports whether the condition is there and true.
func IsConditionTrue(status *corev1.PodStatus, conditionType corev1.PodConditionType) bool {
	c := Condition(status, conditionType)
	return c != nil && c.Status == corev1.ConditionTrue
}

// IsReady reports whether the pod's Ready condition is true.
func IsReady(p *corev1.Pod) bool { return IsConditionTrue(&p.Status, corev1.PodReady) }

// IsAvailable reports whether the pod has been ready for at least
// minReadySeconds at the time now, and otherwise how long it is until then; zero
// means that the pod is not ready at all.
func IsAvailable(p *corev1.Pod, minReadySeconds int32, now time.Time) (available bool, in time.Duration) {
	ready := Condition(&p.Status, corev1.PodReady)
	if ready == nil || ready.Status != corev1.ConditionTrue {
		return false, 0
	}
	if minReadySeconds == 0 {
		return true, 0
	}
	if ready.LastTransitionTime.IsZero() {
		return false, time.Duration(minReadySeconds) * time.Second
	}
	at := ready.LastTransitionTime.Add(time.Duration(minReadySeconds) * time.Second)
	if wait := at.Sub(now); wait > 0 {
		return false, wait
	}
	return true, 0
}

// SetCondition puts condition into status in place of the one of its type. Where
// the condition's status stays, its transition time stays; where it changes and
// the new condition brings no time, now is taken. It reports whether anything
// changed.
func SetCondition(status *corev1.PodStatus, condition corev1.PodCondition, now metav1.Time) bool {
	current := Condition(status, condition.Type)
	if current == nil {
		if condition.LastTransitionTime.IsZero() {
			condition.LastTransitionTime = now
		}
		status.Conditions = append(status.Conditions, condition)
		return true
	}
	if current.Status == condition.Status {
		condition.LastTransitionTime = current.LastTransitionTime
	} else if condition.LastTransitionTime.IsZero() {
		condition.LastTransitionTime = now
	}
	changed := current.Status != condition.Status || current.Reason != condition.Reason ||
		current.Message != condition.Message || current.ObservedGeneration != condition.ObservedGeneration ||
		!current.LastProbeTime.Equal(&condition.LastProbeTime) ||
		!current.LastTransitionTime.Equal(&condition.LastTransitionTime)
	*current = condition
	return changed
}
