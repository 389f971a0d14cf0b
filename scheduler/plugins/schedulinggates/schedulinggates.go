// Package schedulinggates holds back pods that have scheduling gates (KEP-3521).
package schedulinggates

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
)

// Name of the plugin in KubeSchedulerConfiguration.
const Name = "SchedulingGates"

// Plugin implements the gate.
type Plugin struct{}

var (
	_ fwk.PreEnqueuePlugin  = Plugin{}
	_ fwk.EnqueueExtensions = Plugin{}
)

// Name returns the plugin's name.
func (Plugin) Name() string { return Name }

// PreEnqueue implements framework.PreEnqueuePlugin.
func (Plugin) PreEnqueue(_ context.Context, pod *corev1.Pod) *fwk.Status {
	if len(pod.Spec.SchedulingGates) == 0 {
		return nil
	}
	names := make([]string, len(pod.Spec.SchedulingGates))
	for i, gate := range pod.Spec.SchedulingGates {
		names[i] = gate.Name
	}
	return fwk.NewStatus(fwk.UnschedulableAndUnresolvable, fmt.Sprintf("waiting for scheduling gates: %v", names))
}

// EventsToRegister implements framework.EnqueueExtensions: only the pod's own
// update opens its gates.
func (Plugin) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	return []fwk.ClusterEventWithHint{{Event: fwk.ClusterEvent{Resource: fwk.TargetPod, ActionType: fwk.UpdatePodSchedulingGatesEliminated}}}, nil
}
