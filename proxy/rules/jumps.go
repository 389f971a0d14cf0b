package rules

// The tables that the proxy writes to.
const (
	TableFilter = "filter"
	TableNAT    = "nat"
)

// Jump leads from a chain of the kernel into one of ours.
type Jump struct {
	Table, From, To string
	Comment         string
	NewOnly         bool // only the first packet of a connection needs to look
}

// Spec returns the rule's arguments, without table and chain.
func (j Jump) Spec() []string {
	var spec []string
	if j.NewOnly {
		spec = append(spec, "-m", "conntrack", "--ctstate", "NEW")
	}
	if j.Comment != "" {
		spec = append(spec, "-m", "comment", "--comment", j.Comment)
	}
	return append(spec, "-j", j.To)
}

// Jumps returns the rules at the top of the kernel's chains, in their order
// there. The order matters: the firewall for load balancers comes before
// KUBE-FORWARD, which accepts.
func Jumps() []Jump {
	return []Jump{
		{Table: TableFilter, From: "INPUT", To: chainProxyFirewall, Comment: "kubernetes load balancer firewall", NewOnly: true},
		{Table: TableFilter, From: "INPUT", To: chainNodePorts, Comment: "kubernetes health check service ports"},
		{Table: TableFilter, From: "INPUT", To: chainExternal, Comment: "kubernetes externally-visible service portals", NewOnly: true},
		{Table: TableFilter, From: "INPUT", To: chainFirewall},
		{Table: TableFilter, From: "FORWARD", To: chainProxyFirewall, Comment: "kubernetes load balancer firewall", NewOnly: true},
		{Table: TableFilter, From: "FORWARD", To: chainForward, Comment: "kubernetes forwarding rules"},
		{Table: TableFilter, From: "FORWARD", To: chainServices, Comment: "kubernetes service portals", NewOnly: true},
		{Table: TableFilter, From: "FORWARD", To: chainExternal, Comment: "kubernetes externally-visible service portals", NewOnly: true},
		{Table: TableFilter, From: "OUTPUT", To: chainProxyFirewall, Comment: "kubernetes load balancer firewall", NewOnly: true},
		{Table: TableFilter, From: "OUTPUT", To: chainServices, Comment: "kubernetes service portals", NewOnly: true},
		{Table: TableFilter, From: "OUTPUT", To: chainFirewall},
		{Table: TableNAT, From: "PREROUTING", To: chainServices, Comment: "kubernetes service portals"},
		{Table: TableNAT, From: "OUTPUT", To: chainServices, Comment: "kubernetes service portals"},
		{Table: TableNAT, From: "POSTROUTING", To: chainPostrouting, Comment: "kubernetes postrouting rules"},
	}
}
