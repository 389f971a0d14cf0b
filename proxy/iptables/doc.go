// Package iptables is the proxy's one doorway to the programs iptables and
// ip6tables.
//
// Rules go in by one iptables-restore --noflush per change, which the kernel
// applies as a whole or not at all. The few rules in the kernel's own chains
// that lead to ours are handled by go-iptables, as they stand among the rules
// of others.
//
// The variant (nft or legacy) is that of the program "iptables" on the PATH,
// where the host's administrator and Docker keep their rules as well. The system
// folders are searched after the PATH: services are often started without them.
package iptables
