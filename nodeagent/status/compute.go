package status

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skiff-project/skiff/apis/helpers/pod"
	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// Input is everything that a status depends on.
type Input struct {
	// Pod as the API has it; its status is what was last known.
	Pod *corev1.Pod
	// Observed is what the engine holds.
	Observed runtime.Pod
	// Scheme of container IDs: "docker".
	Scheme string
	// Waiting says, by container name, why a container that ought to run is not
	// running: the last failure to start it, or its backoff.
	Waiting map[string]corev1.ContainerStateWaiting
	// Ready and Started are the results of the readiness and startup probes; true where there is no such probe.
	Ready, Started func(c *runtime.Container) bool
	// TerminationMessage returns what an ended container left as its message.
	TerminationMessage func(c *runtime.Container) string
	// Failure of the pod as a whole: not admitted, past its deadline, evicted.
	Failure *Failure
	// Over means that no container will be started again.
	Over bool
	// NetworkReady means that the sandbox runs and is in the network.
	NetworkReady bool
	// PodIPs of the sandbox; HostIPs of the node, the primary one first.
	PodIPs, HostIPs []string
	Now             metav1.Time
}

// Failure is the reason and message of a pod that failed as a whole.
type Failure struct {
	Reason, Message string
}

// Compute returns the pod's status. It keeps what others have written into the
// last one (PodScheduled, readiness gates, nominatedNodeName ...).
func Compute(in Input) corev1.PodStatus {
	in.Now = in.Now.Rfc3339Copy()
	s := *in.Pod.Status.DeepCopy()
	s.ObservedGeneration = in.Pod.Generation
	if s.QOSClass == "" {
		s.QOSClass = pod.ComputeQOSClass(&in.Pod.Spec)
	}
	if s.StartTime == nil {
		now := in.Now
		s.StartTime = &now
	}
	setAddresses(&s, &in)
	s.InitContainerStatuses = containerStatuses(&in, in.Pod.Spec.InitContainers, in.Pod.Status.InitContainerStatuses, runtime.KindInit)
	s.ContainerStatuses = containerStatuses(&in, in.Pod.Spec.Containers, in.Pod.Status.ContainerStatuses, runtime.KindRegular)
	s.EphemeralContainerStatuses = ephemeralStatuses(&in)

	computed := phase(&in, s.InitContainerStatuses, s.ContainerStatuses)
	if in.Failure != nil && in.Over && !anyRunning(&s) {
		computed = corev1.PodFailed
	}
	if in.Over && !anyRunning(&s) && computed != corev1.PodSucceeded {
		computed = corev1.PodFailed
	}
	if pod.IsTerminal(in.Pod) {
		computed = in.Pod.Status.Phase // an end is final
	}
	s.Phase = computed
	if in.Failure != nil && in.Over {
		s.Reason, s.Message = in.Failure.Reason, in.Failure.Message
	}
	if s.Phase == corev1.PodFailed || s.Phase == corev1.PodSucceeded {
		terminate(&s, &in)
	}
	setConditions(&s, &in)
	return s
}

func setAddresses(s *corev1.PodStatus, in *Input) {
	if len(in.HostIPs) > 0 {
		s.HostIP = in.HostIPs[0]
		s.HostIPs = nil
		for _, ip := range in.HostIPs {
			s.HostIPs = append(s.HostIPs, corev1.HostIP{IP: ip})
		}
	}
	ips := in.PodIPs
	if in.Pod.Spec.HostNetwork && in.NetworkReady {
		ips = in.HostIPs
	}
	if len(ips) == 0 {
		return // what it had stays: an ended pod shows its last address
	}
	s.PodIP = ips[0]
	s.PodIPs = nil
	for _, ip := range ips {
		s.PodIPs = append(s.PodIPs, corev1.PodIP{IP: ip})
	}
}

func anyRunning(s *corev1.PodStatus) bool {
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses} {
		for i := range list {
			if list[i].State.Running != nil {
				return true
			}
		}
	}
	return false
}

// terminate makes the containers' statuses those of a pod that is over.
func terminate(s *corev1.PodStatus, in *Input) {
	if in.Failure != nil && len(in.Observed.Containers)+len(in.Observed.Sandboxes)+len(in.Pod.Status.ContainerStatuses) == 0 {
		// It was refused: it has no containers to speak of.
		s.InitContainerStatuses, s.ContainerStatuses, s.EphemeralContainerStatuses = nil, nil, nil
		return
	}
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses} {
		for i := range list {
			c := &list[i]
			no := false
			c.Started = &no
			if c.State.Terminated == nil && c.LastTerminationState.Terminated != nil {
				// It waited for a restart that will not come.
				c.State = c.LastTerminationState
				c.LastTerminationState = corev1.ContainerState{}
			}
		}
	}
	initialized := initializedCondition(in, s).Status == corev1.ConditionTrue
	for i := range s.ContainerStatuses {
		c := &s.ContainerStatuses[i]
		c.Ready = false
		if initialized && c.State.Terminated == nil {
			// Its turn had come, but it never ran.
			c.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				Reason: reasonStatusUnknown, Message: messageStatusUnknown, ExitCode: exitCodeUnknown,
			}}
		}
	}
}
