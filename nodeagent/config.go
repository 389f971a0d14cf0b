// Package nodeagent is the kubelet on Docker Engine: it runs the pods that are
// bound to this node and tells the API what becomes of them.
//
// This package only wires: package pods plans and runs, runtime/docker speaks to
// the engine, volumes, network, probes, images and status do what their names
// say, node keeps the Node object, httpapi answers logs and exec.
package nodeagent

import (
	"errors"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
)

// Config is what the node agent needs. RESTConfig, NodeName, NodeIPs, the TLS
// files and ClientCAFile are mandatory; the rest has kube's defaults.
type Config struct {
	// RESTConfig reaches the API server as system:node:<NodeName>.
	RESTConfig *rest.Config
	NodeName   string
	NodeIPs    []netip.Addr // the primary one first

	DockerHost string // URL of the engine; empty: its default socket
	PauseImage string // present in the engine; default skiff/pause:1
	RootDir    string // pods' volumes; default /var/lib/kubelet
	PodLogDir  string // default /var/log/pods

	CNIConfDir  string   // default /etc/cni/net.d
	CNIBinDirs  []string // default /opt/cni/bin
	CNICacheDir string   // default /var/lib/cni/cache

	ClusterDNS    []netip.Addr // empty: pods use the node's resolver
	ClusterDomain string       // default cluster.local

	Address                 string // of the kubelet API; default 0.0.0.0
	Port                    int    // default 10250
	TLSCertFile, TLSKeyFile string
	ClientCAFile            string

	// ContainerLabels are put on every container, so that those of this cluster can be told from others.
	ContainerLabels    map[string]string
	NodeLabels         map[string]string
	RegisterWithTaints []corev1.Taint
	MaxPods            int // default 110

	Clock clock.WithTickerAndDelayedExecution
}

// complete fills in the defaults and names what is missing.
func (c *Config) complete() error {
	var problems []error
	for _, required := range []struct {
		is   bool
		what string
	}{
		{c.RESTConfig != nil, "a RESTConfig"}, {c.NodeName != "", "a NodeName"}, {len(c.NodeIPs) > 0, "a node IP"},
		{c.TLSCertFile != "" && c.TLSKeyFile != "", "a serving certificate and its key"}, {c.ClientCAFile != "", "a client CA file"},
	} {
		if !required.is {
			problems = append(problems, errors.New("the node agent needs "+required.what))
		}
	}
	setDefault(&c.PauseImage, "skiff/pause:1")
	setDefault(&c.RootDir, "/var/lib/kubelet")
	setDefault(&c.PodLogDir, "/var/log/pods")
	setDefault(&c.CNIConfDir, "/etc/cni/net.d")
	setDefault(&c.CNICacheDir, "/var/lib/cni/cache")
	setDefault(&c.ClusterDomain, "cluster.local")
	setDefault(&c.Address, "0.0.0.0")
	setDefault(&c.Port, 10250)
	setDefault(&c.MaxPods, 110)
	if len(c.CNIBinDirs) == 0 {
		c.CNIBinDirs = []string{"/opt/cni/bin"}
	}
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	return errors.Join(problems...)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
