// Package rules turns Service ports into iptables rules. It is pure: text comes
// out, nothing is run.
//
// # How a packet goes
//
//	nat PREROUTING, OUTPUT ─► KUBE-SERVICES ─┬─ cluster IP ────────────► KUBE-SVC-x ─► KUBE-SEP-y (DNAT)
//	                                         ├─ external IP, LB IP ────► KUBE-EXT-x ─┬► KUBE-SVC-x
//	                                         │   (with source ranges ──► KUBE-FW-x ──┘)
//	                                         └─ local address ► KUBE-NODEPORTS ► KUBE-EXT-x
//	nat POSTROUTING ─► KUBE-POSTROUTING: source NAT for what KUBE-MARK-MASQ marked
//
//	filter INPUT, FORWARD, OUTPUT ─► KUBE-PROXY-FIREWALL   load balancer source ranges
//	                              ─► KUBE-EXTERNAL-SERVICES, KUBE-SERVICES   refuse what has no endpoints
//	                              ─► KUBE-FORWARD, KUBE-NODEPORTS, KUBE-FIREWALL
//
// KUBE-SVC-x spreads over all endpoints, KUBE-SVL-x only over those of this node.
// Chain names are kube's, also their hashes, so that what users know and their
// tools work.
//
// # How changes are written
//
// A Generator remembers the text of every port. After a change it gives a Delta
// with just the chains whose text is different; the shared chains (KUBE-SERVICES
// and the like) are rewritten only if one of their lines changed, so that the
// change of an endpoint costs a few lines whatever the number of Services. A
// Delta is one iptables-restore transaction over both tables.
//
// # Traps
//
// A gateway may answer for any address, so traffic to the service CIDR that no
// rule translated is refused on the node: it must never leave it. The counters
// in the chain lines are zero since nothing reads them. Chains are emptied by
// naming them, and can be deleted in the same transaction only after all rules
// that jump to them are gone.
package rules
