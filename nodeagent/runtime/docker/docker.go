// Package docker runs pods in the Docker Engine, version 20.10 (API 1.41) or
// later. It is the only code that knows Docker.
//
// A sandbox is a container of the pause image with its own network namespace,
// to which Docker connects nothing (network "none"): CNI does that from
// outside. The pod's containers have Docker's network and IPC mode
// "container:<sandbox>". The container's names and labels are those that
// kubelets have always given; whatever the agent wants back after a restart is
// a label (labels.go). What a container is made of is decided in translate.go,
// without a call to anything.
//
// Traps. Docker reports a container whose process could not be started as
// "created" with an exit code, not as "exited". Docker's list does not hold
// exit codes and times, so reading a pod is one list and one inspect for each
// container; ended containers do not change and are inspected once. Containers
// of others on the same engine are not seen: ours have Config.Node as a label.
package docker

import (
	"context"
	"fmt"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// DefaultHost is where the Docker Engine listens.
const DefaultHost = "unix:///var/run/docker.sock"

// Config is what a Runtime needs.
type Config struct {
	// Host is the engine's address; empty is DefaultHost.
	Host string
	// Node is the node's name: a Runtime sees only the containers that were
	// made under the same one. Empty, for images and for cleaning up, it sees those of all
	// nodes and can make none.
	Node string
}

// Runtime is runtime.Runtime on a Docker Engine.
type Runtime struct {
	client *client.Client
	node   string
	host   hostFacts
	ended  endedCache
}

var _ runtime.Runtime = (*Runtime)(nil)

// New returns a Runtime. The engine need not answer yet.
func New(config Config) (*Runtime, error) {
	if config.Host == "" {
		config.Host = DefaultHost
	}
	docker, err := client.NewClientWithOpts(client.WithHost(config.Host), client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, fmt.Errorf("making a client for the Docker Engine at %s: %w", config.Host, err)
	}
	return &Runtime{client: docker, node: config.Node, host: readHostFacts()}, nil
}

func (r *Runtime) translator() translator {
	// The version is the negotiated one: a container comes after its sandbox, or after the list of what there is.
	return translator{node: r.node, facts: r.host.forEngine(r.client.ClientVersion()), readProfile: readProfile}
}

// ownLabel is the filter for the containers of this node.
func (r *Runtime) ownLabel() filters.KeyValuePair {
	if r.node == "" {
		return filters.Arg("label", labelNode)
	}
	return filters.Arg("label", labelNode+"="+r.node)
}

// Close ends idle connections.
func (r *Runtime) Close() error { return r.client.Close() }

// Info implements runtime.Host.
func (r *Runtime) Info(ctx context.Context) (runtime.Info, error) {
	info, err := r.client.Info(ctx)
	if err != nil {
		return runtime.Info{}, fmt.Errorf("asking the Docker Engine for its description: %w", err)
	}
	result := runtime.Info{
		Name:            "docker",
		Version:         info.ServerVersion,
		OperatingSystem: info.OperatingSystem,
		KernelVersion:   info.KernelVersion,
		Architecture:    goArchitecture(info.Architecture),
		CPUs:            info.NCPU,
		MemoryBytes:     info.MemTotal,
		RootDir:         info.DockerRootDir,
		CgroupDriver:    info.CgroupDriver,
		CgroupVersion:   1,
		LiveRestore:     info.LiveRestoreEnabled,
	}
	if info.CgroupVersion == "2" {
		result.CgroupVersion = 2
	}
	return result, nil
}

// goArchitecture returns Go's name for what uname calls the machine.
func goArchitecture(machine string) string {
	switch machine {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	case "armv7l", "armv6l":
		return "arm"
	case "i386", "i686":
		return "386"
	default:
		return machine
	}
}
