package daemon

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	nodeutil "k8s.io/component-helpers/node/util"
	"k8s.io/utils/clock"
)

// What the network is called, in files and links.
const (
	NetworkName    = "skiff"
	ConfigFile     = "10-skiff.conflist"
	DefaultBridge  = "cni0"
	defaultResync  = time.Minute
	defaultConfDir = "/etc/cni/net.d"
	defaultDataDir = "/var/lib/cni/networks"
)

// Config is what a daemon needs. RESTConfig and NodeName must be set, except for Cleanup.
type Config struct {
	RESTConfig   *rest.Config // user system:skiff:cni
	NodeName     string
	ClusterCIDRs []netip.Prefix // all pods' addresses, of every node

	ConfDir string // the CNI configuration is written here; empty: /etc/cni/net.d
	BinDir  string // where skiff-cni lies; only looked at to warn early; may be empty
	DataDir string // address leases; empty: /var/lib/cni/networks
	Bridge  string // empty: cni0
	MTU     int    // 0: that of the node's uplink

	ResyncPeriod time.Duration    // 0: a minute
	Clock        clock.WithTicker // nil: the real one
}

func (c *Config) setDefaults() {
	for value, fallback := range map[*string]string{&c.ConfDir: defaultConfDir, &c.DataDir: defaultDataDir, &c.Bridge: DefaultBridge} {
		if *value == "" {
			*value = fallback
		}
	}
	if c.ResyncPeriod == 0 {
		c.ResyncPeriod = defaultResync
	}
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
}

func (c *Config) validate() error {
	var problems []error
	if c.RESTConfig == nil {
		problems = append(problems, errors.New("RESTConfig is not set"))
	}
	if c.NodeName == "" {
		problems = append(problems, errors.New("NodeName is not set"))
	}
	if c.MTU < 0 {
		problems = append(problems, fmt.Errorf("MTU %d is negative", c.MTU))
	}
	return errors.Join(problems...)
}

func (c *Config) confFile() string { return filepath.Join(c.ConfDir, ConfigFile) }

// Options are the flags of a daemon that runs as a process of its own.
type Options struct {
	Kubeconfig       string
	HostnameOverride string
	ClusterCIDR      string
	ConfDir          string
	BinDir           string
	DataDir          string
	Bridge           string
	MTU              int
}

// NewOptions returns the defaults.
func NewOptions() *Options {
	return &Options{ConfDir: defaultConfDir, BinDir: "/opt/cni/bin", DataDir: defaultDataDir, Bridge: DefaultBridge}
}

// AddFlags registers the flags.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "kubeconfig file with the address of the API server and the daemon's credentials")
	fs.StringVar(&o.HostnameOverride, "hostname-override", o.HostnameOverride, "name of the node; the host's name if empty")
	fs.StringVar(&o.ClusterCIDR, "cluster-cidr", o.ClusterCIDR, "CIDR of all pods, one per IP family, separated by a comma")
	fs.StringVar(&o.ConfDir, "cni-conf-dir", o.ConfDir, "folder to write the CNI configuration into")
	fs.StringVar(&o.BinDir, "cni-bin-dir", o.BinDir, "folder of the plugin skiff-cni")
	fs.StringVar(&o.DataDir, "data-dir", o.DataDir, "folder of the address leases")
	fs.StringVar(&o.Bridge, "bridge", o.Bridge, "name of the pods' bridge")
	fs.IntVar(&o.MTU, "mtu", o.MTU, "MTU of the pods; 0: that of the node's uplink")
}

// Validate returns everything that is wrong with the flags.
func (o *Options) Validate() []error {
	var problems []error
	if o.Kubeconfig == "" {
		problems = append(problems, errors.New("--kubeconfig is required"))
	}
	if _, err := parsePrefixes(o.ClusterCIDR); err != nil {
		problems = append(problems, fmt.Errorf("--cluster-cidr: %w", err))
	}
	if o.MTU < 0 {
		problems = append(problems, fmt.Errorf("--mtu: %d is negative", o.MTU))
	}
	return problems
}

// Config returns the configuration that the flags describe.
func (o *Options) Config() (Config, error) {
	c := Config{ConfDir: o.ConfDir, BinDir: o.BinDir, DataDir: o.DataDir, Bridge: o.Bridge, MTU: o.MTU}
	var err error
	if c.ClusterCIDRs, err = parsePrefixes(o.ClusterCIDR); err != nil {
		return Config{}, fmt.Errorf("--cluster-cidr: %w", err)
	}
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

func parsePrefixes(list string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for part := range strings.SplitSeq(list, ",") {
		if part == "" {
			continue
		}
		p, err := netip.ParsePrefix(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		out = append(out, p.Masked())
	}
	return out, nil
}
