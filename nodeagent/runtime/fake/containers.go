package fake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/runtime/runtimetest/program"
)

// fakeContainer is a container with its process.
type fakeContainer struct {
	runtime.Container
	config  runtime.ContainerConfig
	log     *logBuffer
	stdin   *io.PipeReader
	stdinW  *io.PipeWriter
	signals chan string
	killed  chan struct{}
	done    chan struct{} // closed when it has ended
}

// CreateSandbox implements runtime.Sandboxes.
func (r *Runtime) CreateSandbox(ctx context.Context, config runtime.SandboxConfig) (runtime.Sandbox, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.begin(ctx, "CreateSandbox", config.Pod.Name); err != nil {
		return runtime.Sandbox{}, err
	}
	for id, sandbox := range r.sandboxes {
		if sandbox.Pod == config.Pod && sandbox.Attempt == config.Attempt {
			r.removeSandbox(id)
		}
	}
	id := r.newID()
	pid := 1000 + r.nextID
	sandbox := &runtime.Sandbox{
		ID: id, Pod: config.Pod, Attempt: config.Attempt, State: runtime.StateRunning, CreatedAt: r.clock.Now(),
		PID: pid, NetNS: fmt.Sprintf("/proc/%d/ns/net", pid), HostNetwork: config.HostNetwork, Image: config.Image, Labels: config.Labels,
	}
	r.sandboxes[id] = sandbox
	r.publish(runtime.Event{Type: runtime.EventStarted, PodUID: config.Pod.UID, ContainerID: id})
	return *sandbox, nil
}

// StopSandbox implements runtime.Sandboxes.
func (r *Runtime) StopSandbox(ctx context.Context, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.begin(ctx, "StopSandbox", id); err != nil {
		return err
	}
	r.stopSandbox(id)
	return nil
}

func (r *Runtime) stopSandbox(id string) {
	sandbox := r.sandboxes[id]
	if sandbox == nil || sandbox.State != runtime.StateRunning {
		return
	}
	sandbox.State, sandbox.PID, sandbox.NetNS = runtime.StateExited, 0, ""
	r.publish(runtime.Event{Type: runtime.EventDied, PodUID: sandbox.Pod.UID, ContainerID: id})
}

// RemoveSandbox implements runtime.Sandboxes.
func (r *Runtime) RemoveSandbox(ctx context.Context, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.begin(ctx, "RemoveSandbox", id); err != nil {
		return err
	}
	r.removeSandbox(id)
	return nil
}

func (r *Runtime) removeSandbox(id string) {
	sandbox := r.sandboxes[id]
	if sandbox == nil {
		return
	}
	r.stopSandbox(id)
	delete(r.sandboxes, id)
	r.publish(runtime.Event{Type: runtime.EventRemoved, PodUID: sandbox.Pod.UID, ContainerID: id})
}

// CreateContainer implements runtime.Containers.
func (r *Runtime) CreateContainer(ctx context.Context, config runtime.ContainerConfig) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.begin(ctx, "CreateContainer", config.Name); err != nil {
		return "", err
	}
	if _, ok := r.images[config.ImageID]; !ok {
		return "", runtime.ImageNotFound(fmt.Errorf("No such image: %s", config.ImageID))
	}
	sandbox := r.sandboxes[config.SandboxID]
	if sandbox == nil || sandbox.State != runtime.StateRunning {
		return "", fmt.Errorf("creating container %s: sandbox %s is not running", config.Name, config.SandboxID)
	}
	for id, c := range r.containers {
		if c.Pod != config.Pod || c.Name != config.Name || c.Attempt != config.Attempt {
			continue
		}
		if c.State != runtime.StateCreated {
			return "", fmt.Errorf("creating container %s: the name is already in use by container %s", config.Name, id)
		}
		r.removeContainer(id)
	}
	c := r.newContainer(config)
	r.containers[c.ID] = c
	return c.ID, nil
}

func (r *Runtime) newContainer(config runtime.ContainerConfig) *fakeContainer {
	imageRef := config.ImageRef
	if imageRef == "" {
		imageRef = config.ImageID
	}
	c := &fakeContainer{
		Container: runtime.Container{
			ID: r.newID(), Name: config.Name, Kind: config.Kind, Pod: config.Pod, Attempt: config.Attempt, SandboxID: config.SandboxID,
			State: runtime.StateCreated, CreatedAt: r.clock.Now(), Image: config.Image, ImageID: config.ImageID, ImageRef: imageRef,
			SpecHash: config.SpecHash, GracePeriodSeconds: config.GracePeriodSeconds,
			TerminationMessagePath: config.TerminationMessagePath, TerminationMessagePolicy: config.TerminationMessagePolicy,
			Mounts: slices.Clone(config.Mounts), Resources: config.Resources, Stdin: config.Stdin, TTY: config.TTY,
			CgroupParent: config.CgroupParent, Labels: config.Labels,
		},
		config:  config,
		log:     newLogBuffer(),
		signals: make(chan string, 8),
		killed:  make(chan struct{}),
		done:    make(chan struct{}),
	}
	c.stdin, c.stdinW = io.Pipe()
	if !config.Stdin {
		c.stdinW.Close()
	}
	for _, m := range config.Mounts {
		if m.ContainerPath == config.TerminationMessagePath {
			c.TerminationMessageHostPath = m.HostPath
		}
	}
	return c
}

