package pods

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	podhelper "github.com/skiff-project/skiff/apis/helpers/pod"
	"github.com/skiff-project/skiff/nodeagent/probes"
	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/status"
)

// The tasks that are not named after a container. Container names have no slash.
const (
	volumesTask = "task/volumes"
	cleanupTask = "task/cleanup"
	networkTask = "task/stop-sandboxes"
	garbageTask = "task/garbage"
	engineTask  = "task/engine"
)

// sync looks once at everything and sets in motion what is to be done. It
// reports whether the pod is gone for good.
func (w *worker) sync(ctx context.Context) (gone bool) {
	now := w.m.config.Clock.Now()
	w.wakeAt = time.Time{}
	seen := w.takeChanges()
	if seen.engine && !w.refresh(ctx) {
		return false
	}
	if w.pod != nil && !w.begun {
		w.begin(now)
	}
	w.checkDeadline(now)
	w.checkStop(now)
	if w.pod != nil && !w.stopping {
		w.syncVolumes(ctx)
	}
	plan := Compute(w.input(now))
	if plan.Ended && !w.ended {
		w.ended = true
		w.checkStop(now)
	}
	w.act(ctx, plan, now)
	w.syncProbes()
	w.report(now)
	if !w.over {
		return false
	}
	return w.finish(ctx)
}

// takeChanges takes over what was noted by others.
func (w *worker) takeChanges() flags {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.flags
	w.flags = flags{}
	if w.wanted != w.pod {
		w.podChanged(w.pod, w.wanted)
		w.pod = w.wanted
	}
	if seen.objects {
		clear(w.retryAt)
	}
	if seen.network {
		delete(w.retryAt, sandboxKey)
	}
	return seen
}

// podChanged compares the pod's spec with that of before.
func (w *worker) podChanged(before, after *corev1.Pod) {
	if after == nil {
		w.begun = true // nothing to admit
		return
	}
	if before == nil {
		w.m.config.Objects.Follow(after)
		return
	}
	if before.Generation != after.Generation {
		w.m.config.Objects.Follow(after)
		images := map[string]string{}
		for _, c := range allContainers(before) {
			images[c.Name] = c.Image
		}
		for _, c := range allContainers(after) {
			if images[c.Name] != c.Image {
				w.succeeded(c.Name) // another image: no reason to wait
				delete(w.waiting, c.Name)
			}
		}
	}
	// Labels and annotations may be in a volume.
	if before.ResourceVersion != after.ResourceVersion && hasDownwardAPI(after) {
		w.volumesStale = true
	}
}

func hasDownwardAPI(pod *corev1.Pod) bool {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.DownwardAPI != nil {
			return true
		}
		if v.Projected != nil {
			for _, source := range v.Projected.Sources {
				if source.DownwardAPI != nil {
					return true
				}
			}
		}
	}
	return false
}

// refresh reads what the engine holds of the pod.
func (w *worker) refresh(ctx context.Context) bool {
	observed, err := w.m.config.Engine.GetPod(ctx, string(w.uid))
	if err != nil {
		if ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Reading the pod's containers")
		}
		w.mu.Lock()
		w.flags.engine = true
		w.mu.Unlock()
		w.retryDelay(engineTask, 200*time.Millisecond, 10*time.Second)
		w.wakeBy(w.retryAt[engineTask])
		return false
	}
	w.succeeded(engineTask)
	w.observed = observed
	if w.ref.Name == "" {
		w.ref = observed.PodRef
		w.ref.UID = string(w.uid)
	}
	if sandbox := observed.Sandbox(); sandbox != nil && sandbox.State == runtime.StateRunning && w.attached == "" && w.tasks[sandboxKey] == nil {
		w.reattach(sandbox)
	}
	return true
}

// reattach finds out the addresses of a sandbox that an earlier run of the agent has made.
func (w *worker) reattach(sandbox *runtime.Sandbox) {
	if sandbox.HostNetwork {
		w.attached = sandbox.ID
		return
	}
	result, ok := w.m.config.Network.Cached(networkPod(w.pod, sandbox))
	if !ok {
		return // it was made, but not put into the network
	}
	w.attached = sandbox.ID
	w.podIPs = texts(result.IPs)
}

