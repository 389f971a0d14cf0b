package pods

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

const (
	// leastStop is what a container gets after its preStop hook has used up the grace period.
	leastStop  = 2 * time.Second
	killRetry  = time.Second
	killRetMax = 30 * time.Second
)

// kill stops a container: its preStop hook, its stop signal, and SIGKILL in the end.
func (w *worker) kill(ctx context.Context, kill Kill, now time.Time) {
	grace := w.killGrace(kill, now)
	hook := w.preStop(kill, grace)
	if w.pod != nil && !w.announced[kill.ID] {
		w.announced[kill.ID] = true
		containerEvent(w.m.config.Recorder, w.pod, kill.Name, corev1.EventTypeNormal, "Killing", "%s", kill.Message)
	}
	pod, ips := w.pod, w.podIPs
	until := now.Add(grace) // the task changes grace
	t := w.spawn(ctx, kill.Name, func(ctx context.Context) func() {
		if hook != nil {
			started := w.m.config.Clock.Now()
			hookCtx, cancel := context.WithTimeout(ctx, grace)
			err := w.m.config.Hooks.Run(hookCtx, hook, w.hookTarget(kill.Spec, kill.ID, ips))
			cancel()
			if err != nil && ctx.Err() == nil {
				containerEvent(w.m.config.Recorder, pod, kill.Name, corev1.EventTypeWarning, "FailedPreStopHook", "PreStopHook failed")
				klog.FromContext(ctx).V(1).Info("A preStop hook failed", "container", kill.Name, "err", err)
			}
			grace = max(grace-w.m.config.Clock.Since(started), leastStop)
		}
		var err error
		if ctx.Err() == nil { // else there is less time now: the next look kills again
			err = w.m.config.Engine.StopContainer(ctx, kill.ID, grace)
		}
		return func() { w.killDone(ctx, kill, pod, err) }
	})
	t.kill, t.until = true, until
}

func (w *worker) killDone(ctx context.Context, kill Kill, pod *corev1.Pod, err error) {
	w.mu.Lock()
	w.flags.engine = true
	w.mu.Unlock()
	if err == nil || ctx.Err() != nil && w.stopping {
		w.succeeded(kill.Name)
		return
	}
	w.retryDelay(kill.Name, killRetry, killRetMax)
	w.wakeBy(w.retryAt[kill.Name])
	if pod != nil && ctx.Err() == nil {
		containerEvent(w.m.config.Recorder, pod, kill.Name, corev1.EventTypeWarning, "FailedKillPod", "error killing pod: %v", err)
	}
}

// killGrace returns how long a container has to end by itself.
func (w *worker) killGrace(kill Kill, now time.Time) time.Duration {
	if w.stopping {
		return max(w.stopBy.Sub(now), 0)
	}
	if kill.Unhealthy {
		if failure := w.m.config.Probes.Unhealthy(w.uid, kill.Name, kill.ID); failure != nil && failure.Grace != nil {
			return time.Duration(*failure.Grace) * time.Second
		}
	}
	if w.pod != nil && w.pod.Spec.TerminationGracePeriodSeconds != nil {
		return time.Duration(*w.pod.Spec.TerminationGracePeriodSeconds) * time.Second
	}
	return 30 * time.Second
}

// preStop returns the container's hook unless it was run already or there is no time.
func (w *worker) preStop(kill Kill, grace time.Duration) *corev1.LifecycleHandler {
	if kill.Spec == nil || kill.Spec.Lifecycle == nil || kill.Spec.Lifecycle.PreStop == nil || grace <= 0 || w.hooked[kill.ID] {
		return nil
	}
	w.hooked[kill.ID] = true
	return kill.Spec.Lifecycle.PreStop
}
