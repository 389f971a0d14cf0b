package model

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Endpoint is one backend of a Service port.
type Endpoint struct {
	Addr        netip.AddrPort
	Local       bool // runs on this node
	Ready       bool
	Serving     bool
	Terminating bool
	zones       []string // topology hints: the zones and nodes that should use it
	nodes       []string
}

func (e *Endpoint) equal(o *Endpoint) bool {
	return e.Addr == o.Addr && e.Local == o.Local && e.Ready == o.Ready && e.Serving == o.Serving &&
		e.Terminating == o.Terminating && slices.Equal(e.zones, o.zones) && slices.Equal(e.nodes, o.nodes)
}

// slicePort is one port of an EndpointSlice with its endpoints.
type slicePort struct {
	name      string
	protocol  corev1.Protocol
	endpoints []Endpoint
}

func (p *slicePort) equal(o *slicePort) bool {
	return p.name == o.name && p.protocol == o.protocol &&
		slices.EqualFunc(p.endpoints, o.endpoints, func(a, b Endpoint) bool { return a.equal(&b) })
}

// slicePorts reads an EndpointSlice as the node sees it. Slices of the other
// family, of FQDNs and ports without a number give nothing.
func slicePorts(slice *discoveryv1.EndpointSlice, family corev1.IPFamily, node string) []slicePort {
	if string(slice.AddressType) != string(family) {
		return nil
	}
	var out []slicePort
	for _, port := range slice.Ports {
		if port.Port == nil || *port.Port == 0 {
			continue
		}
		sp := slicePort{protocol: corev1.ProtocolTCP}
		if port.Name != nil {
			sp.name = *port.Name
		}
		if port.Protocol != nil {
			sp.protocol = protocolOrTCP(*port.Protocol)
		}
		for i := range slice.Endpoints {
			if e, ok := readEndpoint(&slice.Endpoints[i], uint16(*port.Port), family, node); ok {
				sp.endpoints = append(sp.endpoints, e)
			}
		}
		out = append(out, sp)
	}
	return out
}

func readEndpoint(in *discoveryv1.Endpoint, port uint16, family corev1.IPFamily, node string) (Endpoint, bool) {
	if len(in.Addresses) == 0 {
		return Endpoint{}, false
	}
	// The addresses of one endpoint are interchangeable; consumers use the first.
	addr, ok := ParseAddr(in.Addresses[0])
	if !ok || !OfFamily(addr, family) {
		return Endpoint{}, false
	}
	e := Endpoint{
		Addr:        netip.AddrPortFrom(addr, port),
		Local:       in.NodeName != nil && *in.NodeName == node,
		Ready:       in.Conditions.Ready == nil || *in.Conditions.Ready,
		Terminating: in.Conditions.Terminating != nil && *in.Conditions.Terminating,
	}
	e.Serving = e.Ready
	if in.Conditions.Serving != nil {
		e.Serving = *in.Conditions.Serving
	}
	if in.Hints != nil {
		for _, z := range in.Hints.ForZones {
			e.zones = append(e.zones, z.Name)
		}
		for _, n := range in.Hints.ForNodes {
			e.nodes = append(e.nodes, n.Name)
		}
	}
	return e, true
}

// merge joins the endpoints of several slices. Of an address that is in two of
// them (while it moves from one to the other) the more usable entry is taken, so
// that a stale one cannot hide it. The result is sorted by address.
func merge(lists ...[]Endpoint) []Endpoint {
	var all []Endpoint
	for _, l := range lists {
		all = append(all, l...)
	}
	slices.SortStableFunc(all, func(a, b Endpoint) int {
		if c := a.Addr.Compare(b.Addr); c != 0 {
			return c
		}
		return usability(b) - usability(a)
	})
	return slices.CompactFunc(all, func(a, b Endpoint) bool { return a.Addr == b.Addr })
}

func usability(e Endpoint) int {
	score := 0
	if e.Ready {
		score += 4
	}
	if e.Serving {
		score += 2
	}
	if e.Local {
		score++
	}
	return score
}
