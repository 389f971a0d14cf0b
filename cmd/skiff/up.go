package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/validation"
	nodeutil "k8s.io/component-helpers/node/util"

	"github.com/skiff-project/skiff/cluster/allinone"
	"github.com/skiff-project/skiff/cluster/layout"
	"github.com/skiff-project/skiff/cluster/local"
	"github.com/skiff-project/skiff/cluster/process"
	"github.com/skiff-project/skiff/cluster/progress"
)

// upOptions are the flags of `skiff up`.
type upOptions struct {
	localOptions
	nodeName, nodeIP        string
	podCIDRs, serviceCIDRs  []string
	securePort, kubeletPort int
	proxyHealthPort         int
	foreground              bool
	progressFD              int
	timeout                 time.Duration
}

func upCommand() *cobra.Command {
	o := &upOptions{}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a cluster on this machine",
		Long: `Start a cluster on this machine and wait until its node is Ready.

The cluster runs in one background process. A context named "skiff" is added to
your kubeconfig and made the current one. State is kept in the data directory:
"up" after "down", after a crash or after a reboot brings every object back.`,
		Example: `  skiff up
  skiff up --cluster-cidr 10.100.0.0/16 --service-cluster-ip-range 10.101.0.0/16
  skiff up --foreground        # for a service manager`,
		GroupID: groupCluster,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.addFlags(cmd.Flags())
	return cmd
}

func (o *upOptions) addFlags(fs *pflag.FlagSet) {
	o.localOptions.addFlags(fs)
	fs.StringVar(&o.nodeName, "node-name", "", "name of this node (default: the host name)")
	fs.StringVar(&o.nodeIP, "node-ip", "", "address of this node (default: that of the default route)")
	fs.StringSliceVar(&o.podCIDRs, "cluster-cidr", []string{"10.244.0.0/16"}, "addresses for pods")
	fs.StringSliceVar(&o.serviceCIDRs, "service-cluster-ip-range", []string{"10.96.0.0/16"}, "addresses for Services")
	fs.IntVar(&o.securePort, "secure-port", 6443, "port of the API server")
	fs.IntVar(&o.kubeletPort, "kubelet-port", 10250, "port of the node agent's API")
	fs.IntVar(&o.proxyHealthPort, "proxy-health-port", 10256, "port of the Service proxy's health check")
	fs.BoolVar(&o.foreground, "foreground", false, "run in this process until it is stopped")
	fs.DurationVar(&o.timeout, "timeout", 2*time.Minute, "how long to wait for the node to become Ready")
	fs.IntVar(&o.progressFD, "progress-fd", 0, "file descriptor for progress events")
	_ = fs.MarkHidden("progress-fd")
}

func (o *upOptions) run(cmd *cobra.Command) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	cfg, err := o.config()
	if err != nil {
		return err
	}
	if info, err := process.Running(cfg.DataDir.Lock()); err == nil && info != nil && o.progressFD == 0 {
		fmt.Fprintf(out, "skiff already runs (process %d, since %s). Stop it with: skiff down\n", info.PID, info.StartedAt.Local().Format(time.DateTime))
		return nil
	}
	if o.progressFD != 0 { // the starter has checked the machine
		syscall.CloseOnExec(o.progressFD) // its end tells the starter that this process, not a child, has gone
		pipe := os.NewFile(uintptr(o.progressFD), "progress")
		defer pipe.Close()
		return local.Foreground(ctx, cfg, os.Args[1:], &progress.Pipe{W: pipe})
	}
	if err := local.Check(ctx, cfg); err != nil {
		return err
	}
	if o.foreground {
		printer := &progress.Printer{Out: out}
		return local.Foreground(ctx, cfg, os.Args[1:], progress.Func(func(e progress.Event) {
			printer.Report(e)
			if e.Done {
				o.announce(cmd, cfg)
			}
		}))
	}
	return o.detach(ctx, cmd, cfg)
}

// announce adds the kubeconfig context of a cluster that runs in this process. It
// goes on without one: the administrator's file is there in any case.
func (o *upOptions) announce(cmd *cobra.Command, cfg allinone.Config) {
	if err := local.WriteKubeconfig(cfg.DataDir, o.kubeconfigTarget()); err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "skiff: the cluster is up, but %v\n", err)
		return
	}
	fmt.Fprintln(cmd.OutOrStdout(), "The cluster is up.")
}

