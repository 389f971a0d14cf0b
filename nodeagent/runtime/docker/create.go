package docker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// CreateSandbox implements runtime.Sandboxes.
func (r *Runtime) CreateSandbox(ctx context.Context, config runtime.SandboxConfig) (runtime.Sandbox, error) {
	body := r.translator().sandbox(&config)
	id, err := r.create(ctx, body, func(container.InspectResponse) bool { return true })
	if err != nil {
		return runtime.Sandbox{}, wrap("creating the pod's sandbox", err)
	}
	sandbox, err := r.startSandbox(ctx, id)
	if err != nil {
		// Not with ctx, which may be the reason of the failure.
		if removeErr := r.remove(context.WithoutCancel(ctx), id); removeErr != nil {
			err = fmt.Errorf("%w (and %w)", err, removeErr)
		}
		return runtime.Sandbox{}, err
	}
	return sandbox, nil
}

func (r *Runtime) startSandbox(ctx context.Context, id string) (runtime.Sandbox, error) {
	if err := r.client.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return runtime.Sandbox{}, wrap("starting the pod's sandbox", err)
	}
	inspected, err := r.client.ContainerInspect(ctx, id)
	if err != nil {
		return runtime.Sandbox{}, wrap("inspecting the pod's sandbox", err)
	}
	sandbox, err := sandboxFrom(inspected)
	if err != nil {
		return runtime.Sandbox{}, err
	}
	if sandbox.State != runtime.StateRunning {
		return runtime.Sandbox{}, fmt.Errorf("the pod's sandbox ended at once with exit code %d", inspected.State.ExitCode)
	}
	return sandbox, nil
}

// StopSandbox implements runtime.Sandboxes.
func (r *Runtime) StopSandbox(ctx context.Context, id string) error {
	err := r.client.ContainerKill(ctx, id, "SIGKILL")
	if cerrdefs.IsNotFound(err) || runtime.IsNotRunning(wrap("", err)) {
		return nil
	}
	return wrap("killing sandbox "+short(id), err)
}

// RemoveSandbox implements runtime.Sandboxes.
func (r *Runtime) RemoveSandbox(ctx context.Context, id string) error { return r.remove(ctx, id) }

// CreateContainer implements runtime.Containers.
func (r *Runtime) CreateContainer(ctx context.Context, config runtime.ContainerConfig) (string, error) {
	body, err := r.translator().container(&config)
	if err != nil {
		return "", err
	}
	id, err := r.create(ctx, body, func(old container.InspectResponse) bool {
		state, _ := stateOf(old.State)
		return state == runtime.StateCreated
	})
	if cerrdefs.IsNotFound(err) {
		return "", runtime.ImageNotFound(engineMessage(err))
	}
	if err != nil {
		return "", wrap("creating container "+config.Name, engineMessageOf(err))
	}
	return id, nil
}

// create creates a container. Its name is taken if an earlier request was cut
// short after the engine had obeyed: if replace agrees, that one goes.
func (r *Runtime) create(ctx context.Context, body createBody, replace func(container.InspectResponse) bool) (string, error) {
	if r.node == "" {
		return "", errors.New("docker: Config.Node is missing")
	}
	for retried := false; ; retried = true {
		created, err := r.client.ContainerCreate(ctx, body.Config, body.HostConfig, nil, nil, body.Name)
		if err == nil {
			return created.ID, nil
		}
		if retried || !cerrdefs.IsConflict(err) {
			return "", err
		}
		old, inspectErr := r.client.ContainerInspect(ctx, body.Name)
		if inspectErr != nil || old.Config.Labels[labelNode] != r.node || !replace(old) {
			return "", err
		}
		if err := r.remove(ctx, old.ID); err != nil {
			return "", err
		}
	}
}

// engineMessageOf is engineMessage that keeps the kind of err.
func engineMessageOf(err error) error {
	message := engineMessage(err)
	if cerrdefs.IsInvalidArgument(err) {
		return runtime.Invalid(message)
	}
	return message
}

// StartContainer implements runtime.Containers.
func (r *Runtime) StartContainer(ctx context.Context, id string) error {
	if err := r.client.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		if cerrdefs.IsNotFound(err) && !startedNotFound(err) {
			return runtime.NotFound(engineMessage(err))
		}
		return fmt.Errorf("failed to start container %q: %w", id, engineMessage(err))
	}
	return nil
}

// startedNotFound reports whether "not found" is about the container's
// command, which Docker answers with the same status as an unknown container.
func startedNotFound(err error) bool {
	return !containsAny(err.Error(), []string{"No such container"})
}

// StopContainer implements runtime.Containers.
func (r *Runtime) StopContainer(ctx context.Context, id string, grace time.Duration) error {
	seconds := int(math.Ceil(max(grace, 0).Seconds()))
	err := r.client.ContainerStop(ctx, id, container.StopOptions{Timeout: &seconds})
	if cerrdefs.IsNotFound(err) {
		return nil
	}
	return wrap("stopping container "+short(id), err)
}

// RemoveContainer implements runtime.Containers.
func (r *Runtime) RemoveContainer(ctx context.Context, id string) error { return r.remove(ctx, id) }

func (r *Runtime) remove(ctx context.Context, id string) error {
	err := r.client.ContainerRemove(ctx, id, container.RemoveOptions{RemoveVolumes: true, Force: true})
	if cerrdefs.IsNotFound(err) || (cerrdefs.IsConflict(err) && containsAny(err.Error(), []string{"already in progress"})) {
		err = nil
	}
	if err != nil {
		return wrap("removing container "+short(id), err)
	}
	r.ended.forget(id)
	return nil
}

// UpdateContainer implements runtime.Containers.
func (r *Runtime) UpdateContainer(ctx context.Context, id string, wanted runtime.Resources) error {
	_, err := r.client.ContainerUpdate(ctx, id, container.UpdateConfig{Resources: resources(&wanted)})
	return wrap("updating the resources of container "+short(id), err)
}

// short returns what `docker ps` shows of an ID.
func short(id string) string {
	return id[:min(len(id), 12)]
}
