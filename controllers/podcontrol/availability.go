package podcontrol

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// AvailableAt says when a pod counts as available: Ready for minReadySeconds.
// ok is false while the pod is not Ready.
func AvailableAt(pod *corev1.Pod, minReadySeconds int32) (at time.Time, ok bool) {
	c := Condition(pod, corev1.PodReady)
	if c == nil || c.Status != corev1.ConditionTrue {
		return time.Time{}, false
	}
	if minReadySeconds == 0 {
		return time.Time{}, true
	}
	if c.LastTransitionTime.IsZero() {
		return time.Time{}, false
	}
	return c.LastTransitionTime.Add(time.Duration(minReadySeconds) * time.Second), true
}

// Available reports that the pod has been Ready for minReadySeconds.
func Available(pod *corev1.Pod, minReadySeconds int32, now time.Time) bool {
	at, ok := AvailableAt(pod, minReadySeconds)
	return ok && !at.After(now)
}

// NextAvailable returns the shortest time after which one of the Ready pods that
// are not available yet becomes so; 0 when there is none.
func NextAvailable(pods []*corev1.Pod, minReadySeconds int32, now time.Time) time.Duration {
	var next time.Duration
	for _, pod := range pods {
		at, ok := AvailableAt(pod, minReadySeconds)
		if !ok || !at.After(now) {
			continue
		}
		if wait := at.Sub(now); next == 0 || wait < next {
			next = wait
		}
	}
	return next
}
