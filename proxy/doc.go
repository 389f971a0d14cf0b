// Package proxy makes Services reachable on a node: it watches Services and
// EndpointSlices and keeps the kernel's rules as they say.
//
//	watch events ─► model.Tracker (per IP family) ─► iptables.Backend ─► kernel
//	                          │                               └► conntrack (UDP)
//	                          └► health check node ports
//
// # Life
//
// Nothing is written before all objects are known once, so that a restart of the
// proxy takes no rule away. From then on an event wakes the loop; events that
// come while it works or waits are taken together, and two syncs are at least
// the minimum period apart. A failed sync is repeated with growing delay. Every
// sync period the proxy looks whether its rules still stand; only if they do not,
// and once an hour in any case, all are written again. When the proxy stops,
// rules stay, so that connections go on; Cleanup removes them.
package proxy
