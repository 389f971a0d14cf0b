package pod

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// reasonNodeLost is the status reason of a pod whose node went away.
const reasonNodeLost = "NodeLost"

// Summary is what kubectl shows about a pod in one line.
type Summary struct {
	Reason      string // the STATUS column: Running, Init:0/1, CrashLoopBackOff, ...
	Ready       int    // ready containers, sidecars included
	Total       int    // of so many
	Restarts    int
	LastRestart time.Time // zero if no restart is known
}

// Summarize returns the one-line view of the pod's status.
func Summarize(p *corev1.Pod) Summary {
	s := Summary{Reason: string(p.Status.Phase), Total: len(p.Spec.Containers)}
	if p.Status.Reason != "" {
		s.Reason = p.Status.Reason
	}
	if c := Condition(&p.Status, corev1.PodScheduled); c != nil && c.Reason == corev1.PodReasonSchedulingGated {
		s.Reason = corev1.PodReasonSchedulingGated
	}
	sidecars := map[string]bool{}
	for i := range p.Spec.InitContainers {
		if IsSidecar(&p.Spec.InitContainers[i]) {
			sidecars[p.Spec.InitContainers[i].Name] = true
			s.Total++
		}
	}
	initializing := s.addInitContainers(p, sidecars)
	if !initializing || IsConditionTrue(&p.Status, corev1.PodInitialized) {
		s.addContainers(p, sidecars)
	}
	switch {
	case !IsTerminating(p):
	case p.Status.Reason == reasonNodeLost:
		s.Reason = "Unknown"
	case !IsTerminal(p):
		s.Reason = "Terminating"
	}
	return s
}

// addInitContainers looks at the init containers in their order up to the first
// that is still to finish, and reports whether there is one.
func (s *Summary) addInitContainers(p *corev1.Pod, sidecars map[string]bool) (initializing bool) {
	for i := range p.Status.InitContainerStatuses {
		c := &p.Status.InitContainerStatuses[i]
		s.addRestarts(c)
		state := &c.State
		switch {
		case state.Terminated != nil && state.Terminated.ExitCode == 0:
			continue
		case sidecars[c.Name] && c.Started != nil && *c.Started:
			if c.Ready {
				s.Ready++
			}
			continue
		case state.Terminated != nil:
			s.Reason = "Init:" + terminationReason(state.Terminated)
		case state.Waiting != nil && state.Waiting.Reason != "" && state.Waiting.Reason != "PodInitializing":
			s.Reason = "Init:" + state.Waiting.Reason
		default:
			s.Reason = fmt.Sprintf("Init:%d/%d", i, len(p.Spec.InitContainers))
		}
		return true
	}
	return false
}

// addContainers looks at the main containers. Once they run, the restarts of init
// containers other than sidecars no longer count.
func (s *Summary) addContainers(p *corev1.Pod, sidecars map[string]bool) {
	s.Restarts, s.LastRestart = 0, time.Time{}
	for i := range p.Status.InitContainerStatuses {
		if c := &p.Status.InitContainerStatuses[i]; sidecars[c.Name] {
			s.addRestarts(c)
		}
	}
	running := false
	// Backwards, so that the first container has the last word.
	for i := len(p.Status.ContainerStatuses) - 1; i >= 0; i-- {
		c := &p.Status.ContainerStatuses[i]
		s.addRestarts(c)
		state := &c.State
		switch {
		case state.Waiting != nil && state.Waiting.Reason != "":
			s.Reason = state.Waiting.Reason
		case state.Terminated != nil:
			s.Reason = terminationReason(state.Terminated)
		case c.Ready && state.Running != nil:
			running = true
			s.Ready++
		}
	}
	if s.Reason == "Completed" && running {
		s.Reason = "NotReady"
		if IsReady(p) {
			s.Reason = "Running"
		}
	}
}

func (s *Summary) addRestarts(c *corev1.ContainerStatus) {
	s.Restarts += int(c.RestartCount)
	if last := c.LastTerminationState.Terminated; last != nil && last.FinishedAt.After(s.LastRestart) {
		s.LastRestart = last.FinishedAt.Time
	}
}

func terminationReason(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason != "":
		return t.Reason
	case t.Signal != 0:
		return fmt.Sprintf("Signal:%d", t.Signal)
	default:
		return fmt.Sprintf("ExitCode:%d", t.ExitCode)
	}
}