// StartContainer implements runtime.Containers.
func (r *Runtime) StartContainer(ctx context.Context, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[id]
	if c == nil {
		return runtime.NotFound(fmt.Errorf("No such container: %s", id))
	}
	if err := r.begin(ctx, "StartContainer", c.Name); err != nil {
		return r.startFailed(c, err)
	}
	args := arguments(slices.Concat(c.config.Command, c.config.Args))
	if len(args) > 0 && !knownCommand(args[0]) {
		return r.startFailed(c, fmt.Errorf("failed to start container %q: exec: %q: executable file not found in $PATH", id, args[0]))
	}
	c.State, c.StartedAt, c.PID = runtime.StateRunning, r.clock.Now(), 1000+r.nextID
	r.publish(runtime.Event{Type: runtime.EventStarted, PodUID: c.Pod.UID, ContainerID: id, Container: c.Name})
	process := &program.Process{
		Args: args, Env: c.config.Env, Stdin: c.stdin,
		Stdout: c.log.writer("stdout", r.clock), Stderr: c.log.writer("stderr", r.clock),
		Signals: c.signals, Killed: c.killed,
	}
	go func() {
		code := program.Run(process)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.finish(c, code, reasonOf(code))
	}()
	return nil
}

// startFailed leaves the container as one whose process could not be started.
func (r *Runtime) startFailed(c *fakeContainer, err error) error {
	c.State, c.FinishedAt = runtime.StateExited, r.clock.Now()
	c.ExitCode, c.Reason, c.Message = runtime.StartErrorExitCode, runtime.ReasonStartError, err.Error()
	c.log.close()
	close(c.done)
	return err
}

// arguments drops the program's own path from a command.
func arguments(command []string) []string {
	if len(command) > 0 && strings.HasPrefix(command[0], "/app") {
		return command[1:]
	}
	return command
}

func knownCommand(name string) bool {
	return slices.Contains([]string{"sleep", "stubborn", "exit", "echo", "both", "env", "cat", "lines", "long", "tick"}, name)
}

func reasonOf(code int) string {
	if code == 0 {
		return runtime.ReasonCompleted
	}
	return runtime.ReasonError
}

// finish ends a container unless it has ended. The caller holds the lock.
func (r *Runtime) finish(c *fakeContainer, code int, reason string) {
	if c.State != runtime.StateRunning {
		return
	}
	c.State, c.PID, c.FinishedAt, c.ExitCode, c.Reason = runtime.StateExited, 0, r.clock.Now(), code, reason
	close(c.killed)
	c.stdin.CloseWithError(errors.New("the container has ended"))
	c.log.close()
	close(c.done)
	r.publish(runtime.Event{Type: runtime.EventDied, PodUID: c.Pod.UID, ContainerID: c.ID, Container: c.Name})
}

// StopContainer implements runtime.Containers.
func (r *Runtime) StopContainer(ctx context.Context, id string, grace time.Duration) error {
	r.mu.Lock()
	c := r.containers[id]
	name := id
	if c != nil {
		name = c.Name
	}
	err := r.begin(ctx, "StopContainer", name)
	if err != nil || c == nil || c.State != runtime.StateRunning {
		r.mu.Unlock()
		return err
	}
	if grace > 0 {
		select {
		case c.signals <- "TERM":
		default:
		}
	}
	r.mu.Unlock()
	if grace > 0 {
		timer := r.clock.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-c.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C():
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finish(c, 137, runtime.ReasonError)
	return nil
}

// RemoveContainer implements runtime.Containers.
func (r *Runtime) RemoveContainer(ctx context.Context, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := id
	if c := r.containers[id]; c != nil {
		name = c.Name
	}
	if err := r.begin(ctx, "RemoveContainer", name); err != nil {
		return err
	}
	r.removeContainer(id)
	return nil
}

func (r *Runtime) removeContainer(id string) {
	c := r.containers[id]
	if c == nil {
		return
	}
	r.finish(c, 137, runtime.ReasonError)
	delete(r.containers, id)
	r.publish(runtime.Event{Type: runtime.EventRemoved, PodUID: c.Pod.UID, ContainerID: id, Container: c.Name})
}

// UpdateContainer implements runtime.Containers.
func (r *Runtime) UpdateContainer(ctx context.Context, id string, resources runtime.Resources) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[id]
	if c == nil {
		return runtime.NotFound(fmt.Errorf("No such container: %s", id))
	}
	if err := r.begin(ctx, "UpdateContainer", c.Name); err != nil {
		return err
	}
	c.Resources = resources
	return nil
}
