package scheduler

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/skiff-project/skiff/scheduler/snapshot"
)

// nodeChanges says what of a node changed that plugins may wait for. old is nil
// for a new node.
func nodeChanges(old, current *corev1.Node) []fwk.ClusterEvent {
	if old == nil {
		return []fwk.ClusterEvent{{Resource: fwk.Node, ActionType: fwk.Add}}
	}
	var changes []fwk.ClusterEvent
	note := func(same bool, action fwk.ActionType) {
		if !same {
			changes = append(changes, fwk.ClusterEvent{Resource: fwk.Node, ActionType: action})
		}
	}
	same := equality.Semantic.DeepEqual
	note(same(old.Status.Allocatable, current.Status.Allocatable), fwk.UpdateNodeAllocatable)
	note(same(old.Labels, current.Labels), fwk.UpdateNodeLabel)
	note(same(old.Spec.Taints, current.Spec.Taints) && old.Spec.Unschedulable == current.Spec.Unschedulable, fwk.UpdateNodeTaint)
	note(same(conditionStates(old), conditionStates(current)), fwk.UpdateNodeCondition)
	note(same(old.Annotations, current.Annotations), fwk.UpdateNodeAnnotation)
	return changes
}

// conditionStates leaves out heartbeat times.
func conditionStates(node *corev1.Node) map[corev1.NodeConditionType]corev1.ConditionStatus {
	states := map[corev1.NodeConditionType]corev1.ConditionStatus{}
	for _, condition := range node.Status.Conditions {
		states[condition.Type] = condition.Status
	}
	return states
}

// podChanges says what of a pod changed that plugins may wait for.
func podChanges(old, current *corev1.Pod, resource fwk.EventResource) []fwk.ClusterEvent {
	var changes []fwk.ClusterEvent
	note := func(changed bool, action fwk.ActionType) {
		if changed {
			changes = append(changes, fwk.ClusterEvent{Resource: resource, ActionType: action})
		}
	}
	same := equality.Semantic.DeepEqual
	note(!same(old.Labels, current.Labels), fwk.UpdatePodLabel)
	note(!same(old.Spec.Tolerations, current.Spec.Tolerations), fwk.UpdatePodToleration)
	note(len(old.Spec.SchedulingGates) > 0 && len(current.Spec.SchedulingGates) == 0, fwk.UpdatePodSchedulingGatesEliminated)
	note(wantsLess(old, current), fwk.UpdatePodScaleDown)
	return changes
}

// wantsLess reports whether the pod requests less of anything than before.
func wantsLess(old, current *corev1.Pod) bool {
	was, _ := snapshot.RequestsOf(old)
	is, _ := snapshot.RequestsOf(current)
	if is.MilliCPU < was.MilliCPU || is.Memory < was.Memory || is.EphemeralStorage < was.EphemeralStorage {
		return true
	}
	for name, amount := range was.Scalar {
		if is.Scalar[name] < amount {
			return true
		}
	}
	return false
}