func (o *upOptions) detach(ctx context.Context, cmd *cobra.Command, cfg allinone.Config) error {
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	start := time.Now()
	waiting, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if err := local.Detached(waiting, cfg.DataDir, executable, detachedArgs(os.Args[1:], cfg.DataDir), cmd.OutOrStdout()); err != nil {
		return err
	}
	target := o.kubeconfigTarget()
	if err := local.WriteKubeconfig(cfg.DataDir, target); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "The cluster is up (%.2fs).", time.Since(start).Seconds())
	if target.Path != "" {
		fmt.Fprintf(cmd.OutOrStdout(), " Try: kubectl get nodes   (context %q in %s)", local.ContextName, target.Path)
	}
	fmt.Fprintln(cmd.OutOrStdout())
	return nil
}

// detachedArgs are the arguments of the background process: the user's own, with
// the data directory made absolute, since it works in another folder.
func detachedArgs(args []string, dir layout.DataDir) []string {
	return append(slices.Clone(args), "--data-dir="+string(dir), fmt.Sprintf("--progress-fd=%d", process.ProgressFD))
}

// config turns flags into the cluster's configuration; errors name the flag.
func (o *upOptions) config() (allinone.Config, error) {
	dir, err := o.dir()
	if err != nil {
		return allinone.Config{}, err
	}
	name, err := nodeutil.GetHostname(o.nodeName)
	if err != nil {
		return allinone.Config{}, fmt.Errorf("--node-name: %w", err)
	}
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return allinone.Config{}, fmt.Errorf("--node-name: %q: %s", name, strings.Join(problems, "; "))
	}
	ip, err := nodeIP(o.nodeIP)
	if err != nil {
		return allinone.Config{}, err
	}
	pods, err := prefixes("--cluster-cidr", o.podCIDRs)
	if err != nil {
		return allinone.Config{}, err
	}
	services, err := prefixes("--service-cluster-ip-range", o.serviceCIDRs)
	if err != nil {
		return allinone.Config{}, err
	}
	if err := disjoint(pods, services); err != nil {
		return allinone.Config{}, err
	}
	executable, err := os.Executable()
	if err != nil {
		return allinone.Config{}, fmt.Errorf("finding this program: %w", err)
	}
	if executable, err = filepath.EvalSymlinks(executable); err != nil {
		return allinone.Config{}, fmt.Errorf("finding this program: %w", err)
	}
	return allinone.Config{
		DataDir: dir, Version: skiffVersion, NodeName: name, NodeIPs: []netip.Addr{ip},
		PodCIDRs: pods, ServiceCIDRs: services,
		SecurePort: o.securePort, KubeletPort: o.kubeletPort, ProxyHealthPort: o.proxyHealthPort,
		DockerHost: o.dockerHost, ProgramDir: filepath.Dir(executable),
	}, nil
}

func nodeIP(flag string) (netip.Addr, error) {
	if flag != "" {
		ip, err := netip.ParseAddr(flag)
		if err != nil {
			return netip.Addr{}, fmt.Errorf("--node-ip: %w", err)
		}
		return ip, nil
	}
	ip, err := utilnet.ChooseHostInterface()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("finding this machine's address: %w; give it with --node-ip", err)
	}
	return addrOf(ip), nil
}

func addrOf(ip net.IP) netip.Addr {
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}

func prefixes(flag string, values []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, value := range values {
		prefix, err := netip.ParsePrefix(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		if prefix != prefix.Masked() {
			return nil, fmt.Errorf("%s: %s has host bits set; did you mean %s?", flag, prefix, prefix.Masked())
		}
		out = append(out, prefix)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: give at least one range such as 10.244.0.0/16", flag)
	}
	return out, nil
}

func disjoint(pods, services []netip.Prefix) error {
	for _, p := range pods {
		for _, s := range services {
			if p.Overlaps(s) {
				return fmt.Errorf("--cluster-cidr %s overlaps --service-cluster-ip-range %s", p, s)
			}
		}
	}
	return nil
}
