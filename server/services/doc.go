// Package services is the storage of Services: the generic store, with cluster
// addresses and node ports allocated on the way.
//
// # Model
//
// families.go decides (pure): which IP families a Service has, which addresses
// and ports it wants. store.go acts: before an object is written, what it wants
// is taken; after the write, what it no longer uses is given back. Both happen
// around the whole Create or Update, not in the generic store's finish functions,
// which run before etcd has accepted the object and once per retry.
package services
