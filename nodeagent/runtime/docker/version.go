package docker

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/util/version"
)

// minimumAPI is the API of Docker Engine 20.10, the oldest that this package
// speaks.
var minimumAPI = version.MustParseGeneric("1.41")

// Check asks the engine whether it answers and is one that this package can use.
// The error says what is wrong in one sentence.
func (r *Runtime) Check(ctx context.Context) error {
	ping, err := r.client.Ping(ctx)
	if err != nil {
		return fmt.Errorf("no Docker Engine answers at %s: %w", r.client.DaemonHost(), err)
	}
	api, err := version.ParseGeneric(ping.APIVersion)
	if err != nil || api.LessThan(minimumAPI) {
		return fmt.Errorf("the Docker Engine at %s is too old (API %q): 20.10 (API %s) or newer is needed", r.client.DaemonHost(), ping.APIVersion, minimumAPI)
	}
	if ping.OSType != "" && ping.OSType != "linux" {
		return fmt.Errorf("the Docker Engine at %s runs %s containers: Linux ones are needed", r.client.DaemonHost(), ping.OSType)
	}
	return nil
}
