package status

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/apis/helpers/pod"
)

// tally counts containers by what they do.
type tally struct {
	initializing, initFailed                      int
	waiting, running, stopped, succeeded, unknown int
}

// phase is the pod's one-word summary.
func phase(in *Input, inits, containers []corev1.ContainerStatus) corev1.PodPhase {
	var t tally
	for i := range in.Pod.Spec.InitContainers {
		t.addInit(&in.Pod.Spec.InitContainers[i], pod.ContainerStatus(inits, in.Pod.Spec.InitContainers[i].Name))
	}
	for i := range containers {
		t.add(&containers[i])
	}
	policy := in.Pod.Spec.RestartPolicy
	switch {
	case t.initFailed > 0 && policy == corev1.RestartPolicyNever:
		return corev1.PodFailed
	case t.initializing > 0 || t.initFailed > 0 || t.waiting > 0:
		return corev1.PodPending
	case t.running > 0 && t.unknown == 0:
		return corev1.PodRunning
	case t.stopped == 0 || t.unknown > 0:
		return corev1.PodPending
	case in.Over && t.stopped == t.succeeded:
		return corev1.PodSucceeded
	case in.Over:
		return corev1.PodFailed
	case policy == corev1.RestartPolicyAlways:
		return corev1.PodRunning // they are about to be restarted
	case t.stopped == t.succeeded:
		return corev1.PodSucceeded
	case policy == corev1.RestartPolicyNever:
		return corev1.PodFailed
	default:
		return corev1.PodRunning
	}
}

func (t *tally) addInit(spec *corev1.Container, s *corev1.ContainerStatus) {
	if s == nil {
		t.initializing++
		return
	}
	if pod.IsSidecar(spec) {
		// A sidecar holds the others back only until it has started once.
		switch {
		case s.State.Running != nil:
			if s.Started == nil || !*s.Started {
				t.initializing++
			}
			t.running++
		case s.LastTerminationState.Terminated == nil && s.State.Terminated == nil:
			t.initializing++
		}
		return
	}
	ended := s.State.Terminated
	if ended == nil && s.State.Waiting != nil {
		ended = s.LastTerminationState.Terminated
	}
	switch {
	case ended == nil:
		t.initializing++
	case ended.ExitCode != 0:
		t.initFailed++
	}
}

func (t *tally) add(s *corev1.ContainerStatus) {
	switch {
	case s.State.Running != nil:
		t.running++
	case s.State.Terminated != nil:
		t.stopped++
		if s.State.Terminated.ExitCode == 0 {
			t.succeeded++
		}
	case s.State.Waiting != nil && s.LastTerminationState.Terminated != nil:
		t.stopped++
	case s.State.Waiting != nil:
		t.waiting++
	default:
		t.unknown++
	}
}
