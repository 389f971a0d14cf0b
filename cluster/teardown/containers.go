package teardown

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/skiff-project/skiff/nodeagent/cgroups"
	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/runtime/docker"
)

// removeContainers ends all pods at once, each within the grace period, and then
// removes their containers and cgroups. Only containers that skiff made are
// looked at.
func removeContainers(ctx context.Context, c Config) error {
	engine, err := docker.New(docker.Config{Host: c.DockerHost})
	if err != nil {
		return fmt.Errorf("reaching Docker: %w", err)
	}
	defer engine.Close()
	pods, err := engine.ListPods(ctx)
	if err != nil {
		return fmt.Errorf("listing containers: %w", err)
	}
	var mu sync.Mutex // guards problems
	var problems []error
	var removals sync.WaitGroup
	for _, pod := range pods {
		removals.Go(func() {
			if err := removePod(ctx, engine, pod, c); err != nil {
				mu.Lock()
				defer mu.Unlock()
				problems = append(problems, err)
			}
		})
	}
	removals.Wait()
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("removing containers: %w", err)
	}
	return removeCgroups(ctx, engine)
}

func removePod(ctx context.Context, engine runtime.Runtime, pod runtime.Pod, c Config) error {
	var problems []error
	var stops sync.WaitGroup
	errs := make([]error, len(pod.Containers))
	for i := range pod.Containers {
		stops.Go(func() { errs[i] = engine.StopContainer(ctx, pod.Containers[i].ID, c.Grace) })
	}
	stops.Wait()
	problems = append(problems, errs...)
	for i := range pod.Containers {
		problems = append(problems, engine.RemoveContainer(ctx, pod.Containers[i].ID))
	}
	for i := range pod.Sandboxes {
		problems = append(problems, engine.RemoveSandbox(ctx, pod.Sandboxes[i].ID))
	}
	return errors.Join(problems...)
}

func removeCgroups(ctx context.Context, engine runtime.Host) error {
	info, err := engine.Info(ctx)
	if err != nil {
		return err
	}
	manager, err := cgroups.NewManager(cgroups.Driver(info.CgroupDriver), info.CgroupVersion)
	if err != nil {
		return err
	}
	return manager.RemoveAll(ctx)
}
