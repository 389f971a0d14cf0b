package rules

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/proxy/model"
)

// The chains that all ports share.
const (
	chainServices      = "KUBE-SERVICES"
	chainExternal      = "KUBE-EXTERNAL-SERVICES"
	chainNodePorts     = "KUBE-NODEPORTS"
	chainPostrouting   = "KUBE-POSTROUTING"
	chainMarkMasq      = "KUBE-MARK-MASQ"
	chainForward       = "KUBE-FORWARD"
	chainProxyFirewall = "KUBE-PROXY-FIREWALL"
	chainFirewall      = "KUBE-FIREWALL"

	// Canary is a chain in each table with one rule and no use but to notice
	// that somebody flushed or emptied the table.
	Canary = "KUBE-PROXY-CANARY"
)

// portChainPrefixes begin the names of the chains of single ports.
var portChainPrefixes = []string{"KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-"}

// PortChain reports whether the chain is one of a single Service port, and so
// stale if no port has it.
func PortChain(name string) bool {
	for _, p := range portChainPrefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// SharedChains returns the chains of a table that all ports share.
func SharedChains(table string) []string {
	if table == TableFilter {
		return []string{chainExternal, chainFirewall, chainForward, chainNodePorts, chainProxyFirewall, chainServices, Canary}
	}
	return []string{chainMarkMasq, chainNodePorts, chainPostrouting, chainServices, Canary}
}

// chainSuffix is a hash that keeps chain names within iptables' 28 characters.
func chainSuffix(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "")))
	return base32.StdEncoding.EncodeToString(sum[:])[:16]
}

func protocol(p corev1.Protocol) string { return strings.ToLower(string(p)) }

func portSuffix(name model.PortName) string {
	return chainSuffix(name.String(), protocol(name.Protocol))
}

func endpointChain(name model.PortName, endpoint string) string {
	return "KUBE-SEP-" + chainSuffix(name.String(), protocol(name.Protocol), endpoint)
}
