// Package noderesources keeps pods off nodes where what they request is not free
// (NodeResourcesFit), prefers nodes with much left, and prefers nodes whose
// resources are used evenly (NodeResourcesBalancedAllocation).
package noderesources

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/skiff-project/skiff/scheduler/snapshot"
)

// FitName is the fit plugin's name in KubeSchedulerConfiguration.
const FitName = "NodeResourcesFit"

const stateKey fwk.StateKey = FitName

// podRequests is what a pod requests, computed once a cycle.
type podRequests struct{ requested, nonZero *snapshot.Amounts }

func (p *podRequests) Clone() fwk.StateData { return p }

func requestsOf(state fwk.CycleState, pod *corev1.Pod) *podRequests {
	if data, err := state.Read(stateKey); err == nil {
		return data.(*podRequests)
	}
	requested, nonZero := snapshot.RequestsOf(pod)
	return &podRequests{requested, nonZero}
}

// Fit filters by free resources and scores by what is left (LeastAllocated).
type Fit struct{}

var (
	_ fwk.PreFilterPlugin   = Fit{}
	_ fwk.FilterPlugin      = Fit{}
	_ fwk.ScorePlugin       = Fit{}
	_ fwk.EnqueueExtensions = Fit{}
)

// Name returns the plugin's name.
func (Fit) Name() string { return FitName }

// PreFilter sums the pod's requests.
func (Fit) PreFilter(_ context.Context, state fwk.CycleState, pod *corev1.Pod, _ []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	requested, nonZero := snapshot.RequestsOf(pod)
	state.Write(stateKey, &podRequests{requested, nonZero})
	return nil, nil
}

// PreFilterExtensions implements framework.PreFilterPlugin.
func (Fit) PreFilterExtensions() fwk.PreFilterExtensions { return nil }

// Insufficient is one resource of which a node has too little.
type Insufficient struct {
	Reason string // as users read it: "Insufficient cpu"
	// Never says that even the empty node would have too little.
	Never bool
}

// Lacking returns everything of which the node has too little for the requests.
func Lacking(wanted *snapshot.Amounts, node fwk.NodeInfo) []Insufficient {
	var lacking []Insufficient
	allocatable, used := node.GetAllocatable(), node.GetRequested()
	if allowed := allocatable.GetAllowedPodNumber(); len(node.GetPods())+1 > allowed {
		lacking = append(lacking, Insufficient{Reason: "Too many pods", Never: allowed == 0})
	}
	check := func(name corev1.ResourceName, want, total, taken int64) {
		if want > 0 && want > total-taken {
			lacking = append(lacking, Insufficient{Reason: fmt.Sprintf("Insufficient %s", name), Never: want > total})
		}
	}
	check(corev1.ResourceCPU, wanted.MilliCPU, allocatable.GetMilliCPU(), used.GetMilliCPU())
	check(corev1.ResourceMemory, wanted.Memory, allocatable.GetMemory(), used.GetMemory())
	check(corev1.ResourceEphemeralStorage, wanted.EphemeralStorage, allocatable.GetEphemeralStorage(), used.GetEphemeralStorage())
	for name, want := range wanted.Scalar {
		check(name, want, allocatable.GetScalarResources()[name], used.GetScalarResources()[name])
	}
	return lacking
}

// Filter implements framework.FilterPlugin.
func (Fit) Filter(_ context.Context, state fwk.CycleState, pod *corev1.Pod, node fwk.NodeInfo) *fwk.Status {
	lacking := Lacking(requestsOf(state, pod).requested, node)
	if len(lacking) == 0 {
		return nil
	}
	code := fwk.Unschedulable
	reasons := make([]string, len(lacking))
	for i, l := range lacking {
		reasons[i] = l.Reason
		if l.Never {
			code = fwk.UnschedulableAndUnresolvable
		}
	}
	return fwk.NewStatus(code, reasons...)
}

// EventsToRegister implements framework.EnqueueExtensions.
func (Fit) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	nodeHelps := func(_ klog.Logger, pod *corev1.Pod, _, newObj any) (fwk.QueueingHint, error) {
		node, ok := newObj.(*corev1.Node)
		if !ok {
			return fwk.Queue, nil
		}
		requested, _ := snapshot.RequestsOf(pod)
		// Pods that are on the node are not known here: ask whether it could ever fit.
		if len(Lacking(requested, snapshot.NewNodeInfo(node))) > 0 {
			return fwk.QueueSkip, nil
		}
		return fwk.Queue, nil
	}
	return []fwk.ClusterEventWithHint{
		{Event: fwk.ClusterEvent{Resource: fwk.AssignedPod, ActionType: fwk.Delete | fwk.UpdatePodScaleDown}},
		{Event: fwk.ClusterEvent{Resource: fwk.TargetPod, ActionType: fwk.UpdatePodScaleDown}},
		{Event: fwk.ClusterEvent{Resource: fwk.Node, ActionType: fwk.Add | fwk.UpdateNodeAllocatable}, QueueingHintFn: nodeHelps},
	}, nil
}