// begin decides on a pod that is new to this worker.
func (w *worker) begin(now time.Time) {
	w.begun = true
	if podhelper.IsTerminal(w.pod) {
		w.terminal = true
		return
	}
	if len(w.observed.Containers) > 0 || len(w.observed.Sandboxes) > 0 || w.pod.DeletionTimestamp != nil {
		w.admitted.Store(w.pod) // it was admitted before
		return
	}
	if failure := w.m.admit(w); failure != nil {
		w.event(corev1.EventTypeWarning, failure.Reason, "%s", failure.Message)
		w.failure = &status.Failure{Reason: failure.Reason, Message: "Pod was rejected: " + failure.Message}
	}
}

// checkDeadline fails a pod that has been active for too long; one that is ending, or has ended, is not.
func (w *worker) checkDeadline(now time.Time) {
	if w.pod == nil || w.stopping || w.terminal || w.failure != nil || w.pod.Spec.ActiveDeadlineSeconds == nil || w.pod.Status.StartTime == nil {
		return
	}
	deadline := w.pod.Status.StartTime.Add(time.Duration(*w.pod.Spec.ActiveDeadlineSeconds) * time.Second)
	if now.Before(deadline) {
		w.wakeBy(deadline)
		return
	}
	const message = "Pod was active on the node longer than the specified deadline"
	w.failure = &status.Failure{Reason: "DeadlineExceeded", Message: message}
	w.event(corev1.EventTypeNormal, "DeadlineExceeded", message)
}

// checkStop finds out whether the pod must end, and by when.
func (w *worker) checkStop(now time.Time) {
	grace := int64(30)
	switch {
	case w.pod == nil:
		grace = w.orphanGrace()
	case w.pod.DeletionTimestamp != nil:
		if w.pod.DeletionGracePeriodSeconds != nil {
			grace = *w.pod.DeletionGracePeriodSeconds
		}
	case w.failure != nil, w.terminal, w.ended:
		if w.pod.Spec.TerminationGracePeriodSeconds != nil {
			grace = *w.pod.Spec.TerminationGracePeriodSeconds
		}
	default:
		return
	}
	if w.stopping && grace >= w.stopGrace {
		return
	}
	first := !w.stopping
	w.stopping, w.stopGrace = true, grace
	w.stopBy = now.Add(time.Duration(grace) * time.Second)
	for _, t := range w.tasks {
		// What is being started is called off; what is being killed has less time now.
		if first && !t.kill || t.kill && t.until.After(w.stopBy) {
			t.cancel()
		}
	}
	if first {
		clear(w.retryAt)
	}
}

// orphanGrace is the grace period of a pod that the API does not have any more.
func (w *worker) orphanGrace() int64 {
	for i := range w.observed.Containers {
		if grace := w.observed.Containers[i].GracePeriodSeconds; grace != nil {
			return *grace
		}
	}
	return 30
}

// input gathers what the plan depends on.
func (w *worker) input(now time.Time) Input {
	busy := map[string]bool{}
	for key := range w.tasks {
		if key != volumesTask && key != garbageTask && key != cleanupTask {
			busy[key] = true
		}
	}
	sandbox := w.observed.Sandbox()
	up := sandbox != nil && sandbox.State == runtime.StateRunning
	return Input{
		Pod: w.pod, Observed: w.observed, Stop: w.stopping, Busy: busy,
		SandboxLost: up && w.attached != sandbox.ID,
		Ready:       w.volumesReady && up && w.attached == sandbox.ID,
		Started: func(spec *corev1.Container, c *runtime.Container) bool {
			return w.m.config.Probes.Started(w.uid, spec, c.ID)
		},
		Unhealthy: w.unhealthy,
		Wait: func(spec *corev1.Container, last *runtime.Container) time.Duration {
			return w.startDelay(spec, last, now)
		},
	}
}

func (w *worker) unhealthy(spec *corev1.Container, c *runtime.Container) string {
	failure := w.m.config.Probes.Unhealthy(w.uid, spec.Name, c.ID)
	if failure == nil {
		return ""
	}
	return "Container " + spec.Name + " failed " + lower(failure.Kind) + " probe"
}

