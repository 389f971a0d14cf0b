package docker

import (
	"fmt"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// stateOf returns the state and, for an ended container, whether it never started.
func stateOf(s *container.State) (state runtime.State, startFailed bool) {
	switch s.Status {
	case container.StateRunning, container.StatePaused:
		return runtime.StateRunning, false
	case container.StateExited, container.StateDead, container.StateRemoving:
		// Dead is a container whose removal has failed: nothing of it runs, and it cannot be stopped.
		return runtime.StateExited, parseTime(s.StartedAt).IsZero()
	case container.StateCreated:
		if s.ExitCode != 0 || s.Error != "" {
			return runtime.StateExited, true
		}
		return runtime.StateCreated, false
	default:
		return runtime.StateUnknown, false
	}
}

// sandboxFrom translates what Docker knows of a sandbox.
func sandboxFrom(c container.InspectResponse) (runtime.Sandbox, error) {
	labels := c.Config.Labels
	attempt, err := strconv.Atoi(labels[labelAttempt])
	if err != nil {
		return runtime.Sandbox{}, fmt.Errorf("reading sandbox %s: label %s: %w", short(c.ID), labelAttempt, err)
	}
	state, _ := stateOf(c.State)
	sandbox := runtime.Sandbox{
		ID:          c.ID,
		Pod:         podOf(labels),
		Attempt:     attempt,
		State:       state,
		CreatedAt:   parseTime(c.Created),
		HostNetwork: c.HostConfig.NetworkMode.IsHost(),
		Image:       c.Config.Image,
		Labels:      extraLabels(labels),
	}
	if state == runtime.StateRunning {
		sandbox.PID = c.State.Pid
		sandbox.NetNS = netNS(c.State.Pid)
	}
	return sandbox, nil
}

func netNS(pid int) string { return fmt.Sprintf("/proc/%d/ns/net", pid) }

// containerFrom translates what Docker knows of a container.
func containerFrom(c container.InspectResponse) (runtime.Container, error) {
	state, startFailed := stateOf(c.State)
	result := runtime.Container{
		ID:           c.ID,
		State:        state,
		CreatedAt:    parseTime(c.Created),
		StartedAt:    parseTime(c.State.StartedAt),
		ImageID:      c.Image,
		User:         c.Config.User,
		Stdin:        c.Config.OpenStdin,
		TTY:          c.Config.Tty,
		CgroupParent: c.HostConfig.CgroupParent,
		LogPath:      c.LogPath,
		Resources:    resourcesFrom(c.HostConfig),
	}
	if err := fromLabels(&result, c.Config.Labels); err != nil {
		return runtime.Container{}, fmt.Errorf("reading container %s: %w", short(c.ID), err)
	}
	if result.ImageRef == "" {
		result.ImageRef = c.Image
	}
	for _, m := range c.HostConfig.Mounts {
		if m.Type != mount.TypeBind {
			continue
		}
		result.Mounts = append(result.Mounts, mountFrom(m))
		if m.Target == result.TerminationMessagePath {
			result.TerminationMessageHostPath = m.Source
		}
	}
	switch state {
	case runtime.StateRunning:
		result.PID = c.State.Pid
	case runtime.StateExited:
		ended(&result, c.State, startFailed)
	}
	return result, nil
}

// ended fills in how a container ended.
func ended(result *runtime.Container, s *container.State, startFailed bool) {
	result.FinishedAt = parseTime(s.FinishedAt)
	result.ExitCode = s.ExitCode
	result.Message = s.Error
	switch {
	case startFailed:
		result.StartedAt = time.Time{}
		result.ExitCode = runtime.StartErrorExitCode
		result.Reason = runtime.ReasonStartError
	case s.OOMKilled:
		result.Reason = runtime.ReasonOOMKilled
	case s.ExitCode == 0:
		result.Reason = runtime.ReasonCompleted
	default:
		result.Reason = runtime.ReasonError
	}
	if result.FinishedAt.IsZero() {
		result.FinishedAt = result.CreatedAt
	}
}

func resourcesFrom(host *container.HostConfig) runtime.Resources {
	result := runtime.Resources{
		CPUShares:   host.CPUShares,
		CPUQuota:    host.CPUQuota,
		CPUPeriod:   host.CPUPeriod,
		CpusetCpus:  host.CpusetCpus,
		MemoryBytes: host.Memory,
		OOMScoreAdj: host.OomScoreAdj,
	}
	if host.PidsLimit != nil && *host.PidsLimit > 0 {
		result.PidsLimit = *host.PidsLimit
	}
	return result
}

func mountFrom(m mount.Mount) runtime.Mount {
	result := runtime.Mount{HostPath: m.Source, ContainerPath: m.Target, ReadOnly: m.ReadOnly}
	if m.BindOptions == nil {
		return result
	}
	result.RecursiveReadOnly = m.BindOptions.ReadOnlyForceRecursive
	switch m.BindOptions.Propagation {
	case mount.PropagationRSlave:
		result.Propagation = corev1.MountPropagationHostToContainer
	case mount.PropagationRShared:
		result.Propagation = corev1.MountPropagationBidirectional
	}
	return result
}

// parseTime reads Docker's times; "0001-01-01T00:00:00Z" and nonsense are zero.
func parseTime(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}
