// Package node holds pure helpers over nodes: no client, no I/O, no clock. What
// k8s.io/component-helpers/node offers (taint matching, addresses from strings,
// conditions to be written) is not repeated here.
package node

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	rolePrefix = "node-role.kubernetes.io/"
	roleLabel  = "kubernetes.io/role"
)

// Roles returns the node's roles in order: those of its labels
// node-role.kubernetes.io/<role> and kubernetes.io/role=<role>.
func Roles(n *corev1.Node) []string {
	var roles []string
	for key, value := range n.Labels {
		if role, ok := strings.CutPrefix(key, rolePrefix); ok && role != "" {
			roles = append(roles, role)
		} else if key == roleLabel && value != "" {
			roles = append(roles, value)
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

// Address returns the node's first address of the given type, or "".
func Address(n *corev1.Node, addressType corev1.NodeAddressType) string {
	for _, address := range n.Status.Addresses {
		if address.Type == addressType {
			return address.Address
		}
	}
	return ""
}

// Condition returns the node's condition of the given type, or nil. It points
// into status.
func Condition(status *corev1.NodeStatus, conditionType corev1.NodeConditionType) *corev1.NodeCondition {
	i := slices.IndexFunc(status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == conditionType })
	if i < 0 {
		return nil
	}
	return &status.Conditions[i]
}

// IsReady reports whether the node's Ready condition is true.
func IsReady(n *corev1.Node) bool {
	ready := Condition(&n.Status, corev1.NodeReady)
	return ready != nil && ready.Status == corev1.ConditionTrue
}

// SetCondition puts condition into status in place of the one of its type. The
// transition time changes with the condition's status only. It reports whether
// anything but the heartbeat changed.
func SetCondition(status *corev1.NodeStatus, condition corev1.NodeCondition) bool {
	current := Condition(status, condition.Type)
	if current == nil {
		status.Conditions = append(status.Conditions, condition)
		return true
	}
	if current.Status == condition.Status {
		condition.LastTransitionTime = current.LastTransitionTime
	}
	changed := current.Status != condition.Status || current.Reason != condition.Reason || current.Message != condition.Message
	*current = condition
	return changed
}

// HasTaint reports whether the node has a taint of the same key and effect.
func HasTaint(n *corev1.Node, taint *corev1.Taint) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(taint) })
}

// WithTaint returns taints with the given one in place of that of the same key
// and effect. The argument is not changed.
func WithTaint(taints []corev1.Taint, taint corev1.Taint) []corev1.Taint {
	return append(WithoutTaint(taints, &taint), taint)
}

// WithoutTaint returns taints without the one of the same key and effect. The
// argument is not changed.
func WithoutTaint(taints []corev1.Taint, taint *corev1.Taint) []corev1.Taint {
	kept := make([]corev1.Taint, 0, len(taints))
	for _, t := range taints {
		if !t.MatchTaint(taint) {
			kept = append(kept, t)
		}
	}
	return kept
}

// PodCIDRs returns the ranges from which the node's pods get their addresses.
func PodCIDRs(n *corev1.Node) []string {
	if len(n.Spec.PodCIDRs) == 0 && n.Spec.PodCIDR != "" {
		return []string{n.Spec.PodCIDR}
	}
	return n.Spec.PodCIDRs
}

// NewCondition returns a condition that holds since now.
func NewCondition(conditionType corev1.NodeConditionType, status corev1.ConditionStatus, reason, message string, now metav1.Time) corev1.NodeCondition {
	return corev1.NodeCondition{
		Type: conditionType, Status: status, Reason: reason, Message: message,
		LastHeartbeatTime: now, LastTransitionTime: now,
	}
}
