package podcontrol

import (
	"math"
	"sort"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Victims returns the n pods to delete first when a set shrinks, in this order
// of precedence: not assigned to a node; Pending, then Unknown, then Running;
// not ready; lower deletion cost (annotation
// controller.kubernetes.io/pod-deletion-cost, KEP-2255); more related pods on the
// same node; ready for a shorter time; more restarts; younger. Times are
// compared by the logarithm of their distance to now (KEP-2185), and pods of the
// same magnitude by UID, so that old pods are not always spared.
//
// related are all active pods of the same application; they tell how crowded a
// node is.
func Victims(pods, related []*corev1.Pod, n int, now time.Time) []*corev1.Pod {
	if n >= len(pods) {
		return pods
	}
	if n <= 0 {
		return nil
	}
	crowd := make(map[string]int)
	for _, pod := range related {
		if Active(pod) {
			crowd[pod.Spec.NodeName]++
		}
	}
	sorted := append([]*corev1.Pod(nil), pods...)
	sort.SliceStable(sorted, func(i, j int) bool { return before(sorted[i], sorted[j], crowd, now) })
	return sorted[:n]
}

// before reports that a is to be deleted before b.
func before(a, b *corev1.Pod, crowd map[string]int, now time.Time) bool {
	if x, y := a.Spec.NodeName == "", b.Spec.NodeName == ""; x != y {
		return x
	}
	if x, y := phaseRank(a), phaseRank(b); x != y {
		return x < y
	}
	readyA, readyB := Ready(a), Ready(b)
	if readyA != readyB {
		return readyB
	}
	if x, y := DeletionCost(a), DeletionCost(b); x != y {
		return x < y
	}
	if x, y := crowd[a.Spec.NodeName], crowd[b.Spec.NodeName]; x != y {
		return x > y
	}
	if readyA && readyB {
		x, y := Condition(a, corev1.PodReady).LastTransitionTime.Time, Condition(b, corev1.PodReady).LastTransitionTime.Time
		if !x.Equal(y) {
			return younger(a, b, x, y, now)
		}
	}
	if x, y := restarts(a), restarts(b); x != y {
		return x > y
	}
	if x, y := a.CreationTimestamp.Time, b.CreationTimestamp.Time; !x.Equal(y) {
		return younger(a, b, x, y, now)
	}
	return false
}

func phaseRank(pod *corev1.Pod) int {
	switch pod.Status.Phase {
	case corev1.PodUnknown:
		return 1
	case corev1.PodRunning:
		return 2
	default:
		return 0
	}
}

// DeletionCost returns the pod's deletion cost; an absent or malformed
// annotation costs nothing.
func DeletionCost(pod *corev1.Pod) int32 {
	value := pod.Annotations[corev1.PodDeletionCost]
	// "+5" and "007" are refused by validation; old objects may still have them.
	if value == "" || value[0] == '+' || (len(value) > 1 && value[0] == '0') {
		return 0
	}
	cost, err := strconv.ParseInt(value, 10, 32)
	if err != nil {
		return 0
	}
	return int32(cost)
}

// restarts returns the highest restart count of the pod's containers, or of its
// sidecars where these restarted more often.
func restarts(pod *corev1.Pod) int32 {
	var most int32
	for _, c := range pod.Status.ContainerStatuses {
		most = max(most, c.RestartCount)
	}
	sidecars := make(map[string]bool)
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			sidecars[c.Name] = true
		}
	}
	for _, c := range pod.Status.InitContainerStatuses {
		if sidecars[c.Name] {
			most = max(most, c.RestartCount)
		}
	}
	return most
}

// younger reports that time x of pod a is so much nearer to now than y of b that
// a goes first. A time that was never set is the youngest.
func younger(a, b *corev1.Pod, x, y, now time.Time) bool {
	if x.IsZero() || y.IsZero() {
		return x.IsZero()
	}
	magA, magB := magnitude(now.Sub(x)), magnitude(now.Sub(y))
	if magA == magB {
		return a.UID < b.UID
	}
	return magA < magB
}

func magnitude(d time.Duration) int64 {
	if d <= 0 {
		return -1
	}
	return int64(math.Log2(float64(d)))
}
