package nodelifecycle

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reported are the conditions that the node agent must keep up to date.
var reported = []corev1.NodeConditionType{
	corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure,
}

// condition returns the node's condition of that type, or nil.
func condition(node *corev1.Node, kind corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range node.Status.Conditions {
		if node.Status.Conditions[i].Type == kind {
			return &node.Status.Conditions[i]
		}
	}
	return nil
}

// readiness returns the status of condition Ready, Unknown if it is missing.
func readiness(node *corev1.Node) corev1.ConditionStatus {
	if c := condition(node, corev1.NodeReady); c != nil {
		return c.Status
	}
	return corev1.ConditionUnknown
}

// graces are how long a node may be silent.
type graces struct {
	running time.Duration // a node that has reported before
	startup time.Duration // one that never has
}

// silentAt returns the moment at which a node counts as silent if nothing is
// heard of it after lastSign.
func silentAt(node *corev1.Node, lastSign time.Time, g graces) time.Time {
	if condition(node, corev1.NodeReady) == nil {
		return node.CreationTimestamp.Add(g.startup)
	}
	return lastSign.Add(g.running)
}

// silenced returns the conditions of a node that has fallen silent: what it
// should report is Unknown. changed is false if they say so already.
func silenced(node *corev1.Node, now time.Time) (conditions []corev1.NodeCondition, changed bool) {
	out := slices.Clone(node.Status.Conditions)
	for _, kind := range reported {
		i := slices.IndexFunc(out, func(c corev1.NodeCondition) bool { return c.Type == kind })
		switch {
		case i < 0:
			out = append(out, corev1.NodeCondition{
				Type: kind, Status: corev1.ConditionUnknown,
				Reason: "NodeStatusNeverUpdated", Message: "Kubelet never posted node status.",
				LastHeartbeatTime: node.CreationTimestamp, LastTransitionTime: metav1.NewTime(now),
			})
			changed = true
		case out[i].Status != corev1.ConditionUnknown:
			out[i].Status = corev1.ConditionUnknown
			out[i].Reason = "NodeStatusUnknown"
			out[i].Message = "Kubelet stopped posting node status."
			out[i].LastTransitionTime = metav1.NewTime(now)
			changed = true
		}
	}
	return out, changed
}
