package preflight

import (
	"context"
	"fmt"
	"time"

	"github.com/skiff-project/skiff/nodeagent/runtime/docker"
)

// Docker refuses a machine where no Docker Engine answers at host, or one that
// cannot be used. An empty host is the default socket.
func Docker(host string) Check {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		engine, err := docker.New(docker.Config{Host: host})
		if err != nil {
			return err
		}
		defer engine.Close()
		if err := engine.Check(ctx); err != nil {
			return fmt.Errorf("%w (hack/deps.sh installs and starts one on Debian and Ubuntu)", err)
		}
		return nil
	}
}
