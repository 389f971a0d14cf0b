// Package plugin is the CNI plugin skiff-cni: it joins a pod to the node's bridge
// and gives it addresses out of the node's pod CIDR.
//
// It runs for every pod, so it is a small program of its own that starts in a few
// milliseconds, knows no API server and touches no firewall rule: what concerns
// the node as a whole is the daemon's work. Every operation may be repeated, and
// DEL works whatever is left of the pod.
package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/skiff-project/skiff/cni/ipam"
)

// Type is the name of the program, as CNI configurations call it.
const Type = "skiff-cni"

// Config is the plugin's part of a CNI configuration.
type Config struct {
	types.PluginConf
	Bridge  string         `json:"bridge"`
	MTU     int            `json:"mtu,omitempty"` // 0: the kernel's choice
	Subnets []netip.Prefix `json:"subnets"`       // the node's pod CIDRs, one per IP family
	DataDir string         `json:"dataDir"`       // address leases, in a folder named like the network
}

// MarshalJSON keeps all fields: the embedded type's method would drop ours.
func (c *Config) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"type": c.Type, "bridge": c.Bridge, "mtu": c.MTU, "subnets": c.Subnets, "dataDir": c.DataDir,
	})
}

// parse reads and checks a configuration.
func parse(text []byte) (*Config, error) {
	c := &Config{}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("reading the network configuration: %w", err)
	}
	return c, c.validate()
}

func (c *Config) validate() error {
	var problems []error
	if c.Name == "" || c.Name != filepath.Base(c.Name) || c.Name == "." || c.Name == ".." {
		problems = append(problems, fmt.Errorf("name: %q is not the name of a network", c.Name))
	}
	if c.Bridge == "" || len(c.Bridge) > 15 {
		problems = append(problems, fmt.Errorf("bridge: %q is not the name of a link", c.Bridge))
	}
	if c.MTU < 0 || c.MTU > 65535 {
		problems = append(problems, fmt.Errorf("mtu: %d is not in 0 to 65535", c.MTU))
	}
	if !filepath.IsAbs(c.DataDir) {
		problems = append(problems, fmt.Errorf("dataDir: %q is not an absolute path", c.DataDir))
	}
	if len(c.Subnets) == 0 {
		problems = append(problems, errors.New("subnets: the node has no pod CIDR"))
	}
	families := map[bool]bool{}
	for i, s := range c.Subnets {
		if !s.IsValid() || s.Addr().Is4In6() || s.Addr().BitLen()-s.Bits() < 2 {
			problems = append(problems, fmt.Errorf("subnets: %q has no room for pods", s))
			continue
		}
		if families[s.Addr().Is4()] {
			problems = append(problems, fmt.Errorf("subnets: %s is the second of its IP family", s))
		}
		families[s.Addr().Is4()] = true
		c.Subnets[i] = s.Masked()
	}
	return errors.Join(problems...)
}

// BridgeAddresses returns the addresses of the bridge: the first of each subnet.
func (c *Config) BridgeAddresses() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range c.Subnets {
		out = append(out, netip.PrefixFrom(ipam.Gateway(s), s.Bits()))
	}
	return out
}

// LeaseFolder returns where the network keeps its address leases.
func LeaseFolder(dataDir, network string) string { return filepath.Join(dataDir, network) }
