// Package daemon prepares a node for pods. It watches its own Node object, and as
// soon as that has a pod CIDR it makes the bridge, lets the kernel forward, writes
// the rules that accept pods' packets and masquerade what leaves the cluster, and
// at last the CNI configuration, which tells the node agent that the network is
// ready.
//
// Everything is said as it shall be and compared with what is there, so that it
// may be done again at any time: when the Node changes, and every resync period,
// in case that another program took something away.
package daemon
