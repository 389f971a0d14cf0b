package status

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/apis/helpers/pod"
)

const (
	reasonContainersNotReady       = "ContainersNotReady"
	reasonContainersNotInitialized = "ContainersNotInitialized"
	reasonGatesNotReady            = "ReadinessGatesNotReady"
	reasonUnknownStatuses          = "UnknownContainerStatuses"
	reasonPodCompleted             = "PodCompleted"
	reasonPodFailed                = "PodFailed"
)

// setConditions puts the conditions that the node agent owns in place.
func setConditions(s *corev1.PodStatus, in *Input) {
	containersReady := containersReadyCondition(in, s)
	conditions := []corev1.PodCondition{
		{Type: corev1.PodReadyToStartContainers, Status: conditionStatus(in.NetworkReady)},
		initializedCondition(in, s),
		readyCondition(in, s, containersReady),
		containersReady,
	}
	if pod.Condition(s, corev1.PodScheduled) == nil {
		conditions = append(conditions, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue})
	}
	for i := range conditions {
		conditions[i].ObservedGeneration = in.Pod.Generation
		pod.SetCondition(s, conditions[i], in.Now)
	}
	// Ours first and in kube's order: describe shows them as they are.
	slices.SortStableFunc(s.Conditions, func(a, b corev1.PodCondition) int { return rank(conditions, a.Type) - rank(conditions, b.Type) })
}

func rank(conditions []corev1.PodCondition, conditionType corev1.PodConditionType) int {
	for i := range conditions {
		if conditions[i].Type == conditionType {
			return i
		}
	}
	return len(conditions)
}

func conditionStatus(value bool) corev1.ConditionStatus {
	if value {
		return corev1.ConditionTrue
	}
	return corev1.ConditionFalse
}

func initializedCondition(in *Input, s *corev1.PodStatus) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}
	if s.Phase == corev1.PodSucceeded {
		c.Reason = reasonPodCompleted
		return c
	}
	if in.initialized() {
		return c // also where ended init containers have been removed
	}
	var incomplete []string
	for i := range in.Pod.Spec.InitContainers {
		spec := &in.Pod.Spec.InitContainers[i]
		found := pod.ContainerStatus(s.InitContainerStatuses, spec.Name)
		done := found != nil && found.Ready
		if pod.IsSidecar(spec) {
			done = found != nil && found.Started != nil && *found.Started
		}
		if !done {
			incomplete = append(incomplete, spec.Name)
		}
	}
	if len(incomplete) > 0 {
		c.Status = corev1.ConditionFalse
		c.Reason = reasonContainersNotInitialized
		c.Message = fmt.Sprintf("containers with incomplete status: %s", list(incomplete))
	}
	return c
}

func containersReadyCondition(in *Input, s *corev1.PodStatus) corev1.PodCondition {
	c := corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionFalse}
	switch s.Phase {
	case corev1.PodSucceeded:
		c.Reason = reasonPodCompleted
		return c
	case corev1.PodFailed:
		c.Reason = reasonPodFailed
		return c
	}
	if s.ContainerStatuses == nil {
		c.Reason = reasonUnknownStatuses
		return c
	}
	var unready []string
	for i := range in.Pod.Spec.InitContainers {
		if !pod.IsSidecar(&in.Pod.Spec.InitContainers[i]) {
			continue
		}
		if found := pod.ContainerStatus(s.InitContainerStatuses, in.Pod.Spec.InitContainers[i].Name); found == nil || !found.Ready {
			unready = append(unready, in.Pod.Spec.InitContainers[i].Name)
		}
	}
	for i := range s.ContainerStatuses {
		if !s.ContainerStatuses[i].Ready {
			unready = append(unready, s.ContainerStatuses[i].Name)
		}
	}
	if len(unready) > 0 {
		c.Reason = reasonContainersNotReady
		c.Message = fmt.Sprintf("containers with unready status: %s", list(unready))
		return c
	}
	c.Status = corev1.ConditionTrue
	return c
}

func readyCondition(in *Input, s *corev1.PodStatus, containersReady corev1.PodCondition) corev1.PodCondition {
	if containersReady.Status != corev1.ConditionTrue {
		containersReady.Type = corev1.PodReady
		return containersReady
	}
	c := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue}
	var problems []string
	for _, gate := range in.Pod.Spec.ReadinessGates {
		found := pod.Condition(s, gate.ConditionType)
		switch {
		case found == nil:
			problems = append(problems, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", gate.ConditionType))
		case found.Status != corev1.ConditionTrue:
			problems = append(problems, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %v", gate.ConditionType, found.Status))
		}
	}
	if len(problems) > 0 {
		c.Status = corev1.ConditionFalse
		c.Reason = reasonGatesNotReady
		c.Message = strings.Join(problems, ", ")
	}
	return c
}

// list formats names as kube does: [a b].
func list(names []string) string { return "[" + strings.Join(names, " ") + "]" }
