package nodeagent

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/tools/clientcmd"
	nodeutil "k8s.io/component-helpers/node/util"
)

// Options are the flags of a node agent that runs alone, named as kubelet's.
type Options struct {
	Kubeconfig       string
	HostnameOverride string
	NodeIPs          []string
	ClusterDNS       []string
	RegisterTaints   []string
	config           Config
}

// NewOptions returns kubelet's defaults.
func NewOptions() *Options {
	return &Options{config: Config{Port: 10250, Address: "0.0.0.0", MaxPods: 110, RootDir: "/var/lib/kubelet", ClusterDomain: "cluster.local"}}
}

// AddFlags registers the flags on fs.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	c := &o.config
	fs.StringVar(&o.Kubeconfig, "kubeconfig", "", "kubeconfig that says how to reach the API server, as system:node:NAME")
	fs.StringVar(&o.HostnameOverride, "hostname-override", "", "name of this node (default: the host name)")
	fs.StringSliceVar(&o.NodeIPs, "node-ip", nil, "addresses of this node (default: that of the default route)")
	fs.StringVar(&c.DockerHost, "docker-endpoint", "", "URL of the Docker Engine (default: its usual socket)")
	fs.StringVar(&c.PauseImage, "pod-infra-container-image", "", "image that holds a pod's namespaces (default: skiff/pause:1)")
	fs.StringVar(&c.RootDir, "root-dir", c.RootDir, "folder for pods' volumes")
	fs.StringVar(&c.CNIConfDir, "cni-conf-dir", "", "folder of CNI configurations (default: /etc/cni/net.d)")
	fs.StringSliceVar(&c.CNIBinDirs, "cni-bin-dir", nil, "folders of CNI plugins (default: /opt/cni/bin)")
	fs.StringVar(&c.CNICacheDir, "cni-cache-dir", "", "folder for CNI results (default: /var/lib/cni/cache)")
	fs.StringSliceVar(&o.ClusterDNS, "cluster-dns", nil, "addresses of the cluster's DNS servers")
	fs.StringVar(&c.ClusterDomain, "cluster-domain", c.ClusterDomain, "DNS domain of the cluster")
	fs.StringVar(&c.Address, "address", c.Address, "address of the node agent's API")
	fs.IntVar(&c.Port, "port", c.Port, "port of the node agent's API")
	fs.StringVar(&c.TLSCertFile, "tls-cert-file", "", "serving certificate")
	fs.StringVar(&c.TLSKeyFile, "tls-private-key-file", "", "key of the serving certificate")
	fs.StringVar(&c.ClientCAFile, "client-ca-file", "", "CA of the clients' certificates")
	fs.StringToStringVar(&c.NodeLabels, "node-labels", nil, "labels of the node when it registers")
	fs.StringSliceVar(&o.RegisterTaints, "register-with-taints", nil, "taints of the node when it registers (KEY=VALUE:EFFECT)")
	fs.IntVar(&c.MaxPods, "max-pods", c.MaxPods, "how many pods may run on this node")
}

// Validate returns everything that is wrong, each naming its flag.
func (o *Options) Validate() []error {
	var problems []error
	for flag, value := range map[string]string{
		"--kubeconfig": o.Kubeconfig, "--tls-cert-file": o.config.TLSCertFile,
		"--tls-private-key-file": o.config.TLSKeyFile, "--client-ca-file": o.config.ClientCAFile,
	} {
		if value == "" {
			problems = append(problems, errors.New(flag+" is required"))
		}
	}
	if o.config.MaxPods < 1 {
		problems = append(problems, errors.New("--max-pods must be at least 1"))
	}
	if _, err := addresses("--node-ip", o.NodeIPs); err != nil {
		problems = append(problems, err)
	}
	if _, err := addresses("--cluster-dns", o.ClusterDNS); err != nil {
		problems = append(problems, err)
	}
	for _, text := range o.RegisterTaints {
		if _, err := parseTaint(text); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

// Config reads the kubeconfig and finds out what the flags leave open.
func (o *Options) Config() (Config, error) {
	c := o.config
	var err error
	if c.RESTConfig, err = clientcmd.BuildConfigFromFlags("", o.Kubeconfig); err != nil {
		return Config{}, fmt.Errorf("reading --kubeconfig: %w", err)
	}
	if c.NodeName, err = nodeutil.GetHostname(o.HostnameOverride); err != nil {
		return Config{}, fmt.Errorf("finding this node's name: %w", err)
	}
	if c.NodeIPs, err = addresses("--node-ip", o.NodeIPs); err != nil {
		return Config{}, err
	}
	if len(c.NodeIPs) == 0 {
		ip, err := utilnet.ChooseHostInterface()
		if err != nil {
			return Config{}, fmt.Errorf("finding this node's address (give it with --node-ip): %w", err)
		}
		addr, _ := netip.AddrFromSlice(ip)
		c.NodeIPs = []netip.Addr{addr.Unmap()}
	}
	if c.ClusterDNS, err = addresses("--cluster-dns", o.ClusterDNS); err != nil {
		return Config{}, err
	}
	for _, text := range o.RegisterTaints {
		taint, err := parseTaint(text)
		if err != nil {
			return Config{}, err
		}
		c.RegisterWithTaints = append(c.RegisterWithTaints, taint)
	}
	return c, nil
}

func addresses(flag string, texts []string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, text := range texts {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		out = append(out, addr)
	}
	return out, nil
}

// parseTaint reads KEY[=VALUE]:EFFECT.
func parseTaint(text string) (corev1.Taint, error) {
	head, effect, found := strings.Cut(text, ":")
	key, value, _ := strings.Cut(head, "=")
	taint := corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)}
	switch taint.Effect {
	case corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute:
		if found && key != "" {
			return taint, nil
		}
	}
	return corev1.Taint{}, fmt.Errorf("--register-with-taints: %q is not KEY=VALUE:EFFECT with an effect of NoSchedule, PreferNoSchedule or NoExecute", text)
}
