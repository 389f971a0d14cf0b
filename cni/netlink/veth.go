package netlink

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const hostVethPrefix = "veth"

// HostVeth returns the name of the node's end of a container's cable. Because it
// follows from the container alone, the cable can be found and removed even if
// the container's namespace is gone and nothing else is known.
func HostVeth(containerID, ifName string) string {
	sum := sha256.Sum256([]byte(containerID + "/" + ifName))
	return hostVethPrefix + hex.EncodeToString(sum[:])[:11] // 15 characters are the limit
}

func isHostVeth(name string) bool {
	return len(name) == len(hostVethPrefix)+11 && strings.HasPrefix(name, hostVethPrefix)
}

// Cable joins a container to the bridge.
type Cable struct {
	Netns       string // path of the container's network namespace
	IfName      string // of the container's end
	HostName    string // of the node's end
	BridgeIndex int
	MTU         int            // 0: the kernel's choice
	Addresses   []netip.Prefix // of the container
	Gateways    []netip.Addr   // default routes, one per IP family
}

// Ends are the hardware addresses and the MTU of a plugged cable.
type Ends struct {
	HostMAC, ContainerMAC string
	MTU                   int
}

// Plug makes the cable, or leaves it as it is if it is right. What is left of an
// attempt that failed is replaced.
func Plug(c Cable) (Ends, error) {
	handle, fd, closeAll, err := enter(c.Netns)
	if err != nil {
		return Ends{}, err
	}
	defer closeAll()
	if err := loopbackUp(handle); err != nil {
		return Ends{}, err
	}
	host, inside, err := c.find(handle)
	if err != nil {
		return Ends{}, err
	}
	if host == nil {
		if host, inside, err = c.make(handle, fd); err != nil {
			return Ends{}, err
		}
	}
	if err := c.configure(handle, inside); err != nil {
		return Ends{}, errors.Join(err, deleteLink(host))
	}
	return Ends{
		HostMAC: host.Attrs().HardwareAddr.String(), ContainerMAC: inside.Attrs().HardwareAddr.String(), MTU: inside.Attrs().MTU,
	}, nil
}

func enter(path string) (*netlink.Handle, netns.NsHandle, func(), error) {
	fd, err := netns.GetFromPath(path)
	if err != nil {
		return nil, 0, nil, fmt.Errorf("opening the network namespace %s: %w", path, err)
	}
	handle, err := netlink.NewHandleAt(fd, unix.NETLINK_ROUTE)
	if err != nil {
		fd.Close()
		return nil, 0, nil, fmt.Errorf("entering the network namespace %s: %w", path, err)
	}
	return handle, fd, func() { handle.Close(); fd.Close() }, nil
}

func loopbackUp(handle *netlink.Handle) error {
	lo, err := handle.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding the container's lo: %w", err)
	}
	if lo.Attrs().Flags&net.FlagUp != 0 {
		return nil
	}
	if err := handle.LinkSetUp(lo); err != nil {
		return fmt.Errorf("setting the container's lo up: %w", err)
	}
	return nil
}

// find returns both ends if they are joined to each other and to the bridge, and
// nil if the cable must be made. It removes half a cable, but refuses to take
// away an interface that is not ours.
func (c Cable) find(handle *netlink.Handle) (host, inside netlink.Link, err error) {
	host, err = netlink.LinkByName(c.HostName)
	if err != nil && !isNotFound(err) {
		return nil, nil, fmt.Errorf("looking for %s: %w", c.HostName, err)
	}
	inside, insideErr := handle.LinkByName(c.IfName)
	if insideErr != nil && !isNotFound(insideErr) {
		return nil, nil, fmt.Errorf("looking for the container's %s: %w", c.IfName, insideErr)
	}
	if err == nil && insideErr == nil && inside.Attrs().ParentIndex == host.Attrs().Index &&
		host.Attrs().MasterIndex == c.BridgeIndex {
		return host, inside, nil
	}
	if err == nil {
		if err := deleteLink(host); err != nil {
			return nil, nil, err
		}
	}
	if insideErr == nil && (err != nil || inside.Attrs().ParentIndex != host.Attrs().Index) {
		return nil, nil, fmt.Errorf("the container has an interface %s already", c.IfName)
	}
	return nil, nil, nil
}

