// Package nodeports keeps a pod off nodes where a host port that it wants is taken.
package nodeports

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/skiff-project/skiff/scheduler/snapshot"
)

// Name of the plugin in KubeSchedulerConfiguration.
const Name = "NodePorts"

const reason = "node(s) didn't have free ports for the requested pod ports"

// Plugin implements the filter.
type Plugin struct{}

var (
	_ fwk.PreFilterPlugin   = Plugin{}
	_ fwk.FilterPlugin      = Plugin{}
	_ fwk.EnqueueExtensions = Plugin{}
)

// Name returns the plugin's name.
func (Plugin) Name() string { return Name }

// Fits reports whether none of the ports is used.
func Fits(wanted []corev1.ContainerPort, used fwk.HostPortInfo) bool {
	for _, port := range wanted {
		if used.CheckConflict(port.HostIP, string(port.Protocol), port.HostPort) {
			return false
		}
	}
	return true
}

// PreFilter skips the filter for the many pods without host ports.
func (Plugin) PreFilter(_ context.Context, _ fwk.CycleState, pod *corev1.Pod, _ []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	if len(snapshot.HostPorts(pod)) == 0 {
		return nil, fwk.NewStatus(fwk.Skip)
	}
	return nil, nil
}

// PreFilterExtensions implements framework.PreFilterPlugin.
func (Plugin) PreFilterExtensions() fwk.PreFilterExtensions { return nil }

// Filter implements framework.FilterPlugin.
func (Plugin) Filter(_ context.Context, _ fwk.CycleState, pod *corev1.Pod, node fwk.NodeInfo) *fwk.Status {
	if Fits(snapshot.HostPorts(pod), node.GetUsedPorts()) {
		return nil
	}
	return fwk.NewStatus(fwk.Unschedulable, reason)
}

// EventsToRegister implements framework.EnqueueExtensions: a pod that goes frees
// ports.
func (Plugin) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	frees := func(_ klog.Logger, pod *corev1.Pod, oldObj, _ any) (fwk.QueueingHint, error) {
		gone, ok := oldObj.(*corev1.Pod)
		if !ok {
			return fwk.Queue, nil
		}
		freed := fwk.HostPortInfo{}
		for _, port := range snapshot.HostPorts(gone) {
			freed.Add(port.HostIP, string(port.Protocol), port.HostPort)
		}
		if Fits(snapshot.HostPorts(pod), freed) {
			return fwk.QueueSkip, nil
		}
		return fwk.Queue, nil
	}
	return []fwk.ClusterEventWithHint{
		{Event: fwk.ClusterEvent{Resource: fwk.AssignedPod, ActionType: fwk.Delete}, QueueingHintFn: frees},
		{Event: fwk.ClusterEvent{Resource: fwk.Node, ActionType: fwk.Add}},
	}, nil
}
