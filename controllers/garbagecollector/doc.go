// Package garbagecollector deletes objects whose owners are gone, and carries
// out foreground and orphaning deletions (metadata.ownerReferences, finalizers
// foregroundDeletion and orphan).
//
// # Model
//
// Monitors (monitors.go) watch the metadata of every resource that can be
// listed, watched and deleted, as discovery tells; kinds that the shared cache
// has anyway are taken from there. Their events keep a graph of owners and
// dependents (graph.go), which answers each event with work: objects to check,
// owners to orphan. Workers (collector.go) look at the live objects, let a pure
// function decide (decide.go) and act.
//
// # Traps
//
// The graph may lag and references may lie, so nothing is deleted on the graph's
// word: the object and each of its owners are read from the server first, at the
// coordinates that the reference names. Owners known only by reference are
// virtual nodes until an event or a live read settles them.
package garbagecollector
