package status

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skiff-project/skiff/apis/helpers/pod"
	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// The reasons of containers that wait before anything went wrong.
const (
	ReasonContainerCreating = "ContainerCreating"
	ReasonPodInitializing   = "PodInitializing"

	reasonStatusUnknown   = "ContainerStatusUnknown"
	messageStatusUnknown  = "The container could not be located when the pod was terminated"
	messageUnknownRunning = "The container could not be located when the pod was deleted.  The container used to be Running"
	exitCodeUnknown       = 137
)

// containerStatuses returns the statuses of one list of the spec, in its order.
func containerStatuses(in *Input, specs []corev1.Container, last []corev1.ContainerStatus, kind runtime.Kind) []corev1.ContainerStatus {
	if len(specs) == 0 {
		return nil
	}
	result := make([]corev1.ContainerStatus, 0, len(specs))
	for i := range specs {
		spec := &specs[i]
		s := containerStatus(in, spec, pod.ContainerStatus(last, spec.Name), kind)
		setReady(in, spec, kind, &s)
		result = append(result, s)
	}
	return result
}

func ephemeralStatuses(in *Input) []corev1.ContainerStatus {
	var result []corev1.ContainerStatus
	for i := range in.Pod.Spec.EphemeralContainers {
		spec := (*corev1.Container)(&in.Pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		s := containerStatus(in, spec, pod.ContainerStatus(in.Pod.Status.EphemeralContainerStatuses, spec.Name), runtime.KindEphemeral)
		s.Started = nil
		result = append(result, s)
	}
	return result
}

// runs returns the container's incarnations, the newest first.
func runs(in *Input, name string, kind runtime.Kind) []*runtime.Container {
	var found []*runtime.Container
	for i := range in.Observed.Containers {
		if c := &in.Observed.Containers[i]; c.Name == name && c.Kind == kind {
			found = append(found, c)
		}
	}
	return found
}

func containerStatus(in *Input, spec *corev1.Container, last *corev1.ContainerStatus, kind runtime.Kind) corev1.ContainerStatus {
	s := corev1.ContainerStatus{Name: spec.Name, Image: spec.Image}
	found := runs(in, spec.Name, kind)
	if len(found) == 0 {
		lost(in, spec, last, kind, &s)
	} else {
		fromRuntime(in, found, &s)
	}
	if s.State.Waiting != nil && last != nil && s.LastTerminationState.Terminated == nil {
		s.LastTerminationState = last.LastTerminationState // the engine may have forgotten it
	}
	if waiting, ok := in.Waiting[spec.Name]; ok && s.State.Running == nil && !in.Over {
		if s.State.Terminated != nil {
			s.LastTerminationState = s.State
		}
		s.State = corev1.ContainerState{Waiting: &waiting}
	}
	if len(found) > 0 {
		s.Resources = spec.Resources.DeepCopy()
		s.AllocatedResources = spec.Resources.Requests.DeepCopy()
	}
	s.VolumeMounts = mountStatuses(spec.VolumeMounts)
	return s
}

// lost is the status of a container of which the engine knows nothing: it was
// not created yet, or somebody has removed it.
func lost(in *Input, spec *corev1.Container, last *corev1.ContainerStatus, kind runtime.Kind, s *corev1.ContainerStatus) {
	reason := ReasonContainerCreating
	if kind != runtime.KindEphemeral && len(in.Pod.Spec.InitContainers) > 0 && !in.initialized() {
		reason = ReasonPodInitializing
	}
	s.State.Waiting = &corev1.ContainerStateWaiting{Reason: reason}
	if last == nil {
		return
	}
	s.RestartCount = last.RestartCount
	s.ImageID = last.ImageID
	s.LastTerminationState = last.LastTerminationState
	switch {
	case last.State.Terminated != nil:
		s.State = last.State
		s.ContainerID = last.ContainerID
		s.Image = last.Image
	case last.State.Running != nil:
		ended := &corev1.ContainerStateTerminated{
			Reason: reasonStatusUnknown, Message: messageUnknownRunning, ExitCode: exitCodeUnknown, ContainerID: last.ContainerID,
		}
		if in.Over || kind == runtime.KindInit && !isSidecar(spec) {
			ended.Message = messageStatusUnknown
			s.State = corev1.ContainerState{Terminated: ended}
			s.ContainerID = last.ContainerID
			return
		}
		s.LastTerminationState = corev1.ContainerState{Terminated: ended}
	}
}

func isSidecar(c *corev1.Container) bool { return pod.IsSidecar(c) }

// initialized reports whether a regular container has been created: then the init containers are done.
func (in *Input) initialized() bool {
	for i := range in.Observed.Containers {
		if in.Observed.Containers[i].Kind == runtime.KindRegular {
			return true
		}
	}
	return false
}

func fromRuntime(in *Input, found []*runtime.Container, s *corev1.ContainerStatus) {
	current := found[0]
	s.RestartCount = int32(current.Attempt)
	s.ContainerID = in.id(current.ID)
	s.ImageID = in.imageID(current)
	if current.Image != "" {
		s.Image = current.Image
	}
	switch current.State {
	case runtime.StateRunning:
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: at(current.StartedAt)}
	case runtime.StateExited:
		s.State.Terminated = in.terminated(current)
	default:
		s.State.Waiting = &corev1.ContainerStateWaiting{Reason: ReasonContainerCreating}
		s.ContainerID = ""
	}
	for _, previous := range found[1:] {
		if previous.State == runtime.StateExited {
			s.LastTerminationState.Terminated = in.terminated(previous)
			break
		}
	}
}

