// Package subresources serves what hangs below a resource: scale, binding,
// eviction, finalize, log, exec, attach, port-forward, proxy, token.
//
// # Model
//
// A row names its subresources; Build attaches the storage of each. Those that
// change the object (scale, binding, ephemeralcontainers) work on the row's own
// store, so that admission, validation and conflicts are those of the object.
// Those that talk to a running pod or node go through Nodes, the one place that
// knows how to reach a node agent over TLS.
//
// # Traps
//
// Admission must see the object of the subresource (a Scale, a Binding), not its
// parent: validation callbacks are wrapped where the store hands them the parent.
package subresources
