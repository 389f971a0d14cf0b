package plugin

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/skiff-project/skiff/cni/ipam"
	"github.com/skiff-project/skiff/cni/netlink"
)

// errNotAvailable is CNI's code for STATUS: no ADD can be served.
const errNotAvailable uint = 50

// Functions returns the plugin's operations for CNI's main function.
func Functions() skel.CNIFuncs {
	return skel.CNIFuncs{Add: Add, Del: Del, Check: Check, GC: GC, Status: Status}
}

// Add joins a container to the bridge and prints its addresses.
func Add(args *skel.CmdArgs) error {
	result, version, err := add(args)
	if err != nil {
		return err
	}
	return types.PrintResult(result, version)
}

func add(args *skel.CmdArgs) (*types100.Result, string, error) {
	c, err := load(args)
	if err != nil {
		return nil, "", err
	}
	bridge, err := netlink.EnsureBridge(netlink.Bridge{Name: c.Bridge, MTU: c.MTU, Addresses: c.BridgeAddresses()})
	if err != nil {
		return nil, "", err
	}
	store, err := ipam.Open(LeaseFolder(c.DataDir, c.Name))
	if err != nil {
		return nil, "", err
	}
	owner := ipam.Owner{ContainerID: args.ContainerID, Interface: args.IfName}
	addrs, err := store.Acquire(owner, c.Subnets)
	if err != nil {
		return nil, "", err
	}
	cable := c.cable(args, bridge, addrs)
	ends, err := netlink.Plug(cable)
	if err != nil {
		// The runtime calls DEL after a failed ADD, but must not have to.
		return nil, "", errors.Join(err, store.Release(owner))
	}
	return c.result(args, cable, ends), c.CNIVersion, nil
}

// load returns the call's configuration. Its error has the code by which runtimes
// know a bad one.
func load(args *skel.CmdArgs) (*Config, error) {
	c, err := parse(args.StdinData)
	if err != nil {
		return nil, types.NewError(types.ErrInvalidNetworkConfig, err.Error(), "")
	}
	return c, nil
}

func (c *Config) cable(args *skel.CmdArgs, bridge int, addrs []netip.Addr) netlink.Cable {
	cable := netlink.Cable{
		Netns: args.Netns, IfName: args.IfName, HostName: netlink.HostVeth(args.ContainerID, args.IfName),
		BridgeIndex: bridge, MTU: c.MTU,
	}
	for i, addr := range addrs {
		cable.Addresses = append(cable.Addresses, netip.PrefixFrom(addr, c.Subnets[i].Bits()))
		cable.Gateways = append(cable.Gateways, ipam.Gateway(c.Subnets[i]))
	}
	return cable
}

// Del takes a container off the bridge. Nothing of it need be left.
func Del(args *skel.CmdArgs) error {
	c, err := load(args)
	if err != nil {
		return err
	}
	// First the cable, then the address: while it is plugged, the address is taken.
	if err := netlink.Unplug(netlink.HostVeth(args.ContainerID, args.IfName)); err != nil {
		return err
	}
	store, err := ipam.Open(LeaseFolder(c.DataDir, c.Name))
	if err != nil {
		return err
	}
	return store.Release(ipam.Owner{ContainerID: args.ContainerID, Interface: args.IfName})
}

// Check reports whether a container is joined as ADD left it.
func Check(args *skel.CmdArgs) error {
	c, err := load(args)
	if err != nil {
		return err
	}
	store, err := ipam.Open(LeaseFolder(c.DataDir, c.Name))
	if err != nil {
		return err
	}
	leases, err := store.Leases()
	if err != nil {
		return err
	}
	owner := ipam.Owner{ContainerID: args.ContainerID, Interface: args.IfName}
	var addrs []netip.Addr
	for _, subnet := range c.Subnets {
		found := false
		for _, l := range leases {
			if l.Owner == owner && subnet.Contains(l.Addr) {
				addrs, found = append(addrs, l.Addr), true
			}
		}
		if !found {
			return fmt.Errorf("the container has no address in %s", subnet)
		}
	}
	bridge, err := netlink.FindBridge(c.Bridge)
	if err != nil {
		return err
	}
	return netlink.Inspect(c.cable(args, bridge, addrs))
}

// GC takes everything off the bridge that the runtime does not know any more.
func GC(args *skel.CmdArgs) error {
	c, err := load(args)
	if err != nil {
		return err
	}
	store, err := ipam.Open(LeaseFolder(c.DataDir, c.Name))
	if err != nil {
		return err
	}
	valid := map[ipam.Owner]bool{}
	for _, a := range c.ValidAttachments {
		valid[ipam.Owner{ContainerID: a.ContainerID, Interface: a.IfName}] = true
	}
	leases, err := store.Leases()
	if err != nil {
		return err
	}
	for _, l := range leases {
		if valid[l.Owner] {
			continue
		}
		if err := netlink.Unplug(netlink.HostVeth(l.Owner.ContainerID, l.Owner.Interface)); err != nil {
			return err
		}
	}
	_, err = store.Retain(func(o ipam.Owner) bool { return valid[o] })
	return err
}

// Status reports whether ADD can be served.
func Status(args *skel.CmdArgs) error {
	c, err := load(args)
	if err != nil {
		return err
	}
	store, err := ipam.Open(LeaseFolder(c.DataDir, c.Name))
	if err == nil {
		_, err = store.Leases()
	}
	if err != nil {
		return types.NewError(errNotAvailable, "the address leases cannot be read", err.Error())
	}
	return nil
}

func (c *Config) result(args *skel.CmdArgs, cable netlink.Cable, ends netlink.Ends) *types100.Result {
	const inContainer = 2 // index of the container's end among the interfaces
	result := &types100.Result{
		CNIVersion: types100.ImplementedSpecVersion,
		Interfaces: []*types100.Interface{
			{Name: c.Bridge, Mac: netlink.MAC(cable.Gateways[0]).String()},
			{Name: cable.HostName, Mac: ends.HostMAC, Mtu: ends.MTU},
			{Name: cable.IfName, Mac: ends.ContainerMAC, Mtu: ends.MTU, Sandbox: args.Netns},
		},
		DNS: c.DNS,
	}
	for i, prefix := range cable.Addresses {
		gateway := cable.Gateways[i]
		result.IPs = append(result.IPs, &types100.IPConfig{
			Interface: types100.Int(inContainer), Address: netlink.IPNet(prefix), Gateway: gateway.AsSlice(),
		})
		result.Routes = append(result.Routes, &types.Route{Dst: netlink.IPNet(netlink.DefaultRoute(gateway)), GW: gateway.AsSlice()})
	}
	return result
}
