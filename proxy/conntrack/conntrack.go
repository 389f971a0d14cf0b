// Package conntrack forgets UDP flows that lead to endpoints which are gone.
//
// The kernel looks at NAT rules only for the first packet of a flow. A TCP
// client notices a dead endpoint and connects anew; a UDP client that goes on
// sending from one port (a DNS resolver) would be sent to the dead address for
// as long as it sends. So after a change of a UDP port the flows are compared
// with what the ports say now, whatever it was that happened before: the same
// look mends flows that began before the Service had endpoints, and what was
// missed while the proxy did not run.
package conntrack

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/proxy/model"
)

// Flow is what a tracked flow says about its translation.
type Flow struct {
	Dest  netip.AddrPort // where the client sent to
	Reply netip.AddrPort // who answers
}

type backends map[netip.AddrPort]struct{}

// Expected knows for each address of a UDP port who may answer for it.
type Expected struct {
	virtual   map[netip.AddrPort]backends
	nodePorts map[uint16]backends
}

// Expect reads the UDP ports among the given ones.
func Expect(ports map[model.PortName]*model.Port) *Expected {
	e := &Expected{virtual: map[netip.AddrPort]backends{}, nodePorts: map[uint16]backends{}}
	for name, p := range ports {
		if name.Protocol != corev1.ProtocolUDP {
			continue
		}
		answering := backends{}
		for _, endpoint := range p.Reachable() {
			answering[endpoint.Addr] = struct{}{}
		}
		e.add(p, answering)
	}
	return e
}

// Gone adds a UDP port as it was: nobody may answer for its addresses, unless a
// port of today has them.
func (e *Expected) Gone(p *model.Port) {
	e.add(p, nil)
}

func (e *Expected) add(p *model.Port, answering backends) {
	virtual := append([]netip.Addr{p.ClusterIP}, p.ExternalIPs...)
	for _, addr := range append(virtual, p.LoadBalancerIPs...) {
		key := netip.AddrPortFrom(addr, p.Port)
		if _, taken := e.virtual[key]; answering != nil || !taken {
			e.virtual[key] = answering
		}
	}
	if _, taken := e.nodePorts[p.NodePort]; p.NodePort != 0 && (answering != nil || !taken) {
		e.nodePorts[p.NodePort] = answering
	}
}

// Stale reports whether a flow to one of the ports is answered by somebody who
// does not stand behind it. Local tells the addresses of this node.
func (e *Expected) Stale(f Flow, local func(netip.Addr) bool) bool {
	allowed, known := e.virtual[f.Dest]
	if !known && local(f.Dest.Addr()) {
		allowed, known = e.nodePorts[f.Dest.Port()]
	}
	if !known {
		return false
	}
	_, ok := allowed[f.Reply]
	return !ok
}

// Forget deletes the stale UDP flows of an IP family and returns how many they were.
func (e *Expected) Forget(family corev1.IPFamily) (uint, error) {
	if len(e.virtual) == 0 {
		return 0, nil
	}
	local, err := localAddresses()
	if err != nil {
		return 0, err
	}
	af := netlink.InetFamily(unix.AF_INET)
	if family == corev1.IPv6Protocol {
		af = unix.AF_INET6
	}
	n, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, af, filter{e, local})
	if err != nil {
		return n, fmt.Errorf("forgetting stale UDP flows: %w", err)
	}
	return n, nil
}

func localAddresses() (func(netip.Addr) bool, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("listing the node's addresses: %w", err)
	}
	set := map[netip.Addr]struct{}{}
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			set[prefix.Addr().Unmap()] = struct{}{}
		}
	}
	return func(a netip.Addr) bool {
		_, ok := set[a]
		return ok || a.IsLoopback()
	}, nil
}

// filter lets the netlink library delete what is stale.
type filter struct {
	expected *Expected
	local    func(netip.Addr) bool
}

func (f filter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	if flow.Forward.Protocol != unix.IPPROTO_UDP {
		return false
	}
	return f.expected.Stale(Flow{
		Dest:  addrPort(flow.Forward.DstIP, flow.Forward.DstPort),
		Reply: addrPort(flow.Reverse.SrcIP, flow.Reverse.SrcPort),
	}, f.local)
}

func addrPort(ip net.IP, port uint16) netip.AddrPort {
	addr, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(addr.Unmap(), port)
}
