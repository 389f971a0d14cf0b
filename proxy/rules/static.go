package rules

import (
	"fmt"
	"strings"
)

// staticChains returns the chains whose text depends on the configuration only.
func (c *Config) staticChains(table string) []Chain {
	if table == TableFilter {
		return []Chain{{chainForward, c.forward()}, {chainFirewall, c.firewall()}, canary()}
	}
	return []Chain{{chainMarkMasq, fmt.Sprintf("-A %s -j MARK --or-mark %s\n", chainMarkMasq, c.mark())},
		{chainPostrouting, c.postrouting()}, canary()}
}

func canary() Chain {
	return Chain{Canary, "-A " + Canary + " -m comment --comment \"a flushed table loses this rule\"\n"}
}

// forward accepts Service traffic whatever the policy of FORWARD: Docker sets it
// to DROP. Packets that conntrack calls invalid are dropped, as they pass NAT
// untranslated and would make the far side reset a good connection.
func (c *Config) forward() string {
	var b strings.Builder
	fmt.Fprintf(&b, "-A %s -m conntrack --ctstate INVALID -j DROP\n", chainForward)
	fmt.Fprintf(&b, "-A %s -m comment --comment \"kubernetes forwarding rules\" -m mark --mark %s/%[2]s -j ACCEPT\n", chainForward, c.mark())
	fmt.Fprintf(&b, "-A %s -m comment --comment \"kubernetes forwarding conntrack rule\" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n", chainForward)
	return b.String()
}

// firewall keeps packets from the network away from loopback addresses, which
// route_localnet (needed for node ports on localhost) would let in.
func (c *Config) firewall() string {
	if c.ipv6() || !c.LocalhostNodePorts {
		return ""
	}
	return fmt.Sprintf("-A %s ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment \"block incoming localnet connections\" "+
		"-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP\n", chainFirewall)
}

// postrouting takes the mark off before the source NAT, so that a packet that
// passes here again (encapsulated by an overlay) is not translated twice.
func (c *Config) postrouting() string {
	random := ""
	if c.RandomFully {
		random = " --random-fully"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "-A %s -m mark ! --mark %s/%[2]s -j RETURN\n", chainPostrouting, c.mark())
	fmt.Fprintf(&b, "-A %s -j MARK --xor-mark %s\n", chainPostrouting, c.mark())
	fmt.Fprintf(&b, "-A %s -m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE%s\n", chainPostrouting, random)
	return b.String()
}

// unknownServices ends the filter table's KUBE-SERVICES: what still goes to the
// service CIDR here was translated by no rule.
func (c *Config) unknownServices() string {
	var b strings.Builder
	for _, cidr := range c.ServiceCIDRs {
		fmt.Fprintf(&b, "-A %s -p tcp -d %s -m comment --comment \"no such service address\" -j %s\n", chainServices, cidr, reject("tcp"))
		fmt.Fprintf(&b, "-A %s -d %s -m comment --comment \"no such service address\" -j %s\n", chainServices, cidr, reject(""))
	}
	return b.String()
}

// nodePortsJump ends the nat table's KUBE-SERVICES.
func (c *Config) nodePortsJump() string {
	const comment = `-m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain"`
	// Node ports never answer on ::1, and on 127.0.0.0/8 only if asked to.
	except := ""
	switch {
	case c.ipv6():
		except = " ! -d ::1/128"
	case !c.LocalhostNodePorts:
		except = " ! -d 127.0.0.0/8"
	}
	if len(c.NodePortAddresses) == 0 {
		return fmt.Sprintf("-A %s %s -m addrtype --dst-type LOCAL%s -j %s\n", chainServices, comment, except, chainNodePorts)
	}
	var b strings.Builder
	for _, cidr := range c.NodePortAddresses {
		if !c.ipv6() && !c.LocalhostNodePorts && cidr.Addr().IsLoopback() || c.ipv6() && cidr.Addr().IsLoopback() {
			continue
		}
		fmt.Fprintf(&b, "-A %s %s -m addrtype --dst-type LOCAL -d %s -j %s\n", chainServices, comment, cidr, chainNodePorts)
	}
	return b.String()
}
