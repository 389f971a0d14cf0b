// Package allinone runs a whole cluster in one process: it starts the
// components, hands each the API server's in-memory transport under its own
// identity, and stops them in the order in which nothing is lost.
//
// # Life
//
//	certificates -> API server (with etcd) -> controllers, scheduler, proxy,
//	pod network, node agent, all at once -> node Ready
//
// and back: first everything that writes, then the API server, then etcd.
// Containers are left alone: they go on running while skiff is away, and the
// node agent finds them again. Package teardown removes them.
package allinone

import (
	"errors"
	"net/netip"

	"github.com/skiff-project/skiff/cluster/layout"
)

// Config says what to run. All fields are required unless marked.
type Config struct {
	DataDir      layout.DataDir
	Version      string // of skiff, for the node's status and the pause image
	NodeName     string
	NodeIPs      []netip.Addr // the first is the primary one
	PodCIDRs     []netip.Prefix
	ServiceCIDRs []netip.Prefix

	SecurePort      int // API server
	KubeletPort     int
	ProxyHealthPort int
	DockerHost      string // URL of the Docker Engine; empty: Docker's own rules

	// ProgramDir is where skiff-cni and skiff-pause lie beside this binary.
	ProgramDir string
}

func (c *Config) validate() error {
	var problems []error
	require := func(ok bool, message string) {
		if !ok {
			problems = append(problems, errors.New(message))
		}
	}
	require(c.DataDir != "", "the data directory is not set")
	require(c.NodeName != "", "the node name is not set")
	require(len(c.NodeIPs) > 0, "the node has no IP address")
	require(len(c.PodCIDRs) > 0, "there is no pod CIDR")
	require(len(c.ServiceCIDRs) > 0, "there is no service CIDR")
	require(c.ProgramDir != "", "the folder of skiff-cni and skiff-pause is not set")
	return errors.Join(problems...)
}

// PauseImage is the reference of the image that holds a pod's namespaces.
const PauseImage = "skiff/pause:1"
