package rules

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/proxy/model"
)

// Config says how to write the rules of one IP family.
type Config struct {
	Family corev1.IPFamily
	// ClusterCIDR holds the addresses of pods. If it is not set, traffic from
	// pods is not told from other traffic, and never gets special treatment.
	ClusterCIDR netip.Prefix
	// ServiceCIDRs are refused on the node where no rule translates them.
	ServiceCIDRs []netip.Prefix
	// MasqueradeBit is the bit of the packet mark that asks for source NAT.
	MasqueradeBit int
	// MasqueradeAll asks for source NAT of all traffic to cluster IPs.
	MasqueradeAll bool
	// LocalhostNodePorts makes node ports answer on loopback addresses (IPv4).
	LocalhostNodePorts bool
	// NodePortAddresses limits the local addresses on which node ports answer;
	// empty: all of them.
	NodePortAddresses []netip.Prefix
	// RandomFully randomizes source ports on source NAT; old iptables cannot.
	RandomFully bool
}

// Validate reports what contradicts the family.
func (c *Config) Validate() error {
	all := append([]netip.Prefix{}, c.ServiceCIDRs...)
	all = append(all, c.NodePortAddresses...)
	if c.ClusterCIDR.IsValid() {
		all = append(all, c.ClusterCIDR)
	}
	for _, p := range all {
		if !model.OfFamily(p.Addr(), c.Family) {
			return fmt.Errorf("%s is not %s", p, c.Family)
		}
	}
	if c.MasqueradeBit < 0 || c.MasqueradeBit > 31 {
		return fmt.Errorf("masquerade bit %d is not in 0 to 31", c.MasqueradeBit)
	}
	return nil
}

func (c *Config) ipv6() bool { return c.Family == corev1.IPv6Protocol }

// mark is the mark and mask that asks for source NAT, as iptables prints it.
func (c *Config) mark() string { return fmt.Sprintf("0x%x", uint32(1)<<c.MasqueradeBit) }
