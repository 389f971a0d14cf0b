package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/skiff-project/skiff/proxy/model"
	"github.com/skiff-project/skiff/proxy/rules"
)

// ModeIPTables is the proxy mode that writes iptables rules.
const ModeIPTables = "iptables"

// The periods that apply where the Config names none.
const (
	DefaultMinSyncPeriod = 100 * time.Millisecond
	DefaultSyncPeriod    = 30 * time.Second
)

const (
	defaultMasqueradeBit = 14
	fullSyncPeriod       = time.Hour
)

// Config is what a proxy needs. RESTConfig and NodeName must be set.
type Config struct {
	RESTConfig *rest.Config // user system:kube-proxy
	NodeName   string
	NodeIPs    []netip.Addr // decide, with the CIDRs, which IP families are served

	ClusterCIDRs []netip.Prefix // pods' addresses; at most one per family
	ServiceCIDRs []netip.Prefix // what no rule translates is refused

	Mode                string        // "" and "iptables" are known
	HealthzBindAddress  string        // host:port; empty: no health server
	MinSyncPeriod       time.Duration // 0: DefaultMinSyncPeriod
	SyncPeriod          time.Duration // 0: DefaultSyncPeriod
	MasqueradeBit       *int          // nil: 14
	MasqueradeAll       bool
	NoLocalhostNodePort bool           // node ports do not answer on 127.0.0.1
	NodePortAddresses   []netip.Prefix // empty: all of the node's addresses

	Clock clock.WithTicker // nil: the real one
}

func (c *Config) validate() error {
	var problems []error
	if c.RESTConfig == nil {
		problems = append(problems, errors.New("RESTConfig is not set"))
	}
	if c.NodeName == "" {
		problems = append(problems, errors.New("NodeName is not set"))
	}
	if c.Mode != "" && c.Mode != ModeIPTables {
		problems = append(problems, fmt.Errorf("proxy mode %q is not known; known: %s", c.Mode, ModeIPTables))
	}
	seen := map[corev1.IPFamily]bool{}
	for _, cidr := range c.ClusterCIDRs {
		family := familyOf(cidr.Addr())
		if seen[family] {
			problems = append(problems, fmt.Errorf("two cluster CIDRs are %s; one is allowed", family))
		}
		seen[family] = true
	}
	return errors.Join(problems...)
}

func (c *Config) setDefaults() {
	if c.MinSyncPeriod == 0 {
		c.MinSyncPeriod = DefaultMinSyncPeriod
	}
	if c.SyncPeriod == 0 {
		c.SyncPeriod = DefaultSyncPeriod
	}
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	if c.MasqueradeBit == nil {
		bit := defaultMasqueradeBit
		c.MasqueradeBit = &bit
	}
}

// families returns the IP families that the node serves, IPv4 first. The service
// CIDRs decide; where they are not given, the node's addresses; else IPv4.
func (c *Config) families() []corev1.IPFamily {
	has := map[corev1.IPFamily]bool{}
	for _, cidr := range c.ServiceCIDRs {
		has[familyOf(cidr.Addr())] = true
	}
	if len(has) == 0 {
		for _, ip := range c.NodeIPs {
			has[familyOf(ip)] = true
		}
	}
	if len(has) == 0 {
		has[corev1.IPv4Protocol] = true
	}
	var out []corev1.IPFamily
	for _, family := range []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol} {
		if has[family] {
			out = append(out, family)
		}
	}
	return out
}

// rules returns what the rules of one family depend on.
func (c *Config) rules(family corev1.IPFamily) rules.Config {
	r := rules.Config{
		Family:             family,
		ServiceCIDRs:       ofFamily(c.ServiceCIDRs, family),
		MasqueradeBit:      *c.MasqueradeBit,
		MasqueradeAll:      c.MasqueradeAll,
		LocalhostNodePorts: !c.NoLocalhostNodePort,
		NodePortAddresses:  ofFamily(c.NodePortAddresses, family),
	}
	if cidrs := ofFamily(c.ClusterCIDRs, family); len(cidrs) > 0 {
		r.ClusterCIDR = cidrs[0]
	}
	return r
}

func ofFamily(in []netip.Prefix, family corev1.IPFamily) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range in {
		if model.OfFamily(p.Addr(), family) {
			out = append(out, p.Masked())
		}
	}
	return out
}

func familyOf(a netip.Addr) corev1.IPFamily {
	if a.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}
