// Package nodeunschedulable filters out nodes that are cordoned
// (spec.unschedulable), unless the pod tolerates the taint that stands for it.
package nodeunschedulable

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	corev1helpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
)

// Name of the plugin in KubeSchedulerConfiguration.
const Name = "NodeUnschedulable"

const reason = "node(s) were unschedulable"

// Plugin implements the filter.
type Plugin struct{}

var (
	_ fwk.FilterPlugin      = Plugin{}
	_ fwk.EnqueueExtensions = Plugin{}
)

// Name returns the plugin's name.
func (Plugin) Name() string { return Name }

// Fits reports whether the pod may be placed on the node.
func Fits(logger klog.Logger, pod *corev1.Pod, node *corev1.Node) bool {
	if !node.Spec.Unschedulable {
		return true
	}
	taint := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	return corev1helpers.TolerationsTolerateTaint(logger, pod.Spec.Tolerations, &taint, false)
}

// Filter implements framework.FilterPlugin.
func (Plugin) Filter(ctx context.Context, _ fwk.CycleState, pod *corev1.Pod, node fwk.NodeInfo) *fwk.Status {
	if Fits(klog.FromContext(ctx), pod, node.Node()) {
		return nil
	}
	return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, reason)
}

// EventsToRegister implements framework.EnqueueExtensions.
func (Plugin) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	helps := func(logger klog.Logger, pod *corev1.Pod, _, newObj any) (fwk.QueueingHint, error) {
		if node, ok := newObj.(*corev1.Node); ok && !Fits(logger, pod, node) {
			return fwk.QueueSkip, nil
		}
		return fwk.Queue, nil
	}
	return []fwk.ClusterEventWithHint{
		{Event: fwk.ClusterEvent{Resource: fwk.Node, ActionType: fwk.Add | fwk.UpdateNodeTaint}, QueueingHintFn: helps},
		{Event: fwk.ClusterEvent{Resource: fwk.TargetPod, ActionType: fwk.UpdatePodToleration}},
	}, nil
}
