// Package lifecycle runs the postStart and preStop hooks of containers.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"github.com/skiff-project/skiff/nodeagent/handlers"
)

// Runner runs hooks.
type Runner struct {
	Engine handlers.Execer
	Clock  clock.Clock
}

// unlimited is the time of a single action: a hook has none of its own, it ends
// with ctx.
const unlimited = 0 * time.Second

// Run carries out a hook and returns when it is done or ctx ends. Its error holds
// what users read in FailedPostStartHook and FailedPreStopHook events.
func (r Runner) Run(ctx context.Context, hook *corev1.LifecycleHandler, target handlers.Target) error {
	switch {
	case hook.Exec != nil:
		result, err := handlers.Exec(ctx, r.Engine, target, hook.Exec.Command, unlimited)
		if err != nil {
			return fmt.Errorf("running %q: %w", hook.Exec.Command, err)
		}
		if !result.OK {
			return fmt.Errorf("command %q failed: %s", hook.Exec.Command, result.Output)
		}
		return nil
	case hook.HTTPGet != nil:
		result, err := handlers.HTTP(ctx, target, hook.HTTPGet, unlimited)
		if err != nil {
			return fmt.Errorf("sending an HTTP request: %w", err)
		}
		if !result.OK {
			return errors.New(result.Output)
		}
		return nil
	case hook.Sleep != nil:
		timer := r.Clock.NewTimer(time.Duration(hook.Sleep.Seconds) * time.Second)
		defer timer.Stop()
		select {
		case <-timer.C():
			return nil
		case <-ctx.Done():
			return fmt.Errorf("sleeping: %w", ctx.Err())
		}
	case hook.TCPSocket != nil:
		return errors.New("tcpSocket hooks are not supported: use exec, httpGet or sleep")
	}
	return errors.New("the hook has no action")
}
