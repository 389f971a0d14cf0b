package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/coreos/go-iptables/iptables"
	"k8s.io/klog/v2"

	"github.com/skiff-project/skiff/cni/netlink"
	"github.com/skiff-project/skiff/cni/plugin"
)

// apply makes the node as a pod network with the CIDRs needs it. The CNI
// configuration comes last: it is the sign that pods may start.
func (d *Daemon) apply(ctx context.Context, pods []netip.Prefix) error {
	mtu := d.config.MTU
	if mtu == 0 {
		var err error
		if mtu, err = netlink.UplinkMTU(); err != nil {
			return fmt.Errorf("finding the uplink's MTU: %w", err)
		}
	}
	conf := &plugin.Config{
		PluginConf: types.PluginConf{Name: NetworkName, Type: plugin.Type},
		Bridge:     d.config.Bridge, MTU: mtu, Subnets: pods, DataDir: d.config.DataDir,
	}
	if err := d.applyKernel(ctx, conf); err != nil {
		return err
	}
	text, err := conflist(conf)
	if err != nil {
		return fmt.Errorf("writing the CNI configuration: %w", err)
	}
	written, err := writeIfDifferent(d.config.confFile(), text)
	if err != nil {
		return fmt.Errorf("writing the CNI configuration: %w", err)
	}
	if written {
		klog.FromContext(ctx).Info("The pod network is ready", "podCIDRs", pods, "bridge", d.config.Bridge, "mtu", mtu)
	}
	return nil
}

func (d *Daemon) applyKernel(ctx context.Context, conf *plugin.Config) error {
	_, err := netlink.EnsureBridge(netlink.Bridge{Name: conf.Bridge, MTU: conf.MTU, Addresses: conf.BridgeAddresses()})
	if err != nil {
		return err
	}
	for _, is4 := range []bool{true, false} {
		mine := ofFamily(conf.Subnets, is4)
		if len(mine) == 0 {
			continue
		}
		if err := setSysctls(ctx, is4, conf.Bridge); err != nil {
			return err
		}
		ipt, err := d.program(is4)
		if err != nil {
			return err
		}
		for _, c := range chains(d.config.ClusterCIDRs, mine, is4, ipt.HasRandomFully()) {
			if err := ensureChain(ipt, c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Daemon) program(is4 bool) (*iptables.IPTables, error) {
	if d.programs[is4] == nil {
		ipt, err := openIPTables(is4)
		if err != nil {
			return nil, err
		}
		d.programs[is4] = ipt
	}
	return d.programs[is4], nil
}

// setSysctls lets the node route pods' packets, and lets Service rules see those
// that only cross the bridge.
func setSysctls(ctx context.Context, is4 bool, bridge string) error {
	wanted := [][2]string{{"net/ipv4/ip_forward", "1"}, {"net/bridge/bridge-nf-call-iptables", "1"}}
	if is4 && strictReversePath(bridge) {
		// Strict checks drop answers to pods that come in by another uplink.
		wanted = append(wanted, [2]string{"net/ipv4/conf/" + bridge + "/rp_filter", "2"})
	}
	if !is4 {
		wanted = [][2]string{{"net/ipv6/conf/all/forwarding", "1"}, {"net/bridge/bridge-nf-call-ip6tables", "1"}}
	}
	loadBridgeFilter(ctx, "/proc/sys/net/bridge", "modprobe")
	for _, s := range wanted {
		err := netlink.Sysctl(s[0], s[1])
		if netlink.IsMissing(err) {
			klog.FromContext(ctx).V(1).Info("The kernel has no such setting", "sysctl", s[0])
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// loadBridgeFilter loads the kernel module that shows bridged packets to the
// rules, where its settings are missing. Without it a pod gets no answer from a
// Service whose endpoint is on the same node. Docker loads it only in some versions.
func loadBridgeFilter(ctx context.Context, settings, modprobe string) {
	if _, err := os.Stat(settings); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	if found, err := exec.LookPath(modprobe); err == nil {
		modprobe = found
	} else {
		modprobe = filepath.Join("/usr/sbin", modprobe) // not on the PATH of every root shell
	}
	// It may be built into the kernel, or loading be left to a container's host.
	if out, err := exec.CommandContext(ctx, modprobe, "br_netfilter").CombinedOutput(); err != nil {
		klog.FromContext(ctx).Info("Services may not work between pods of this node: loading the module br_netfilter failed",
			"error", err, "output", string(bytes.TrimSpace(out)))
	}
}

func strictReversePath(bridge string) bool {
	value, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + bridge + "/rp_filter")
	all, allErr := os.ReadFile("/proc/sys/net/ipv4/conf/all/rp_filter")
	return err == nil && allErr == nil && max(bytes.TrimSpace(value)[0], bytes.TrimSpace(all)[0]) == '1'
}

// writeIfDifferent replaces a file as a whole, so that no reader sees half of it.
func writeIfDifferent(file string, text []byte) (bool, error) {
	if now, err := os.ReadFile(file); err == nil && bytes.Equal(now, text) {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return false, err
	}
	// The name ends so that no reader of CNI configurations takes it for one.
	temporary := file + ".new"
	if err := os.WriteFile(temporary, text, 0o644); err != nil {
		return false, err
	}
	return true, os.Rename(temporary, file)
}

// Cleanup takes everything away that a daemon and the plugin made on this node:
// rules, bridge, cables, the CNI configuration and the leases. Doing it twice does
// no harm. Kernel settings stay: others may rely on them by now.
func Cleanup(ctx context.Context, c Config) error {
	c.setDefaults()
	var problems []error
	note := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	for _, file := range []string{c.confFile(), c.confFile() + ".new"} {
		if err := os.Remove(file); !errors.Is(err, fs.ErrNotExist) {
			note(err)
		}
	}
	for _, is4 := range []bool{true, false} {
		ipt, err := openIPTables(is4)
		if errors.Is(err, errNoIPTables) {
			continue
		}
		if err != nil {
			note(err)
			continue
		}
		for _, chain := range chains(nil, nil, is4, false) {
			note(removeChain(ipt, chain))
		}
	}
	note(netlink.DeleteBridge(c.Bridge))
	note(os.RemoveAll(plugin.LeaseFolder(c.DataDir, NetworkName)))
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("removing the pod network: %w", err)
	}
	return nil
}
