package nodelifecycle

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// byCondition says which NoSchedule taint a condition's status means.
var byCondition = []struct {
	kind   corev1.NodeConditionType
	status corev1.ConditionStatus
	key    string
}{
	{corev1.NodeReady, corev1.ConditionFalse, corev1.TaintNodeNotReady},
	{corev1.NodeReady, corev1.ConditionUnknown, corev1.TaintNodeUnreachable},
	{corev1.NodeMemoryPressure, corev1.ConditionTrue, corev1.TaintNodeMemoryPressure},
	{corev1.NodeDiskPressure, corev1.ConditionTrue, corev1.TaintNodeDiskPressure},
	{corev1.NodeNetworkUnavailable, corev1.ConditionTrue, corev1.TaintNodeNetworkUnavailable},
	{corev1.NodePIDPressure, corev1.ConditionTrue, corev1.TaintNodePIDPressure},
}

// Eviction is what is to become of the NoExecute taints for lost nodes.
type Eviction int

const (
	// Evict puts the taint on a node that is not ready.
	Evict Eviction = iota
	// Hold leaves the node as it is: others of its zone come first.
	Hold
	// Spare takes the taint off even though the node is not ready: when nothing
	// is reachable anywhere, the fault is more likely here than there.
	Spare
)

// Taints returns the taints that a node should have, in place of those it has;
// taints of others are kept. changed is false if it has them already.
func Taints(node *corev1.Node, eviction Eviction, now time.Time) (taints []corev1.Taint, changed bool) {
	wanted := wantedTaints(node, eviction)
	out := make([]corev1.Taint, 0, len(node.Spec.Taints)+len(wanted))
	for _, taint := range node.Spec.Taints {
		keep := !ours(taint) || slices.ContainsFunc(wanted, func(w corev1.Taint) bool { return w.MatchTaint(&taint) })
		if !keep && eviction == Hold && taint.Effect == corev1.TaintEffectNoExecute && readiness(node) != corev1.ConditionTrue {
			keep = true
		}
		if keep {
			out = append(out, taint)
		}
		changed = changed || !keep
	}
	for _, w := range wanted {
		if slices.ContainsFunc(out, func(t corev1.Taint) bool { return t.MatchTaint(&w) }) {
			continue
		}
		w.TimeAdded = &metav1.Time{Time: now}
		out = append(out, w)
		changed = true
	}
	return out, changed
}

func wantedTaints(node *corev1.Node, eviction Eviction) []corev1.Taint {
	var out []corev1.Taint
	for _, rule := range byCondition {
		if c := condition(node, rule.kind); c != nil && c.Status == rule.status {
			out = append(out, corev1.Taint{Key: rule.key, Effect: corev1.TaintEffectNoSchedule})
		}
	}
	if condition(node, corev1.NodeReady) == nil {
		// It has only just registered; admission gave it this taint.
		out = append(out, corev1.Taint{Key: corev1.TaintNodeNotReady, Effect: corev1.TaintEffectNoSchedule})
	}
	if node.Spec.Unschedulable {
		out = append(out, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
	}
	if key := lostKey(node); key != "" && eviction == Evict {
		out = append(out, corev1.Taint{Key: key, Effect: corev1.TaintEffectNoExecute})
	}
	return out
}

// lostKey returns the key of the NoExecute taint that a node deserves, if any.
func lostKey(node *corev1.Node) string {
	c := condition(node, corev1.NodeReady)
	switch {
	case c == nil || c.Status == corev1.ConditionTrue:
		return ""
	case c.Status == corev1.ConditionFalse:
		return corev1.TaintNodeNotReady
	default:
		return corev1.TaintNodeUnreachable
	}
}

// hasTaint reports that the node carries a taint.
func hasTaint(node *corev1.Node, key string, effect corev1.TaintEffect) bool {
	return slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == key && t.Effect == effect })
}

// ours reports that this controller alone decides about a taint.
func ours(taint corev1.Taint) bool {
	switch taint.Effect {
	case corev1.TaintEffectNoExecute:
		return taint.Key == corev1.TaintNodeNotReady || taint.Key == corev1.TaintNodeUnreachable
	case corev1.TaintEffectNoSchedule:
		if taint.Key == corev1.TaintNodeUnschedulable {
			return true
		}
		return slices.ContainsFunc(byCondition, func(rule struct {
			kind   corev1.NodeConditionType
			status corev1.ConditionStatus
			key    string
		}) bool {
			return rule.key == taint.Key
		})
	}
	return false
}
