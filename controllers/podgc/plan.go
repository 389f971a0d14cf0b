package podgc

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/controllers/podcontrol"
)

// quarantine is how long a node must be missing before its pods are taken for
// orphans: it may be about to register again.
const quarantine = 40 * time.Second

// removal is a pod to delete, without a grace period.
type removal struct {
	pod *corev1.Pod
	// reason and message go into condition DisruptionTarget; empty: the pod ended
	// by itself or never ran.
	reason, message string
	// node is the missing node, to be looked for once more.
	node string
}

// cluster is what a pass looks at.
type cluster struct {
	pods  []*corev1.Pod
	nodes map[string]*corev1.Node
	// missing says since when a node that pods name has been missing.
	missing map[string]time.Time
}

// plan returns the pods to remove: terminated ones beyond the threshold (oldest
// first, evicted ones before others; a negative threshold keeps all), those on
// nodes that are gone, those that were deleted before they got a node, and those
// that terminate on a node declared out of service. next says after how long an
// orphan's quarantine ends; 0 if none is in it.
func plan(c cluster, threshold int, now time.Time) (removals []removal, next time.Duration) {
	var terminated []*corev1.Pod
	for _, pod := range c.pods {
		switch {
		case podcontrol.Terminal(pod):
			terminated = append(terminated, pod)
		case pod.Spec.NodeName == "" && pod.DeletionTimestamp != nil:
			removals = append(removals, removal{pod: pod})
			continue
		case outOfService(c.nodes[pod.Spec.NodeName]) && pod.DeletionTimestamp != nil:
			removals = append(removals, removal{pod: pod})
			continue
		}
		since, missing := c.missing[pod.Spec.NodeName]
		if pod.Spec.NodeName == "" || c.nodes[pod.Spec.NodeName] != nil || !missing {
			continue
		}
		if wait := quarantine - now.Sub(since); wait > 0 {
			if next == 0 || wait < next {
				next = wait
			}
			continue
		}
		removals = append(removals, removal{
			pod: pod, node: pod.Spec.NodeName,
			reason: "DeletionByPodGC", message: "PodGC: node no longer exists",
		})
	}
	return append(removals, surplus(terminated, threshold)...), next
}

func surplus(terminated []*corev1.Pod, threshold int) []removal {
	n := len(terminated) - threshold
	if threshold < 0 || n <= 0 {
		return nil
	}
	slices.SortFunc(terminated, func(a, b *corev1.Pod) int {
		if x, y := a.Status.Reason == "Evicted", b.Status.Reason == "Evicted"; x != y {
			if x {
				return -1
			}
			return 1
		}
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return slices.Compare([]byte(a.Name), []byte(b.Name))
	})
	out := make([]removal, 0, n)
	for _, pod := range terminated[:n] {
		out = append(out, removal{pod: pod})
	}
	return out
}

// outOfService reports a node that somebody declared lost for good.
func outOfService(node *corev1.Node) bool {
	if node == nil {
		return false
	}
	ready := slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
	return !ready && slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService })
}
