package proxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
)

// routeLocalnet lets packets from and to 127.0.0.0/8 be routed.
const routeLocalnet = "net/ipv4/conf/all/route_localnet"

// forbidLocalnet puts the kernel's default back. With the chain gone that kept
// neighbours of the node off its loopback addresses, routing them must end as well.
func forbidLocalnet() error {
	if err := ensureSysctl(routeLocalnet, "0"); err != nil {
		return fmt.Errorf("setting sysctl %s: %w", routeLocalnet, err)
	}
	return nil
}

// setSysctls lets the kernel translate what passes a bridge, and route packets
// from loopback addresses so that node ports answer on 127.0.0.1.
func setSysctls(ctx context.Context, c Config) error {
	wanted := map[string]string{}
	for _, f := range c.families() {
		if f == corev1.IPv6Protocol {
			wanted["net/bridge/bridge-nf-call-ip6tables"] = "1"
			continue
		}
		wanted["net/bridge/bridge-nf-call-iptables"] = "1"
		if !c.NoLocalhostNodePort {
			wanted[routeLocalnet] = "1"
		}
	}
	for name, value := range wanted {
		switch err := ensureSysctl(name, value); {
		case err == nil:
		case errors.Is(err, fs.ErrNotExist):
			// Without br_netfilter, bridged packets pass no rules: Services work
			// only on nodes whose pods are not behind a bridge.
			klog.FromContext(ctx).Info("The kernel has no such setting", "sysctl", name)
		default:
			return fmt.Errorf("setting sysctl %s: %w", name, err)
		}
	}
	return nil
}

// ensureSysctl writes only what is different: /proc/sys may be read-only and
// right at the same time.
func ensureSysctl(name, value string) error {
	file := path.Join("/proc/sys", name)
	now, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(now)) == value {
		return nil
	}
	return os.WriteFile(file, []byte(value), 0o644)
}