func (in *Input) id(id string) string { return in.Scheme + "://" + id }

// imageID is a digest that can be pulled, or else the local image's ID.
func (in *Input) imageID(c *runtime.Container) string {
	switch {
	case strings.Contains(c.ImageRef, "@"):
		return in.Scheme + "-pullable://" + c.ImageRef
	case c.ImageRef != "":
		return in.id(c.ImageRef)
	default:
		return in.id(c.ImageID)
	}
}

func (in *Input) terminated(c *runtime.Container) *corev1.ContainerStateTerminated {
	message := c.Message
	if in.TerminationMessage != nil {
		if text := in.TerminationMessage(c); text != "" {
			message = text
		}
	}
	ended := &corev1.ContainerStateTerminated{
		ExitCode: int32(c.ExitCode), Reason: c.Reason, Message: message, ContainerID: in.id(c.ID),
	}
	if !c.StartedAt.IsZero() {
		ended.StartedAt = at(c.StartedAt)
	}
	if !c.FinishedAt.IsZero() {
		ended.FinishedAt = at(c.FinishedAt)
	}
	return ended
}

// setReady sets started and ready.
func setReady(in *Input, spec *corev1.Container, kind runtime.Kind, s *corev1.ContainerStatus) {
	started := false
	s.Started = &started
	if kind == runtime.KindInit && !isSidecar(spec) {
		s.Ready = s.State.Terminated != nil && s.State.Terminated.ExitCode == 0
		started = s.State.Running != nil
		return
	}
	if s.State.Running == nil {
		return
	}
	current := runs(in, spec.Name, kind)[0]
	started = in.Started == nil || in.Started(current)
	s.Ready = started && (in.Ready == nil || in.Ready(current))
}

func mountStatuses(mounts []corev1.VolumeMount) []corev1.VolumeMountStatus {
	var result []corev1.VolumeMountStatus
	for _, m := range mounts {
		s := corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if m.ReadOnly {
			mode := corev1.RecursiveReadOnlyDisabled
			if m.RecursiveReadOnly != nil && *m.RecursiveReadOnly != corev1.RecursiveReadOnlyIfPossible {
				mode = *m.RecursiveReadOnly
			}
			s.RecursiveReadOnly = &mode
		}
		result = append(result, s)
	}
	return result
}

// at returns the time as the API keeps it: in seconds.
func at(t time.Time) metav1.Time {
	full := metav1.NewTime(t)
	return full.Rfc3339Copy()
}
