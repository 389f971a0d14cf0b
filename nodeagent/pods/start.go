package pods

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/skiff-project/skiff/nodeagent/handlers"
	"github.com/skiff-project/skiff/nodeagent/images"
	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// The reasons of containers that could not be started, beside those about images.
const (
	reasonConfigError    = "CreateContainerConfigError"
	reasonCreateError    = "CreateContainerError"
	reasonRunError       = "RunContainerError"
	reasonPostStartError = "PostStartHookError"
	reasonCrashLoop      = "CrashLoopBackOff"
)

// startRetry is after how long a start that failed without any other delay is tried again.
const startRetry = 10 * time.Second

// pullRetry turns ErrImagePull into ImagePullBackOff.
const pullRetry = 2 * time.Second

// startError is a failed start with the reason that the status shows.
type startError struct {
	reason string
	err    error
}

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

func failStart(reason string, err error) error {
	if err == nil {
		return nil
	}
	return &startError{reason: reason, err: err}
}

func (w *worker) backoffKey(spec *corev1.Container) string {
	return string(w.uid) + "/" + spec.Name + "/" + SpecHash(spec)
}

// startDelay returns how long a container must wait: for the next try of what
// failed, or because it has crashed.
func (w *worker) startDelay(spec *corev1.Container, last *runtime.Container, now time.Time) time.Duration {
	if at, ok := w.retryAt[spec.Name]; ok && now.Before(at) {
		return at.Sub(now)
	}
	return w.crashDelay(spec, last, now)
}

func (w *worker) crashDelay(spec *corev1.Container, last *runtime.Container, now time.Time) time.Duration {
	if last == nil || last.State != runtime.StateExited {
		return 0
	}
	key := w.backoffKey(spec)
	if !w.m.backoff.IsInBackOffSince(key, last.FinishedAt) {
		return 0
	}
	return last.FinishedAt.Add(w.m.backoff.Get(key)).Sub(now)
}

// showBackoff puts a crashed container that waits into CrashLoopBackOff.
func (w *worker) showBackoff(spec *corev1.Container, now time.Time) {
	last := w.lastRun(spec.Name)
	if w.crashDelay(spec, last, now) <= 0 {
		return
	}
	pod := podName(w.pod)
	message := fmt.Sprintf("back-off %s restarting failed container=%s pod=%s", w.m.backoff.Get(w.backoffKey(spec)), spec.Name, pod)
	if w.waiting[spec.Name].Message == message && w.waiting[spec.Name].Reason == reasonCrashLoop && w.backedOff[spec.Name] == last.ID {
		return
	}
	w.backedOff[spec.Name] = last.ID
	w.waiting[spec.Name] = corev1.ContainerStateWaiting{Reason: reasonCrashLoop, Message: message}
	w.containerEvent(spec, corev1.EventTypeWarning, "BackOff", "Back-off restarting failed container %s in pod %s", spec.Name, pod)
}

func (w *worker) lastRun(name string) *runtime.Container {
	for i := range w.observed.Containers {
		if w.observed.Containers[i].Name == name {
			return &w.observed.Containers[i]
		}
	}
	return nil
}

// podName is how kube's messages name a pod.
func podName(pod *corev1.Pod) string {
	return fmt.Sprintf("%s_%s(%s)", pod.Name, pod.Namespace, pod.UID)
}

// start brings one container up.
func (w *worker) start(ctx context.Context, start Start) {
	spec := start.Spec
	if last := w.lastRun(spec.Name); last != nil && last.State == runtime.StateExited {
		w.m.backoff.Next(w.backoffKey(spec), last.FinishedAt)
	}
	s := starter{w: w, pod: w.pod, start: start, sandbox: w.attached, podIPs: w.podIPs, cgroup: w.cgroup}
	if w.pod.Spec.HostNetwork {
		s.podIPs = w.m.config.HostIPs
	}
	s.target = w.targetOf(spec)
	w.spawn(ctx, spec.Name, func(ctx context.Context) func() {
		err := s.run(ctx)
		return func() { w.startDone(spec, err) }
	})
}

// targetOf returns the container whose processes an ephemeral container wants to see.
func (w *worker) targetOf(spec *corev1.Container) string {
	for i := range w.pod.Spec.EphemeralContainers {
		e := &w.pod.Spec.EphemeralContainers[i]
		if e.Name != spec.Name || e.TargetContainerName == "" {
			continue
		}
		if c := w.lastRun(e.TargetContainerName); c != nil && c.State == runtime.StateRunning {
			return c.ID
		}
	}
	return ""
}

