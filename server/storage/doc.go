// Package storage is the doorway to etcd: everything the API server keeps goes
// through one Backend.
//
// # Model
//
// A Backend holds the one etcd client that all resources share, the compactor
// and the health probe. It is either embedded (an etcd member in this process,
// reached by function calls, with no listener at all) or external (etcd servers
// reached over TLS); nothing above this package knows which.
//
// Getter turns a Backend into the RESTOptions that k8s.io/apiserver's generic
// store asks for: it locates a resource (stored version, key prefix), builds its
// codec and decorates the etcd store with the watch cache.
//
// # Traps
//
// The library keeps the etcd feature checker and the database size monitor in
// package variables. A process has one store, so they are set when a Backend is
// opened; two backends at once (only tests do that) share them harmlessly.
package storage
