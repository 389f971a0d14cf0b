package tainteviction

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// Deadline says when a pod must leave a node with these taints: due is false if
// it may stay for good, and at is not after now if it must leave at once. Each
// taint counts from the time it was added, or, if that is not known, from since.
func Deadline(logger klog.Logger, taints []corev1.Taint, tolerations []corev1.Toleration, since time.Time) (at time.Time, due bool) {
	for i := range taints {
		if taints[i].Effect != corev1.TaintEffectNoExecute {
			continue
		}
		seconds, tolerated := tolerated(logger, &taints[i], tolerations)
		if !tolerated {
			return time.Time{}, true
		}
		if seconds == nil {
			continue
		}
		start := since
		if taints[i].TimeAdded != nil {
			start = taints[i].TimeAdded.Time
		}
		leave := start.Add(time.Duration(max(0, *seconds)) * time.Second)
		if !due || leave.Before(at) {
			at, due = leave, true
		}
	}
	return at, due
}

// tolerated returns for how long the tolerations bear a taint; nil: for ever. Of
// several the shortest counts.
func tolerated(logger klog.Logger, taint *corev1.Taint, tolerations []corev1.Toleration) (seconds *int64, ok bool) {
	for i := range tolerations {
		if !tolerations[i].ToleratesTaint(logger, taint, true) {
			continue
		}
		ok = true
		if s := tolerations[i].TolerationSeconds; s != nil && (seconds == nil || *s < *seconds) {
			seconds = s
		}
	}
	return seconds, ok
}

// evicting returns the taints that drive pods off.
func evicting(node *corev1.Node) []corev1.Taint {
	var out []corev1.Taint
	for _, taint := range node.Spec.Taints {
		if taint.Effect == corev1.TaintEffectNoExecute {
			out = append(out, taint)
		}
	}
	return out
}