func (c Cable) make(handle *netlink.Handle, fd netns.NsHandle) (host, inside netlink.Link, err error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.MasterIndex, attrs.Flags = c.HostName, c.MTU, c.BridgeIndex, net.FlagUp
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: c.IfName, PeerNamespace: netlink.NsFd(int(fd))}
	if len(c.Addresses) > 0 {
		veth.PeerHardwareAddr = MAC(c.Addresses[0].Addr())
	}
	if err := netlink.LinkAdd(veth); err != nil {
		return nil, nil, fmt.Errorf("making the veth pair %s: %w", c.HostName, err)
	}
	// A pod may reach itself through a Service: its packet then comes in and
	// goes out at the same port of the bridge.
	if err := netlink.LinkSetHairpin(veth, true); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("setting hairpin mode on %s: %w", c.HostName, err), deleteLink(veth))
	}
	if host, err = netlink.LinkByName(c.HostName); err != nil {
		return nil, nil, fmt.Errorf("finding %s: %w", c.HostName, err)
	}
	if inside, err = handle.LinkByName(c.IfName); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("finding the container's %s: %w", c.IfName, err), deleteLink(host))
	}
	return host, inside, nil
}

// configure gives the container's end its addresses and default routes.
func (c Cable) configure(handle *netlink.Handle, inside netlink.Link) error {
	if slices.ContainsFunc(c.Addresses, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		// Docker switches IPv6 off in the namespaces that it makes.
		if err := inNetns(c.Netns, func() error { return enableIPv6(c.IfName, "lo") }); err != nil {
			return err
		}
	}
	for _, prefix := range c.Addresses {
		if err := handle.AddrReplace(inside, address(prefix)); err != nil {
			return fmt.Errorf("adding the address %s to the container: %w", prefix, err)
		}
	}
	if err := handle.LinkSetUp(inside); err != nil {
		return fmt.Errorf("setting the container's %s up: %w", c.IfName, err)
	}
	for _, gateway := range c.Gateways {
		route := &netlink.Route{LinkIndex: inside.Attrs().Index, Gw: gateway.AsSlice(), Dst: toIPNet(DefaultRoute(gateway))}
		if err := handle.RouteReplace(route); err != nil {
			return fmt.Errorf("adding the container's default route via %s: %w", gateway, err)
		}
	}
	return nil
}

// DefaultRoute returns the destination of the default route of an address's family.
func DefaultRoute(gateway netip.Addr) netip.Prefix {
	if gateway.Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

// Unplug removes a cable by the name of the node's end. The container's end goes
// with it; the namespace need not exist any more, nor the cable.
func Unplug(hostName string) error {
	link, err := netlink.LinkByName(hostName)
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking for %s: %w", hostName, err)
	}
	return deleteLink(link)
}

// Inspect reports what is wrong with a cable that should be there; nil if nothing is.
func Inspect(c Cable) error {
	handle, _, closeAll, err := enter(c.Netns)
	if err != nil {
		return err
	}
	defer closeAll()
	host, err := netlink.LinkByName(c.HostName)
	if err != nil {
		return fmt.Errorf("looking for %s: %w", c.HostName, err)
	}
	if host.Attrs().MasterIndex != c.BridgeIndex {
		return fmt.Errorf("%s is not a port of the bridge", c.HostName)
	}
	inside, err := handle.LinkByName(c.IfName)
	if err != nil {
		return fmt.Errorf("looking for the container's %s: %w", c.IfName, err)
	}
	if inside.Attrs().Flags&net.FlagUp == 0 {
		return fmt.Errorf("the container's %s is down", c.IfName)
	}
	present, err := handle.AddrList(inside, netlink.FAMILY_ALL)
	if err != nil {
		return fmt.Errorf("listing the container's addresses: %w", err)
	}
	for _, wanted := range c.Addresses {
		if !slices.ContainsFunc(present, func(a netlink.Addr) bool { p, ok := toPrefix(a.IPNet); return ok && p == wanted }) {
			return fmt.Errorf("the container does not have the address %s", wanted)
		}
	}
	return nil
}
