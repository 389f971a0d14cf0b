package rules

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/skiff-project/skiff/proxy/model"
)

// shared numbers the shared chains that lines of ports go into.
type shared int

const (
	natServices shared = iota
	natNodePorts
	filterServices
	filterExternal
	filterFirewall
	filterNodePorts
	sharedCount
)

var sharedChains = [sharedCount]struct{ table, chain string }{
	natServices:     {TableNAT, chainServices},
	natNodePorts:    {TableNAT, chainNodePorts},
	filterServices:  {TableFilter, chainServices},
	filterExternal:  {TableFilter, chainExternal},
	filterFirewall:  {TableFilter, chainProxyFirewall},
	filterNodePorts: {TableFilter, chainNodePorts},
}

// Part is what one Service port contributes.
type Part struct {
	lines  [sharedCount]string // for the shared chains
	chains []Chain             // its own, all in the nat table
}

// partWriter gathers the rules of one port.
type partWriter struct {
	c      *Config
	p      *model.Port
	name   string // as in comments
	proto  string
	suffix string
	lines  [sharedCount]strings.Builder
	part   Part
}

// portPart writes the rules of one Service port.
func (c *Config) portPart(p *model.Port) *Part {
	w := &partWriter{c: c, p: p, name: p.Name.String(), proto: protocol(p.Name.Protocol), suffix: portSuffix(p.Name)}
	w.clusterIP()
	w.external()
	w.chains()
	if p.HealthCheckNodePort != 0 {
		w.line(filterNodePorts, "-m comment --comment \"%s health check node port\" -m tcp -p tcp --dport %d -j ACCEPT", w.name, p.HealthCheckNodePort)
	}
	for i := range w.lines {
		w.part.lines[i] = w.lines[i].String()
	}
	return &w.part
}

func (w *partWriter) line(to shared, format string, args ...any) {
	b := &w.lines[to]
	b.WriteString("-A ")
	b.WriteString(sharedChains[to].chain)
	b.WriteByte(' ')
	fmt.Fprintf(b, format, args...)
	b.WriteByte('\n')
}

func (w *partWriter) comment(what string) string {
	if what != "" {
		what = " " + what
	}
	return `-m comment --comment "` + w.name + what + `"`
}

func (w *partWriter) dest(addr netip.Addr, port uint16) string {
	return "-m " + w.proto + " -p " + w.proto + " -d " + host(addr) + " --dport " + strconv.Itoa(int(port))
}

func host(addr netip.Addr) string { return netip.PrefixFrom(addr, addr.BitLen()).String() }

// refusal says what to do with traffic that finds no endpoints: tell the client
// if there are none at all, but be silent if only this node has none, as a
// balancer may try another node.
func (w *partWriter) refusal() (comment, target string) {
	if w.p.Any {
		return "has no local endpoints", "DROP"
	}
	return "has no endpoints", reject(w.proto)
}

// reject is the target that lets a client know at once. The kernel limits how
// many ICMP errors it sends, and holds back those to its own sockets until the
// client tries again, so TCP gets its own kind of refusal.
func reject(proto string) string {
	if proto == "tcp" {
		return "REJECT --reject-with tcp-reset"
	}
	return "REJECT"
}

func (w *partWriter) clusterIP() {
	to := w.dest(w.p.ClusterIP, w.p.Port)
	if len(w.p.Internal()) > 0 {
		w.line(natServices, "%s %s -j %s", w.comment("cluster IP"), to, w.internalChain())
		return
	}
	comment, target := w.refusal()
	w.line(filterServices, "%s %s -j %s", w.comment(comment), to, target)
}

// external routes or refuses what comes to external and load balancer addresses
// and to the node port.
func (w *partWriter) external() {
	p := w.p
	if !p.ExternallyReachable() {
		return
	}
	usable := len(p.External()) > 0
	// Pods and the node itself may use any endpoint even if the policy is Local.
	routed := usable || len(p.Cluster) > 0
	comment, target := w.refusal()
	enter := func(to, what, chain string) {
		if routed {
			w.line(natServices, "%s %s -j %s", w.comment(what), to, chain)
		}
		if !usable {
			w.line(filterExternal, "%s %s -j %s", w.comment(comment), to, target)
		}
	}
	for _, addr := range p.ExternalIPs {
		enter(w.dest(addr, p.Port), "external IP", w.externalChain())
	}
	for _, addr := range p.LoadBalancerIPs {
		to := w.dest(addr, p.Port)
		enter(to, "loadbalancer IP", w.balancerChain())
		if len(p.SourceRanges) > 0 {
			w.line(filterFirewall, "%s %s -j DROP", w.comment("traffic not accepted by KUBE-FW-"+w.suffix), to)
		}
	}
	if p.NodePort == 0 {
		return
	}
	if routed {
		w.line(natNodePorts, "%s -m %s -p %[2]s --dport %d -j %s", w.comment(""), w.proto, p.NodePort, w.externalChain())
	}
	if !usable {
		w.line(filterExternal, "%s -m addrtype --dst-type LOCAL -m %s -p %[2]s --dport %d -j %s", w.comment(comment), w.proto, p.NodePort, target)
	}
}

func (w *partWriter) clusterChain() string  { return "KUBE-SVC-" + w.suffix }
func (w *partWriter) localChain() string    { return "KUBE-SVL-" + w.suffix }
func (w *partWriter) externalChain() string { return "KUBE-EXT-" + w.suffix }

func (w *partWriter) internalChain() string {
	if w.p.InternalLocal {
		return w.localChain()
	}
	return w.clusterChain()
}

func (w *partWriter) balancerChain() string {
	if len(w.p.SourceRanges) > 0 {
		return "KUBE-FW-" + w.suffix
	}
	return w.externalChain()
}
