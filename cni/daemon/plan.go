package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/cni/plugin"
)

// cniVersion is the newest that the libraries know: with it come GC and STATUS.
const cniVersion = "1.1.0"

// errNoPodCIDR says that the node must wait for the controller that gives CIDRs out.
var errNoPodCIDR = errors.New("the node has no pod CIDR yet")

// podCIDRs reads the node's pod CIDRs, at most one per IP family.
func podCIDRs(node *corev1.Node) ([]netip.Prefix, error) {
	cidrs := node.Spec.PodCIDRs
	if len(cidrs) == 0 && node.Spec.PodCIDR != "" {
		cidrs = []string{node.Spec.PodCIDR}
	}
	if len(cidrs) == 0 {
		return nil, errNoPodCIDR
	}
	var out []netip.Prefix
	for _, s := range cidrs {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("reading the node's pod CIDR: %w", err)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// conflist returns the CNI configuration of the node.
func conflist(c *plugin.Config) ([]byte, error) {
	text, err := json.MarshalIndent(map[string]any{
		"cniVersion": cniVersion,
		"name":       NetworkName,
		"plugins":    []*plugin.Config{c},
	}, "", "  ")
	return append(text, '\n'), err
}

// The chains of the daemon.
const (
	chainForward     = "SKIFF-FWD"
	chainPostrouting = "SKIFF-POSTRTG"
)

// chain is a chain of ours with the jump that leads to it.
type chain struct {
	table, from, name string
	comment           string     // of the jump
	rules             [][]string // without table and chain
}

func (c chain) jump() []string {
	return []string{"-m", "comment", "--comment", c.comment, "-j", c.name}
}

// chains returns the rules of one IP family. Both jumps stand at the end of the
// kernel's chains: Service rules and those of the administrator come first.
//
// A node keeps its pod CIDR for as long as it lives, also if the cluster's was
// changed in between, so that its own may lie outside of the cluster's.
func chains(cluster, node []netip.Prefix, is4, randomFully bool) []chain {
	forward := chain{table: "filter", from: "FORWARD", name: chainForward, comment: "skiff pod network forwarding"}
	masquerade := chain{table: "nat", from: "POSTROUTING", name: chainPostrouting, comment: "skiff pod network masquerade"}
	multicast := "224.0.0.0/4"
	if !is4 {
		multicast = "ff00::/8"
	}
	cluster, node = ofFamily(cluster, is4), ofFamily(node, is4)
	for _, pods := range node {
		if !slices.ContainsFunc(cluster, func(all netip.Prefix) bool { return all.Bits() <= pods.Bits() && all.Contains(pods.Addr()) }) {
			cluster = append(cluster, pods)
		}
	}
	for _, pods := range cluster {
		forward.rules = append(forward.rules,
			[]string{"-s", pods.String(), "-j", "ACCEPT"},
			[]string{"-d", pods.String(), "-j", "ACCEPT"})
	}
	for _, pods := range node {
		for _, all := range cluster {
			masquerade.rules = append(masquerade.rules, []string{"-s", pods.String(), "-d", all.String(), "-j", "RETURN"})
		}
		out := []string{"-s", pods.String(), "!", "-d", multicast, "-j", "MASQUERADE"}
		if randomFully {
			out = append(out, "--random-fully")
		}
		masquerade.rules = append(masquerade.rules, out)
	}
	return []chain{forward, masquerade}
}

func ofFamily(in []netip.Prefix, is4 bool) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range in {
		if p.Addr().Is4() == is4 {
			out = append(out, p)
		}
	}
	return out
}
