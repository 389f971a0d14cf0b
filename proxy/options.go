package proxy

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"
	nodeutil "k8s.io/component-helpers/node/util"
)

// Options are the flags of a proxy that runs as a process of its own. Names and
// meanings are kube-proxy's where it has the flag.
type Options struct {
	Kubeconfig            string
	HostnameOverride      string
	NodeIPs               []string
	ClusterCIDR           string
	ServiceClusterIPRange string
	Mode                  string
	HealthzBindAddress    string
	MinSyncPeriod         time.Duration
	SyncPeriod            time.Duration
	MasqueradeBit         int
	MasqueradeAll         bool
	LocalhostNodePorts    bool
	NodePortAddresses     []string
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	return &Options{
		Mode:               ModeIPTables,
		HealthzBindAddress: "0.0.0.0:10256",
		MinSyncPeriod:      DefaultMinSyncPeriod,
		SyncPeriod:         DefaultSyncPeriod,
		MasqueradeBit:      defaultMasqueradeBit,
		LocalhostNodePorts: true,
	}
}

// AddFlags registers the flags.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "kubeconfig file with the address of the API server and the proxy's credentials")
	fs.StringVar(&o.HostnameOverride, "hostname-override", o.HostnameOverride, "name of the node; the host's name if empty")
	fs.StringSliceVar(&o.NodeIPs, "node-ip", o.NodeIPs, "addresses of the node; they decide the IP families where no service range is given")
	fs.StringVar(&o.ClusterCIDR, "cluster-cidr", o.ClusterCIDR, "CIDR of the pods, one per IP family, separated by a comma")
	fs.StringVar(&o.ServiceClusterIPRange, "service-cluster-ip-range", o.ServiceClusterIPRange, "CIDR of the Services' addresses, one per IP family; traffic to addresses in it that no Service has is refused")
	fs.StringVar(&o.Mode, "proxy-mode", o.Mode, "how to proxy: iptables")
	fs.StringVar(&o.HealthzBindAddress, "healthz-bind-address", o.HealthzBindAddress, "address and port of the health server; empty: none")
	fs.DurationVar(&o.MinSyncPeriod, "iptables-min-sync-period", o.MinSyncPeriod, "shortest time between two changes of the rules")
	fs.DurationVar(&o.SyncPeriod, "iptables-sync-period", o.SyncPeriod, "how often to look whether the rules still stand")
	fs.IntVar(&o.MasqueradeBit, "iptables-masquerade-bit", o.MasqueradeBit, "bit of the packet mark that asks for source NAT, 0 to 31")
	fs.BoolVar(&o.MasqueradeAll, "masquerade-all", o.MasqueradeAll, "source NAT for all traffic to cluster IPs")
	fs.BoolVar(&o.LocalhostNodePorts, "iptables-localhost-nodeports", o.LocalhostNodePorts, "let node ports answer on 127.0.0.1")
	fs.StringSliceVar(&o.NodePortAddresses, "nodeport-addresses", o.NodePortAddresses, "CIDRs of the node's addresses on which node ports answer; all if empty")
}

// Validate returns everything that is wrong with the flags.
func (o *Options) Validate() []error {
	var problems []error
	if o.Kubeconfig == "" {
		problems = append(problems, fmt.Errorf("--kubeconfig is required"))
	}
	if o.MinSyncPeriod < 0 || o.SyncPeriod <= 0 {
		problems = append(problems, fmt.Errorf("--iptables-sync-period must be positive and --iptables-min-sync-period not negative"))
	}
	if o.MasqueradeBit < 0 || o.MasqueradeBit > 31 {
		problems = append(problems, fmt.Errorf("--iptables-masquerade-bit: %d is not in 0 to 31", o.MasqueradeBit))
	}
	if o.Mode != "" && o.Mode != ModeIPTables {
		problems = append(problems, fmt.Errorf("--proxy-mode: %q is not known; known: %s", o.Mode, ModeIPTables))
	}
	return append(problems, o.addresses(&Config{})...)
}

// Config returns the configuration that the flags describe.
func (o *Options) Config() (Config, error) {
	c := Config{
		Mode: o.Mode, HealthzBindAddress: o.HealthzBindAddress,
		MinSyncPeriod: o.MinSyncPeriod, SyncPeriod: o.SyncPeriod,
		MasqueradeBit: &o.MasqueradeBit, MasqueradeAll: o.MasqueradeAll, NoLocalhostNodePort: !o.LocalhostNodePorts,
	}
	if problems := o.addresses(&c); len(problems) > 0 {
		return Config{}, problems[0]
	}
	var err error
	if c.NodeName, err = nodeutil.GetHostname(o.HostnameOverride); err != nil {
		return Config{}, fmt.Errorf("finding the node's name: %w", err)
	}
	if _, err = os.Stat(o.Kubeconfig); err != nil {
		return Config{}, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	if c.RESTConfig, err = clientcmd.BuildConfigFromFlags("", o.Kubeconfig); err != nil {
		return Config{}, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	return c, nil
}

// addresses parses the flags that hold addresses.
func (o *Options) addresses(into *Config) []error {
	var problems []error
	prefixes := func(flag string, values []string) []netip.Prefix {
		var out []netip.Prefix
		for _, v := range values {
			if v == "" {
				continue
			}
			p, err := netip.ParsePrefix(strings.TrimSpace(v))
			if err != nil {
				problems = append(problems, fmt.Errorf("--%s: %w", flag, err))
				continue
			}
			out = append(out, p.Masked())
		}
		return out
	}
	into.ClusterCIDRs = prefixes("cluster-cidr", strings.Split(o.ClusterCIDR, ","))
	into.ServiceCIDRs = prefixes("service-cluster-ip-range", strings.Split(o.ServiceClusterIPRange, ","))
	into.NodePortAddresses = prefixes("nodeport-addresses", o.NodePortAddresses)
	for _, v := range o.NodeIPs {
		ip, err := netip.ParseAddr(v)
		if err != nil {
			problems = append(problems, fmt.Errorf("--node-ip: %w", err))
			continue
		}
		into.NodeIPs = append(into.NodeIPs, ip)
	}
	return problems
}
