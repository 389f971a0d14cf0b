// Package registry turns the rows of the resource table into what the generic
// API server serves: one generic strategy and one generic store for all kinds.
//
// # Model
//
// A strategy is built from a row by reflection on the kind's Spec and Status
// fields: status is reset on create and kept on an update of the main resource,
// all else is kept on an update of /status, a changed spec bumps the generation.
// What is special to a kind is a hook of its row, which the strategy calls.
// NewStore wraps the strategy in k8s.io/apiserver's generic store; Stores is the
// set of all of them, in which subresources find the store that they act on.
//
// # Traps
//
// The store of /status shares its etcd store and watch cache with the main one;
// it is a copy with another strategy. Objects that come out of the watch cache
// are shared: never hand one to an encoder without copying it.
package registry
