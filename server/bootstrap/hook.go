package bootstrap

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"
)

const (
	// retryInterval is short: the whole cluster waits for these objects.
	retryInterval  = 50 * time.Millisecond
	repeatInterval = time.Minute
)

// Ensure makes stored objects what they must be.
type Ensure func(ctx context.Context) error

// Hook returns the post-start hook of ensure, which is called until it succeeds
// and once a minute from then on.
func Hook(name string, ensure Ensure) genericapiserver.PostStartHookFunc {
	return func(hook genericapiserver.PostStartHookContext) error {
		logger := klog.FromContext(hook).WithName(name)
		ctx := klog.NewContext(hook, logger)
		var last error
		err := wait.PollUntilContextCancel(ctx, retryInterval, true, func(ctx context.Context) (bool, error) {
			if last = ensure(ctx); last != nil && ctx.Err() == nil {
				logger.V(2).Info("Cannot make the system's objects yet", "err", last)
			}
			return last == nil, nil
		})
		if err != nil {
			if hook.Err() != nil {
				return nil // the server is stopping
			}
			return fmt.Errorf("%s: %w", name, last)
		}
		go func() {
			_ = wait.PollUntilContextCancel(ctx, repeatInterval, false, func(ctx context.Context) (bool, error) {
				if err := ensure(ctx); err != nil && ctx.Err() == nil {
					logger.Error(err, "Cannot make the system's objects")
				}
				return false, nil
			})
		}()
		return nil
	}
}
