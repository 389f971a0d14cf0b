package netlink

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
)

const ethernetMTU = 1500

// UplinkMTU returns the smallest MTU of the links with a default route, or
// Ethernet's where there is none.
func UplinkMTU() (int, error) {
	routes, err := netlinksafe.RouteList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return 0, fmt.Errorf("listing routes: %w", err)
	}
	mtu := 0
	for _, r := range routes {
		if r.Dst != nil {
			if ones, _ := r.Dst.Mask.Size(); ones != 0 {
				continue
			}
		}
		link, err := netlink.LinkByIndex(r.LinkIndex)
		if err != nil {
			continue // a route of several ways has no link, and links may go while we look
		}
		if m := link.Attrs().MTU; m > 0 && (mtu == 0 || m < mtu) {
			mtu = m
		}
	}
	if mtu == 0 {
		return ethernetMTU, nil
	}
	return mtu, nil
}

// enableIPv6 switches IPv6 on for links in the current namespace.
func enableIPv6(links ...string) error {
	for _, link := range links {
		if err := Sysctl("net/ipv6/conf/"+link+"/disable_ipv6", "0"); err != nil {
			return err
		}
	}
	return nil
}

func inNetns(path string, do func() error) error {
	return ns.WithNetNSPath(path, func(ns.NetNS) error { return do() })
}

// Sysctl gives a kernel setting a value. It writes only if the value is another:
// /proc/sys may be read-only and right at the same time.
func Sysctl(name, value string) error {
	file := filepath.Join("/proc/sys", name)
	now, err := os.ReadFile(file)
	if err == nil && strings.TrimSpace(string(now)) == value {
		return nil
	}
	if err == nil {
		err = os.WriteFile(file, []byte(value), 0o644)
	}
	if err != nil {
		return fmt.Errorf("setting sysctl %s to %s: %w", name, value, err)
	}
	return nil
}

// IsMissing reports whether an error says that the kernel has no such setting.
func IsMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
