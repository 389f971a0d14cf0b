package netlink

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// alias marks the bridge as ours, so that nobody else's is changed or removed.
const alias = "skiff pod network"

// Bridge is the switch that a node's pods hang on.
type Bridge struct {
	Name      string
	MTU       int            // 0: the kernel's choice
	Addresses []netip.Prefix // of the bridge, with the length of the pods' network
}

// EnsureBridge makes the bridge, or mends it, and returns its index. It refuses a
// link of this name that belongs to somebody else.
func EnsureBridge(b Bridge) (index int, err error) {
	link, err := findOrAddBridge(b)
	if err != nil {
		return 0, err
	}
	attrs := link.Attrs()
	if attrs.Alias != alias {
		if err := adopt(link); err != nil {
			return 0, err
		}
	}
	if b.MTU != 0 && attrs.MTU != b.MTU {
		if err := netlink.LinkSetMTU(link, b.MTU); err != nil {
			return 0, fmt.Errorf("setting the MTU of %s: %w", b.Name, err)
		}
	}
	if err := ensureAddresses(link, b.Addresses); err != nil {
		return 0, err
	}
	if attrs.Flags&net.FlagUp == 0 {
		if err := netlink.LinkSetUp(link); err != nil {
			return 0, fmt.Errorf("setting %s up: %w", b.Name, err)
		}
	}
	return attrs.Index, nil
}

func findOrAddBridge(b Bridge) (netlink.Link, error) {
	link, err := netlink.LinkByName(b.Name)
	if isNotFound(err) {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU = b.Name, b.MTU
		if len(b.Addresses) > 0 {
			// A fixed address: else the bridge would take that of a port, and
			// change it as ports come and go, under the pods' ARP caches.
			attrs.HardwareAddr = MAC(b.Addresses[0].Addr())
		}
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, fmt.Errorf("making the bridge %s: %w", b.Name, err)
		}
		// EEXIST: another process was faster, and made the same.
		link, err = netlink.LinkByName(b.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("finding the bridge %s: %w", b.Name, err)
	}
	if link.Type() != "bridge" {
		return nil, fmt.Errorf("%s is a %s link, not a bridge: remove it or choose another name", b.Name, link.Type())
	}
	return link, nil
}

// FindBridge returns the index of a bridge that must exist.
func FindBridge(name string) (index int, err error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return 0, fmt.Errorf("finding the bridge %s: %w", name, err)
	}
	return link.Attrs().Index, nil
}

// adopt marks a bridge as ours if nobody uses it.
func adopt(bridge netlink.Link) error {
	name := bridge.Attrs().Name
	ports, err := portsOf(bridge)
	if err != nil {
		return err
	}
	for _, port := range ports {
		// A port that another plugin process just made is ours as well.
		if !isHostVeth(port.Attrs().Name) {
			return fmt.Errorf("the bridge %s belongs to another program (it has the port %s): remove it or choose another name", name, port.Attrs().Name)
		}
	}
	if err := netlink.LinkSetAlias(bridge, alias); err != nil {
		return fmt.Errorf("marking the bridge %s: %w", name, err)
	}
	return nil
}

func portsOf(bridge netlink.Link) ([]netlink.Link, error) {
	links, err := netlinksafe.LinkList()
	if err != nil {
		return nil, fmt.Errorf("listing links: %w", err)
	}
	return slices.DeleteFunc(links, func(l netlink.Link) bool { return l.Attrs().MasterIndex != bridge.Attrs().Index }), nil
}

// ensureAddresses gives a link the addresses, and takes away others of global
// scope: they are those of a pod CIDR that the node had before.
func ensureAddresses(link netlink.Link, wanted []netip.Prefix) error {
	name := link.Attrs().Name
	present, err := netlinksafe.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("listing the addresses of %s: %w", name, err)
	}
	have := map[netip.Prefix]bool{}
	for _, a := range present {
		prefix, ok := toPrefix(a.IPNet)
		if !ok || !prefix.Addr().IsGlobalUnicast() {
			continue
		}
		if !slices.Contains(wanted, prefix) {
			if err := netlink.AddrDel(link, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
				return fmt.Errorf("removing the address %s from %s: %w", prefix, name, err)
			}
			continue
		}
		have[prefix] = true
	}
	for _, prefix := range wanted {
		if have[prefix] {
			continue
		}
		if prefix.Addr().Is6() {
			if err := enableIPv6(name); err != nil {
				return err
			}
			// Until the bridge's own link-local address is past the detection of
			// doubles, the node cannot look for pods' hardware addresses.
			if err := Sysctl("net/ipv6/conf/"+name+"/accept_dad", "0"); err != nil {
				return err
			}
		}
		if err := netlink.AddrReplace(link, address(prefix)); err != nil {
			return fmt.Errorf("adding the address %s to %s: %w", prefix, name, err)
		}
	}
	return nil
}

// DeleteBridge removes our bridge with the ports that hang on it. There may be none.
func DeleteBridge(name string) error {
	bridge, err := netlink.LinkByName(name)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("finding the bridge %s: %w", name, err)
	}
	if bridge.Type() != "bridge" || bridge.Attrs().Alias != alias {
		return nil
	}
	ports, err := portsOf(bridge)
	if err != nil {
		return err
	}
	for _, port := range ports {
		if !isHostVeth(port.Attrs().Name) {
			continue
		}
		if err := deleteLink(port); err != nil {
			return err
		}
	}
	return deleteLink(bridge)
}

func deleteLink(link netlink.Link) error {
	err := netlink.LinkDel(link)
	if err != nil && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("deleting the link %s: %w", link.Attrs().Name, err)
	}
	return nil
}

// MAC returns the hardware address that belongs to an IP address. It depends on
// nothing else, so that an ARP entry is right whichever pod has the address.
func MAC(addr netip.Addr) net.HardwareAddr {
	tail := addr.AsSlice()
	if addr.Is6() {
		sum := sha256.Sum256(tail)
		tail = sum[:4]
	}
	return append(net.HardwareAddr{0x0a, 0x58}, tail...)
}

func isNotFound(err error) bool {
	var notFound netlink.LinkNotFoundError
	return errors.As(err, &notFound)
}

func toPrefix(n *net.IPNet) (netip.Prefix, bool) {
	addr, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), ones), ok
}

func toIPNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// address skips the detection of doubles for IPv6: addresses come from our own
// store, and the second it takes would be lost at the start of every pod.
func address(p netip.Prefix) *netlink.Addr {
	a := &netlink.Addr{IPNet: toIPNet(p)}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

// IPNet returns a prefix in the form of package net.
func IPNet(p netip.Prefix) net.IPNet { return *toIPNet(p) }