func (w *worker) startDone(spec *corev1.Container, err error) {
	w.mu.Lock()
	w.flags.engine = true // the look that follows this one's result sees it
	w.mu.Unlock()
	if err == nil {
		delete(w.waiting, spec.Name)
		w.succeeded(spec.Name)
		return
	}
	if w.stopping {
		return
	}
	now := w.m.config.Clock.Now()
	waiting := corev1.ContainerStateWaiting{Reason: reasonCreateError, Message: err.Error()}
	delay := startRetry
	var pull *images.Error
	var failed *startError
	switch {
	case errors.As(err, &pull):
		waiting = corev1.ContainerStateWaiting{Reason: pull.Reason, Message: pull.Message}
		switch pull.Reason {
		case images.ReasonErrImagePull:
			delay = pullRetry
		case images.ReasonImagePullBackOff:
			delay = max(w.m.config.Images.RetryAfter(string(w.uid), spec.Image), time.Second)
		}
	case errors.As(err, &failed):
		waiting.Reason = failed.reason
		if failed.reason == reasonRunError || failed.reason == reasonPostStartError {
			delay = 0 // it has ended: the crash backoff counts
		}
	}
	w.waiting[spec.Name] = waiting
	delete(w.retryAt, spec.Name)
	if delay > 0 {
		w.retryAt[spec.Name] = now.Add(delay)
	}
	text := waiting.Message
	if pull != nil {
		text = waiting.Reason
	}
	if waiting.Reason != reasonPostStartError {
		w.containerEvent(spec, corev1.EventTypeWarning, "Failed", "Error: %s", text)
	}
}

// starter is one start of one container. It runs in a task, and touches nothing of the worker's loop.
type starter struct {
	w       *worker
	pod     *corev1.Pod
	start   Start
	sandbox string
	target  string
	podIPs  []string
	cgroup  string
}

func (s *starter) run(ctx context.Context) error {
	image, err := s.image(ctx)
	if err != nil {
		return err
	}
	config, err := s.config(ctx, image)
	if err != nil {
		return failStart(reasonConfigError, err)
	}
	engine := s.w.m.config.Engine
	id, err := engine.CreateContainer(ctx, config)
	if err != nil {
		if runtime.IsInvalid(err) {
			return failStart(reasonConfigError, err)
		}
		return failStart(reasonCreateError, err)
	}
	s.event(corev1.EventTypeNormal, "Created", "Container created")
	if err := engine.StartContainer(ctx, id); err != nil {
		return failStart(reasonRunError, err)
	}
	s.event(corev1.EventTypeNormal, "Started", "Container started")
	return s.postStart(ctx, id)
}

// postStart runs the hook; if that fails the container is killed.
func (s *starter) postStart(ctx context.Context, id string) error {
	spec := s.start.Spec
	if spec.Lifecycle == nil || spec.Lifecycle.PostStart == nil {
		return nil
	}
	err := s.w.m.config.Hooks.Run(ctx, spec.Lifecycle.PostStart, s.w.hookTarget(spec, id, s.podIPs))
	if err == nil || ctx.Err() != nil {
		return nil
	}
	s.event(corev1.EventTypeWarning, "FailedPostStartHook", "PostStartHook failed")
	s.event(corev1.EventTypeNormal, "Killing", "FailedPostStartHook")
	grace := int64(30)
	if s.pod.Spec.TerminationGracePeriodSeconds != nil {
		grace = *s.pod.Spec.TerminationGracePeriodSeconds
	}
	if stopErr := s.w.m.config.Engine.StopContainer(ctx, id, time.Duration(grace)*time.Second); stopErr != nil {
		err = errors.Join(err, stopErr)
	}
	return failStart(reasonPostStartError, err)
}

func (w *worker) hookTarget(spec *corev1.Container, id string, podIPs []string) handlers.Target {
	target := handlers.Target{Container: spec, ContainerID: id}
	if len(podIPs) > 0 {
		target.PodIP = podIPs[0]
	}
	return target
}

// image makes the container's image present.
func (s *starter) image(ctx context.Context) (runtime.Image, error) {
	var secrets []corev1.Secret
	for _, ref := range s.pod.Spec.ImagePullSecrets {
		secret, err := s.w.m.config.Objects.Secret(ctx, s.pod.Namespace, ref.Name)
		if apierrors.IsNotFound(err) {
			s.w.m.config.Recorder.Eventf(s.pod, corev1.EventTypeWarning, "FailedToRetrieveImagePullSecret",
				"Unable to retrieve some image pull secrets (%s); attempting to pull the image may not succeed.", ref.Name)
			continue
		}
		if err != nil {
			return runtime.Image{}, failStart(reasonConfigError, err)
		}
		secrets = append(secrets, *secret)
	}
	return s.w.m.config.Images.Ensure(ctx, images.Request{
		PodUID: string(s.pod.UID), Image: s.start.Spec.Image, Policy: s.start.Spec.ImagePullPolicy, Secrets: secrets,
		Event: func(eventType, reason, message string) { s.event(eventType, reason, "%s", message) },
	})
}

func (s *starter) event(eventType, reason, format string, args ...any) {
	containerEvent(s.w.m.config.Recorder, s.pod, s.start.Spec.Name, eventType, reason, format, args...)
}
