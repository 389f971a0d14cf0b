package model

import "slices"

// Port is a Service port with the endpoints that its traffic goes to. It is
// never changed after it was built.
type Port struct {
	Service
	// Cluster holds the endpoints for traffic that may go to any node.
	Cluster []Endpoint
	// Local holds the endpoints for traffic that must stay on this node. It is
	// only filled if one of the traffic policies is Local.
	Local []Endpoint
	// Any says that some node has a usable endpoint, though maybe not this one.
	Any bool
	// ReadyLocal counts the ready endpoints of this node, for health checks of
	// load balancers.
	ReadyLocal int
}

// Internal returns the endpoints for traffic to the cluster IP.
func (p *Port) Internal() []Endpoint {
	if p.InternalLocal {
		return p.Local
	}
	return p.Cluster
}

// External returns the endpoints for traffic from outside the cluster.
func (p *Port) External() []Endpoint {
	if p.ExternalLocal {
		return p.Local
	}
	return p.Cluster
}

// Reachable returns every endpoint that some traffic may go to, sorted by address.
func (p *Port) Reachable() []Endpoint {
	if len(p.Local) == 0 {
		return p.Cluster
	}
	if len(p.Cluster) == 0 {
		return p.Local
	}
	return merge(p.Cluster, p.Local)
}

// UsesCluster reports whether some traffic may go to any node. Traffic of pods
// to an external address of the Service does even if its policy is Local.
func (p *Port) UsesCluster() bool {
	return !p.InternalLocal || p.ExternallyReachable()
}

// UsesLocal reports whether some traffic must stay on this node.
func (p *Port) UsesLocal() bool {
	return p.InternalLocal || p.ExternalLocal && p.ExternallyReachable()
}

// Topology is where this node is.
type Topology struct {
	Node string
	Zone string // label topology.kubernetes.io/zone; may be empty
}

// newPort chooses, out of all endpoints of a Service port, those that traffic
// goes to: ready ones, and where there are none, those that terminate but still
// serve (KEP-1669), so that a rollout of the last pod loses no request.
func newPort(svc Service, endpoints []Endpoint, here Topology) *Port {
	p := &Port{Service: svc}
	for _, e := range endpoints {
		if e.Ready || e.Serving && e.Terminating {
			p.Any = true
		}
		if e.Ready && e.Local {
			p.ReadyLocal++
		}
	}
	if p.UsesCluster() {
		p.Cluster = readyOrServing(nearest(endpoints, here))
		if len(p.Cluster) == 0 {
			p.Cluster = readyOrServing(endpoints)
		}
	}
	if p.UsesLocal() {
		p.Local = readyOrServing(filter(endpoints, func(e Endpoint) bool { return e.Local }))
	}
	return p
}

func readyOrServing(endpoints []Endpoint) []Endpoint {
	if ready := filter(endpoints, func(e Endpoint) bool { return e.Ready }); len(ready) > 0 {
		return ready
	}
	return filter(endpoints, func(e Endpoint) bool { return e.Serving && e.Terminating })
}

// nearest keeps the endpoints that topology hints (KEP-2433, KEP-3015) give to
// this node or else to its zone. Hints count only if every ready endpoint has
// one and some of them are for here: anything less means that the slices are
// being rewritten.
func nearest(endpoints []Endpoint, here Topology) []Endpoint {
	ready := filter(endpoints, func(e Endpoint) bool { return e.Ready })
	if len(ready) == 0 {
		return endpoints
	}
	for _, level := range []struct {
		place string
		hints func(Endpoint) []string
	}{
		{here.Node, func(e Endpoint) []string { return e.nodes }},
		{here.Zone, func(e Endpoint) []string { return e.zones }},
	} {
		if level.place == "" || slices.ContainsFunc(ready, func(e Endpoint) bool { return len(level.hints(e)) == 0 }) {
			continue
		}
		if near := filter(ready, func(e Endpoint) bool { return slices.Contains(level.hints(e), level.place) }); len(near) > 0 {
			return near
		}
	}
	return endpoints
}

func filter(in []Endpoint, keep func(Endpoint) bool) []Endpoint {
	var out []Endpoint
	for _, e := range in {
		if keep(e) {
			out = append(out, e)
		}
	}
	return out
}
