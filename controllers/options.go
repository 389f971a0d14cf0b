package controllers

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"
)

// Options are the flags of the controllers as a process of their own, named as
// kube-controller-manager's.
type Options struct {
	Kubeconfig  string
	Controllers []string

	LeaderElect   bool
	LeaseDuration time.Duration
	RenewDeadline time.Duration
	RetryPeriod   time.Duration

	RootCAFile                   string
	ServiceAccountPrivateKeyFile string

	AllocateNodeCIDRs bool
	ClusterCIDR       string
	NodeCIDRMaskSize  int // 0: the size of each family
	NodeCIDRMaskIPv4  int
	NodeCIDRMaskIPv6  int
	ServiceCIDR       string

	NodeMonitorGracePeriod time.Duration
	NodeStartupGracePeriod time.Duration
	NodeEvictionRate       float32
	TerminatedPodThreshold int
}

// NewOptions returns kube's defaults.
func NewOptions() *Options {
	return &Options{
		Controllers:            []string{"*"},
		LeaderElect:            true,
		LeaseDuration:          15 * time.Second,
		RenewDeadline:          10 * time.Second,
		RetryPeriod:            2 * time.Second,
		AllocateNodeCIDRs:      true,
		NodeCIDRMaskIPv4:       24,
		NodeCIDRMaskIPv6:       64,
		NodeMonitorGracePeriod: 50 * time.Second,
		NodeStartupGracePeriod: time.Minute,
		NodeEvictionRate:       0.1,
		TerminatedPodThreshold: 12500,
	}
}

// AddFlags declares the flags.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "Path to kubeconfig file with authorization and API server location information.")
	fs.StringSliceVar(&o.Controllers, "controllers", o.Controllers, "A list of controllers to enable. '*' enables all controllers, 'foo' enables the controller named 'foo', '-foo' disables the controller named 'foo'.\nAll controllers: "+strings.Join(Names(), ", "))
	fs.BoolVar(&o.LeaderElect, "leader-elect", o.LeaderElect, "Start a leader election client and gain leadership before executing the main loop.")
	fs.DurationVar(&o.LeaseDuration, "leader-elect-lease-duration", o.LeaseDuration, "How long other candidates wait after observing a renewal before they try to take over.")
	fs.DurationVar(&o.RenewDeadline, "leader-elect-renew-deadline", o.RenewDeadline, "How long the leader tries to renew before it stops leading.")
	fs.DurationVar(&o.RetryPeriod, "leader-elect-retry-period", o.RetryPeriod, "How long candidates wait between tries.")
	fs.StringVar(&o.RootCAFile, "root-ca-file", o.RootCAFile, "PEM bundle that is published to every namespace and included in service account token secrets.")
	fs.StringVar(&o.ServiceAccountPrivateKeyFile, "service-account-private-key-file", o.ServiceAccountPrivateKeyFile, "PEM-encoded private RSA or ECDSA key used to sign service account tokens.")
	fs.BoolVar(&o.AllocateNodeCIDRs, "allocate-node-cidrs", o.AllocateNodeCIDRs, "Should CIDRs for Pods be allocated to the nodes.")
	fs.StringVar(&o.ClusterCIDR, "cluster-cidr", o.ClusterCIDR, "CIDR range for Pods in the cluster, or two of them, comma-separated, one per address family.")
	fs.IntVar(&o.NodeCIDRMaskSize, "node-cidr-mask-size", o.NodeCIDRMaskSize, "Mask size for node CIDR in a single-stack cluster. Default is 24 for IPv4 and 64 for IPv6.")
	fs.IntVar(&o.NodeCIDRMaskIPv4, "node-cidr-mask-size-ipv4", o.NodeCIDRMaskIPv4, "Mask size for IPv4 node CIDR.")
	fs.IntVar(&o.NodeCIDRMaskIPv6, "node-cidr-mask-size-ipv6", o.NodeCIDRMaskIPv6, "Mask size for IPv6 node CIDR.")
	fs.StringVar(&o.ServiceCIDR, "service-cluster-ip-range", o.ServiceCIDR, "CIDR range for Services; never given to nodes.")
	fs.DurationVar(&o.NodeMonitorGracePeriod, "node-monitor-grace-period", o.NodeMonitorGracePeriod, "How long a running node may be silent before it is marked unhealthy.")
	fs.DurationVar(&o.NodeStartupGracePeriod, "node-startup-grace-period", o.NodeStartupGracePeriod, "How long a starting node may be silent before it is marked unhealthy.")
	fs.Float32Var(&o.NodeEvictionRate, "node-eviction-rate", o.NodeEvictionRate, "Number of nodes per second on which pods are deleted in case of node failure when a zone is healthy.")
	fs.IntVar(&o.TerminatedPodThreshold, "terminated-pod-gc-threshold", o.TerminatedPodThreshold, "Number of terminated pods that can exist before they are deleted. If <= 0, they never are.")
}

