package preflight

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/skiff-project/skiff/nodeagent/runtime/docker"
)

// minimumDockerAPI is the API of Docker Engine 20.10.
var minimumDockerAPI = version.MustParseGeneric("1.41")

// Docker refuses a machine where no Docker Engine answers, or one that is too
// old. host is its URL; empty means DOCKER_HOST or the default socket.
func Docker(host string) Check {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		engine, err := docker.Probe(ctx, host)
		if err != nil {
			return fmt.Errorf("no Docker Engine answers: install and start it (hack/deps.sh does both on Debian and Ubuntu): %w", err)
		}
		api, err := version.ParseGeneric(engine.API)
		if err != nil || api.LessThan(minimumDockerAPI) {
			return fmt.Errorf("the Docker Engine is too old (API %s): skiff needs 20.10 (API %s) or newer", engine.API, minimumDockerAPI)
		}
		if engine.OS != "" && !strings.EqualFold(engine.OS, "linux") {
			return fmt.Errorf("the Docker Engine runs %s containers: skiff needs Linux ones", engine.OS)
		}
		return nil
	}
}
