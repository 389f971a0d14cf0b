package rules

import (
	"fmt"
	"strings"

	"github.com/skiff-project/skiff/proxy/model"
)

// chains writes the port's own chains.
func (w *partWriter) chains() {
	p := w.p
	if len(p.Cluster) > 0 && p.UsesCluster() {
		w.add(w.clusterChain(), w.spread(w.clusterChain(), p.Cluster, !p.InternalLocal))
	}
	if len(p.Local) > 0 {
		w.add(w.localChain(), w.spread(w.localChain(), p.Local, p.InternalLocal))
	}
	if p.ExternallyReachable() && (len(p.External()) > 0 || len(p.Cluster) > 0) {
		w.add(w.externalChain(), w.externalRules())
		if len(p.LoadBalancerIPs) > 0 && len(p.SourceRanges) > 0 {
			w.add(w.balancerChain(), w.sourceRangeRules())
		}
	}
	for _, e := range p.Reachable() {
		w.endpoint(e)
	}
}

func (w *partWriter) add(chain, rules string) {
	w.part.chains = append(w.part.chains, Chain{chain, rules})
}

// spread sends a packet to one of the endpoints, each with the same chance.
func (w *partWriter) spread(chain string, endpoints []model.Endpoint, clusterIP bool) string {
	var b strings.Builder
	if clusterIP {
		w.markOffCluster(&b, chain)
	}
	if seconds := w.p.AffinitySeconds; seconds > 0 {
		for _, e := range endpoints {
			sep := endpointChain(w.p.Name, e.Addr.String())
			fmt.Fprintf(&b, "-A %s -m comment --comment \"%s -> %s\" -m recent --name %s --rcheck --seconds %d --reap -j %[4]s\n",
				chain, w.name, e.Addr, sep, seconds)
		}
	}
	for i, e := range endpoints {
		fmt.Fprintf(&b, "-A %s -m comment --comment \"%s -> %s\"", chain, w.name, e.Addr)
		// Each rule takes its share of what those before it let through.
		if left := len(endpoints) - i; left > 1 {
			fmt.Fprintf(&b, " -m statistic --mode random --probability %0.10f", 1/float64(left))
		}
		fmt.Fprintf(&b, " -j %s\n", endpointChain(w.p.Name, e.Addr.String()))
	}
	return b.String()
}

// markOffCluster asks for source NAT of traffic to the cluster IP that does not
// come from a pod: the reply of the endpoint must come back through this node.
func (w *partWriter) markOffCluster(b *strings.Builder, chain string) {
	from := ""
	switch {
	case w.c.MasqueradeAll:
	case w.c.ClusterCIDR.IsValid():
		from = "! -s " + w.c.ClusterCIDR.String() + " "
	default:
		return
	}
	fmt.Fprintf(b, "-A %s %s %s%s -j %s\n", chain, w.comment("cluster IP"), from, w.dest(w.p.ClusterIP, w.p.Port), chainMarkMasq)
}

func (w *partWriter) externalRules() string {
	chain, p := w.externalChain(), w.p
	var b strings.Builder
	if !p.ExternalLocal {
		fmt.Fprintf(&b, "-A %s -m comment --comment \"masquerade traffic for %s external destinations\" -j %s\n", chain, w.name, chainMarkMasq)
		fmt.Fprintf(&b, "-A %s -j %s\n", chain, w.clusterChain())
		return b.String()
	}
	if len(p.Cluster) > 0 {
		// Local concerns only traffic from outside: pods and this node reach all
		// endpoints, as they would through the cluster IP.
		if w.c.ClusterCIDR.IsValid() {
			fmt.Fprintf(&b, "-A %s -m comment --comment \"pod traffic for %s external destinations\" -s %s -j %s\n", chain, w.name, w.c.ClusterCIDR, w.clusterChain())
		}
		fmt.Fprintf(&b, "-A %s -m comment --comment \"masquerade LOCAL traffic for %s external destinations\" -m addrtype --src-type LOCAL -j %s\n", chain, w.name, chainMarkMasq)
		fmt.Fprintf(&b, "-A %s -m comment --comment \"route LOCAL traffic for %s external destinations\" -m addrtype --src-type LOCAL -j %s\n", chain, w.name, w.clusterChain())
	}
	if len(p.Local) > 0 {
		fmt.Fprintf(&b, "-A %s -j %s\n", chain, w.localChain())
	}
	return b.String()
}

// sourceRangeRules lets the allowed sources through; what comes back is dropped
// in the filter table.
func (w *partWriter) sourceRangeRules() string {
	chain := w.balancerChain()
	var b strings.Builder
	for _, from := range w.p.SourceRanges {
		fmt.Fprintf(&b, "-A %s %s -s %s -j %s\n", chain, w.comment("loadbalancer IP"), from, w.externalChain())
	}
	// Where the balancer's address is bound on this node, the node's own packets
	// to it carry it as their source too.
	for _, addr := range w.p.LoadBalancerIPs {
		fmt.Fprintf(&b, "-A %s %s -s %s -j %s\n", chain, w.comment("loadbalancer IP"), host(addr), w.externalChain())
	}
	fmt.Fprintf(&b, "-A %s -m comment --comment \"other traffic to %s will be dropped by KUBE-PROXY-FIREWALL\"\n", chain, w.name)
	return b.String()
}

func (w *partWriter) endpoint(e model.Endpoint) {
	chain := endpointChain(w.p.Name, e.Addr.String())
	var b strings.Builder
	// Hairpin: a pod that reaches itself must not see its own address as source.
	fmt.Fprintf(&b, "-A %s %s -s %s -j %s\n", chain, w.comment(""), host(e.Addr.Addr()), chainMarkMasq)
	remember := ""
	if w.p.AffinitySeconds > 0 {
		remember = " -m recent --name " + chain + " --set"
	}
	fmt.Fprintf(&b, "-A %s %s%s -m %s -p %[4]s -j DNAT --to-destination %[5]s\n", chain, w.comment(""), remember, w.proto, e.Addr)
	w.add(chain, b.String())
}
