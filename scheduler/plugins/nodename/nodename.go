// Package nodename filters out every node but the one that spec.nodeName names.
package nodename

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// Name of the plugin in KubeSchedulerConfiguration.
const Name = "NodeName"

const reason = "node(s) didn't match the requested node name"

// Plugin implements the filter.
type Plugin struct{}

var (
	_ fwk.FilterPlugin      = Plugin{}
	_ fwk.EnqueueExtensions = Plugin{}
)

// Name returns the plugin's name.
func (Plugin) Name() string { return Name }

// Fits reports whether the pod may be on the node.
func Fits(pod *corev1.Pod, node *corev1.Node) bool {
	return pod.Spec.NodeName == "" || pod.Spec.NodeName == node.Name
}

// Filter implements framework.FilterPlugin.
func (Plugin) Filter(_ context.Context, _ fwk.CycleState, pod *corev1.Pod, node fwk.NodeInfo) *fwk.Status {
	if Fits(pod, node.Node()) {
		return nil
	}
	return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, reason)
}

// EventsToRegister implements framework.EnqueueExtensions: only a new node can help.
func (Plugin) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	return []fwk.ClusterEventWithHint{{Event: fwk.ClusterEvent{Resource: fwk.Node, ActionType: fwk.Add}}}, nil
}
