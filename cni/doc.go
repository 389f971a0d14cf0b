// Package cni is the home of the pod network. It holds no code itself.
//
//	daemon   one per node: learns the node's pod CIDR from the API, prepares the
//	         node (bridge, forwarding, masquerade) and writes the CNI configuration
//	plugin   run by the node agent for each pod: joins it to the bridge
//	ipam     which address belongs to which pod, on disk
//	netlink  the one doorway to the kernel's links, addresses and routes
//
// A pod's packets take this way: eth0 of the pod, a veth pair, the bridge cni0,
// which holds the first address of the node's pod CIDR and is the pods' gateway.
// What leaves the cluster is masqueraded by rules that belong to the node, not to
// the pod, so that adding a pod touches no rule.
package cni
