package pods

import (
	"context"
	"errors"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

const (
	cleanupRetry    = 200 * time.Millisecond
	cleanupRetryMax = 30 * time.Second
)

// stopSandboxes takes sandboxes out of the network and stops them.
func (w *worker) stopSandboxes(ctx context.Context, ids []string) {
	var sandboxes []runtime.Sandbox
	for _, id := range ids {
		for i := range w.observed.Sandboxes {
			if w.observed.Sandboxes[i].ID == id {
				sandboxes = append(sandboxes, w.observed.Sandboxes[i])
			}
		}
		if w.attached == id {
			w.attached = ""
		}
	}
	pod := w.pod
	w.spawn(ctx, networkTask, func(ctx context.Context) func() {
		var errs []error
		for i := range sandboxes {
			errs = append(errs, w.leaveNetwork(ctx, pod, &sandboxes[i]), w.m.config.Engine.StopSandbox(ctx, sandboxes[i].ID))
		}
		err := errors.Join(errs...)
		return func() {
			for _, id := range ids {
				w.detached[id] = err == nil
			}
			w.mu.Lock()
			w.flags.engine = true
			w.mu.Unlock()
			w.outcome(ctx, networkTask, err)
		}
	})
}

// leaveNetwork takes a sandbox out of the network; pod may be nil.
func (w *worker) leaveNetwork(ctx context.Context, pod *corev1.Pod, sandbox *runtime.Sandbox) error {
	if sandbox.HostNetwork {
		return nil
	}
	return w.m.config.Network.Del(ctx, networkPod(pod, sandbox))
}

// outcome notes how a task ended that is repeated until it succeeds.
func (w *worker) outcome(ctx context.Context, key string, err error) {
	if err == nil {
		w.succeeded(key)
		return
	}
	if ctx.Err() == nil {
		klog.FromContext(ctx).Error(err, "Ending a pod; will be tried again", "step", key)
	}
	w.retryDelay(key, cleanupRetry, cleanupRetryMax)
	w.wakeBy(w.retryAt[key])
}

// removeGarbage removes what nobody needs any more of a pod that goes on.
func (w *worker) removeGarbage(ctx context.Context, containers, sandboxes []string) {
	leftovers := map[string]*runtime.Sandbox{}
	for i := range w.observed.Sandboxes {
		leftovers[w.observed.Sandboxes[i].ID] = &w.observed.Sandboxes[i]
	}
	pod := w.pod
	w.spawn(ctx, garbageTask, func(ctx context.Context) func() {
		var errs []error
		for _, id := range containers {
			errs = append(errs, w.m.config.Engine.RemoveContainer(ctx, id))
		}
		for _, id := range sandboxes {
			// It may have died by itself and hold its address still.
			if err := w.leaveNetwork(ctx, pod, leftovers[id]); err != nil {
				errs = append(errs, err)
				continue
			}
			errs = append(errs, w.m.config.Engine.RemoveSandbox(ctx, id))
		}
		err := errors.Join(errs...)
		return func() {
			w.mu.Lock()
			w.flags.engine = true
			w.mu.Unlock()
			w.outcome(ctx, garbageTask, err)
		}
	})
}

// finish cleans up after a pod that is over. It reports whether the worker has nothing left to do for ever.
func (w *worker) finish(ctx context.Context) (gone bool) {
	remove := w.pod == nil || w.pod.DeletionTimestamp != nil
	if !w.cleaned || remove && !w.removed {
		if w.tasks[cleanupTask] == nil && w.due(cleanupTask) {
			w.cleanup(ctx, remove)
		}
		return false
	}
	if w.pod == nil {
		return true
	}
	if remove && !w.handedOver {
		w.handedOver = true
		final := w.pod.Status
		if w.status != nil {
			final = *w.status
		}
		w.m.config.Statuses.Delete(w.pod, final)
	}
	return false
}

// cleanup removes everything of the pod from the host, with remove also its dead containers.
func (w *worker) cleanup(ctx context.Context, remove bool) {
	observed, cleaned, pod, detached := w.observed, w.cleaned, w.pod, maps.Clone(w.detached)
	// Once the files are gone nobody could read these.
	for i := range observed.Containers {
		w.terminationMessage(&observed.Containers[i])
	}
	w.spawn(ctx, cleanupTask, func(ctx context.Context) func() {
		var errs []error
		if remove {
			errs = append(errs, w.removeAll(ctx, pod, observed, detached))
		}
		if !cleaned {
			errs = append(errs, w.m.config.Volumes.Unmount(ctx, w.uid), w.m.config.Cgroups.RemovePod(ctx, string(w.uid)))
		}
		err := errors.Join(errs...)
		return func() {
			w.outcome(ctx, cleanupTask, err)
			if err == nil {
				w.cleaned = true
				w.removed = remove
				w.m.config.Probes.Forget(w.uid)
			}
		}
	})
}

// removeAll removes the pod's containers and sandboxes.
func (w *worker) removeAll(ctx context.Context, pod *corev1.Pod, observed runtime.Pod, detached map[string]bool) error {
	group, ctx := errgroup.WithContext(ctx)
	for i := range observed.Containers {
		group.Go(func() error { return w.m.config.Engine.RemoveContainer(ctx, observed.Containers[i].ID) })
	}
	for i := range observed.Sandboxes {
		group.Go(func() error {
			sandbox := &observed.Sandboxes[i]
			if !detached[sandbox.ID] { // it died by itself
				if err := w.leaveNetwork(ctx, pod, sandbox); err != nil {
					return err
				}
			}
			return w.m.config.Engine.RemoveSandbox(ctx, sandbox.ID)
		})
	}
	return group.Wait()
}
