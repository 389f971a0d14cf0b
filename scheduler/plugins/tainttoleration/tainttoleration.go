// Package tainttoleration keeps pods off nodes whose NoSchedule and NoExecute
// taints they do not tolerate, and prefers nodes with few intolerable
// PreferNoSchedule taints.
package tainttoleration

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/skiff-project/skiff/scheduler/framework"
)

// Name of the plugin in KubeSchedulerConfiguration.
const Name = "TaintToleration"

const reason = "node(s) had untolerated taint(s)"

// Plugin implements the filter and the score.
type Plugin struct{}

var (
	_ fwk.FilterPlugin      = Plugin{}
	_ fwk.ScorePlugin       = Plugin{}
	_ fwk.EnqueueExtensions = Plugin{}
)

// Name returns the plugin's name.
func (Plugin) Name() string { return Name }

// Untolerated returns the first taint of the node that keeps the pod away.
func Untolerated(logger klog.Logger, pod *corev1.Pod, node *corev1.Node) (corev1.Taint, bool) {
	return corev1helpers.FindMatchingUntoleratedTaint(logger, node.Spec.Taints, pod.Spec.Tolerations, func(t *corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute
	}, false)
}

// Disliked counts the PreferNoSchedule taints of the node that the pod does not
// tolerate.
func Disliked(logger klog.Logger, pod *corev1.Pod, node *corev1.Node) int64 {
	var count int64
	for i := range node.Spec.Taints {
		taint := &node.Spec.Taints[i]
		if taint.Effect == corev1.TaintEffectPreferNoSchedule &&
			!corev1helpers.TolerationsTolerateTaint(logger, pod.Spec.Tolerations, taint, false) {
			count++
		}
	}
	return count
}

// Filter implements framework.FilterPlugin.
func (Plugin) Filter(ctx context.Context, _ fwk.CycleState, pod *corev1.Pod, node fwk.NodeInfo) *fwk.Status {
	if _, found := Untolerated(klog.FromContext(ctx), pod, node.Node()); !found {
		return nil
	}
	return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, reason)
}

// Score implements framework.ScorePlugin; NormalizeScore turns the counts round.
func (Plugin) Score(ctx context.Context, _ fwk.CycleState, pod *corev1.Pod, node fwk.NodeInfo) (int64, *fwk.Status) {
	return Disliked(klog.FromContext(ctx), pod, node.Node()), nil
}

// ScoreExtensions implements framework.ScorePlugin.
func (p Plugin) ScoreExtensions() fwk.ScoreExtensions { return p }

// NormalizeScore gives the most to the node with the fewest disliked taints.
func (Plugin) NormalizeScore(_ context.Context, _ fwk.CycleState, _ *corev1.Pod, scores fwk.NodeScoreList) *fwk.Status {
	framework.Normalize(scores, true)
	return nil
}

// EventsToRegister implements framework.EnqueueExtensions.
func (Plugin) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	helps := func(logger klog.Logger, pod *corev1.Pod, _, newObj any) (fwk.QueueingHint, error) {
		if node, ok := newObj.(*corev1.Node); ok {
			if _, found := Untolerated(logger, pod, node); found {
				return fwk.QueueSkip, nil
			}
		}
		return fwk.Queue, nil
	}
	return []fwk.ClusterEventWithHint{
		{Event: fwk.ClusterEvent{Resource: fwk.Node, ActionType: fwk.Add | fwk.UpdateNodeTaint}, QueueingHintFn: helps},
		{Event: fwk.ClusterEvent{Resource: fwk.TargetPod, ActionType: fwk.UpdatePodToleration}},
	}, nil
}
