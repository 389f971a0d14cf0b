// Package lifecycle runs the postStart and preStop hooks of containers.
package lifecycle

import (
	"context"
	"fmt"
	"strings"
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

// unlimited is the time of a command: a hook has none of its own, it ends with ctx.
const unlimited = 0 * time.Second

// Run carries out a hook and returns when it is done or ctx ends. Its error holds
// what users read as the message of a container that waits with PostStartHookError.
func (r Runner) Run(ctx context.Context, hook *corev1.LifecycleHandler, target handlers.Target) error {
	switch {
	case hook.Exec != nil:
		return r.exec(ctx, hook.Exec.Command, target)
	case hook.HTTPGet != nil:
		if err := handlers.HTTPHook(ctx, target, hook.HTTPGet); err != nil {
			return fmt.Errorf("HTTP lifecycle hook (%s) for Container %q failed - error: %w", hook.HTTPGet.Path, target.Container.Name, err)
		}
		return nil
	case hook.Sleep != nil:
		if err := r.sleep(ctx, hook.Sleep.Seconds); err != nil {
			return fmt.Errorf("Sleep lifecycle hook (%d) for Container %q failed - error: %w", hook.Sleep.Seconds, target.Container.Name, err)
		}
		return nil
	}
	// tcpSocket passes validation, but has never been a hook that can be run.
	return fmt.Errorf("Cannot run handler: invalid handler of Container %q: a hook needs exec, httpGet or sleep", target.Container.Name)
}

func (r Runner) exec(ctx context.Context, command []string, target handlers.Target) error {
	result, err := handlers.Exec(ctx, r.Engine, target, command, unlimited)
	if err == nil && !result.OK {
		err = fmt.Errorf("command '%s' exited with %d: %s", strings.Join(command, " "), result.ExitCode, result.Output)
	}
	if err != nil {
		return fmt.Errorf("Exec lifecycle hook (%v) for Container %q failed - error: %w, message: %q", command, target.Container.Name, err, result.Output)
	}
	return nil
}

func (r Runner) sleep(ctx context.Context, seconds int64) error {
	timer := r.Clock.NewTimer(time.Duration(seconds) * time.Second)
	defer timer.Stop()
	select {
	case <-timer.C():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