// Validate returns every mistake.
func (o *Options) Validate() []error {
	var errs []error
	if o.Kubeconfig == "" {
		errs = append(errs, errors.New("--kubeconfig is required"))
	}
	if err := checkNames(o.Controllers); err != nil {
		errs = append(errs, fmt.Errorf("--controllers: %w", err))
	}
	if o.LeaderElect && !(o.LeaseDuration > o.RenewDeadline && o.RenewDeadline > o.RetryPeriod && o.RetryPeriod > 0) {
		errs = append(errs, errors.New("--leader-elect-lease-duration must be longer than --leader-elect-renew-deadline, and that longer than --leader-elect-retry-period"))
	}
	cidrs, err := parseCIDRs(o.ClusterCIDR)
	switch {
	case err != nil:
		errs = append(errs, fmt.Errorf("--cluster-cidr: %w", err))
	case len(cidrs) > 2 || (len(cidrs) == 2 && cidrs[0].Addr().Is6() == cidrs[1].Addr().Is6()):
		errs = append(errs, errors.New("--cluster-cidr: at most one range of each address family"))
	case len(cidrs) == 2 && o.NodeCIDRMaskSize != 0:
		errs = append(errs, errors.New("--node-cidr-mask-size: use --node-cidr-mask-size-ipv4 and -ipv6 in a dual-stack cluster"))
	}
	if _, err := parseCIDRs(o.ServiceCIDR); err != nil {
		errs = append(errs, fmt.Errorf("--service-cluster-ip-range: %w", err))
	}
	return errs
}

// parseCIDRs reads a comma-separated list of prefixes.
func parseCIDRs(list string) ([]netip.Prefix, error) {
	if list == "" {
		return nil, nil
	}
	var out []netip.Prefix
	for text := range strings.SplitSeq(list, ",") {
		prefix, err := netip.ParsePrefix(strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		out = append(out, prefix.Masked())
	}
	return out, nil
}

// Config reads the files that the options name.
func (o *Options) Config() (Config, error) {
	restConfig, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return Config{}, fmt.Errorf("reading kubeconfig: %w", err)
	}
	threshold := o.TerminatedPodThreshold
	if threshold <= 0 {
		threshold = -1
	}
	cfg := Config{
		RESTConfig: restConfig, Controllers: slices.Clone(o.Controllers),
		LeaderElect: o.LeaderElect, LeaseDuration: o.LeaseDuration, RenewDeadline: o.RenewDeadline, RetryPeriod: o.RetryPeriod,
		NodeCIDRMaskIPv4: o.NodeCIDRMaskIPv4, NodeCIDRMaskIPv6: o.NodeCIDRMaskIPv6,
		NodeMonitorGracePeriod: o.NodeMonitorGracePeriod, NodeStartupGracePeriod: o.NodeStartupGracePeriod,
		NodeEvictionRate: o.NodeEvictionRate, TerminatedPodThreshold: threshold,
	}
	if o.NodeCIDRMaskSize != 0 {
		cfg.NodeCIDRMaskIPv4, cfg.NodeCIDRMaskIPv6 = o.NodeCIDRMaskSize, o.NodeCIDRMaskSize
	}
	if o.AllocateNodeCIDRs {
		if cfg.ClusterCIDRs, err = parseCIDRs(o.ClusterCIDR); err != nil {
			return Config{}, fmt.Errorf("--cluster-cidr: %w", err)
		}
	}
	if cfg.ServiceCIDRs, err = parseCIDRs(o.ServiceCIDR); err != nil {
		return Config{}, fmt.Errorf("--service-cluster-ip-range: %w", err)
	}
	if cfg.RootCA, err = readOptional(o.RootCAFile); err != nil {
		return Config{}, fmt.Errorf("--root-ca-file: %w", err)
	}
	if len(cfg.RootCA) == 0 {
		cfg.RootCA = restConfig.CAData // what trusts the server here trusts it in pods
	}
	if cfg.ServiceAccountSigningKey, err = readOptional(o.ServiceAccountPrivateKeyFile); err != nil {
		return Config{}, fmt.Errorf("--service-account-private-key-file: %w", err)
	}
	return cfg, nil
}

func readOptional(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	return os.ReadFile(path)
}