// act sets the plan in motion.
func (w *worker) act(ctx context.Context, plan Plan, now time.Time) {
	w.over = plan.Over && len(w.busyTasks()) == 0
	if w.over {
		w.admitted.Store(nil)
	}
	if plan.CreateSandbox && w.due(sandboxKey) {
		w.createSandbox(ctx, plan.SandboxAttempt)
	}
	for _, kill := range plan.Kill {
		if w.due(kill.Name) {
			w.kill(ctx, kill, now)
		}
	}
	for _, waiting := range plan.Waiting {
		w.showBackoff(waiting.Spec, now)
		w.wakeBy(now.Add(waiting.Delay))
	}
	for _, start := range plan.Start {
		w.start(ctx, start)
	}
	if len(plan.StopSandboxes) > 0 && w.tasks[networkTask] == nil && w.due(networkTask) {
		w.stopSandboxes(ctx, plan.StopSandboxes)
	}
	if len(plan.Remove)+len(plan.RemoveSandboxes) > 0 && w.tasks[garbageTask] == nil && w.due(garbageTask) && !w.over {
		w.removeGarbage(ctx, plan.Remove, plan.RemoveSandboxes)
	}
}

// busyTasks are the tasks that work on what runs.
func (w *worker) busyTasks() []string {
	var keys []string
	for key := range w.tasks {
		if key != cleanupTask {
			keys = append(keys, key)
		}
	}
	return keys
}

// syncProbes tells the prober what runs.
func (w *worker) syncProbes() {
	if w.pod == nil {
		return
	}
	running := map[string]probes.Running{}
	// Also while the pod is stopping: until its end it is as ready as its probe says.
	for i := range w.observed.Containers {
		c := &w.observed.Containers[i]
		if c.State == runtime.StateRunning && running[c.Name].ID == "" {
			running[c.Name] = probes.Running{ID: c.ID, StartedAt: c.StartedAt}
		}
	}
	w.m.config.Probes.Sync(w.pod, w.podIP(), running)
}

func (w *worker) podIP() string {
	ips := w.podIPs
	if w.pod != nil && w.pod.Spec.HostNetwork {
		ips = w.m.config.HostIPs
	}
	if len(ips) == 0 {
		return ""
	}
	return ips[0]
}

// report computes the status and hands it to the writer.
func (w *worker) report(now time.Time) {
	if w.pod == nil || w.terminal {
		return
	}
	sandbox := w.observed.Sandbox()
	pod := w.pod
	w.mu.Lock()
	if w.status != nil {
		// What was computed last is newer than what the API has told so far.
		merged := *w.pod
		merged.Status = *withForeign(w.status, &w.pod.Status)
		pod = &merged
	}
	w.mu.Unlock()
	computed := status.Compute(status.Input{
		Pod: pod, Observed: w.observed, Scheme: w.m.config.Scheme, Waiting: w.waiting,
		Ready:              func(c *runtime.Container) bool { return w.ready(c) },
		Started:            func(c *runtime.Container) bool { return w.hasStarted(c) },
		TerminationMessage: w.terminationMessage,
		Failure:            w.failure,
		Over:               w.over,
		NetworkReady:       sandbox != nil && sandbox.State == runtime.StateRunning && w.attached == sandbox.ID,
		PodIPs:             w.podIPs, HostIPs: w.m.config.HostIPs,
		Now: metav1.NewTime(now),
	})
	w.mu.Lock()
	w.status = &computed
	w.mu.Unlock()
	w.m.config.Statuses.Set(w.pod, computed)
}

// withForeign returns own with the conditions that others write as they are in the API.
func withForeign(own, api *corev1.PodStatus) *corev1.PodStatus {
	merged := own.DeepCopy()
	for _, c := range api.Conditions {
		if !status.Owns(c.Type) {
			podhelper.SetCondition(merged, c, c.LastTransitionTime)
		}
	}
	return merged
}

func (w *worker) hasStarted(c *runtime.Container) bool {
	spec := findContainer(w.pod, c.Name)
	t := w.tasks[c.Name] // being started, its postStart hook may run still
	return spec != nil && (t == nil || t.kill) && w.m.config.Probes.Started(w.uid, spec, c.ID)
}

func (w *worker) ready(c *runtime.Container) bool {
	spec := findContainer(w.pod, c.Name)
	return spec != nil && w.m.config.Probes.Ready(w.uid, spec, c.ID)
}
