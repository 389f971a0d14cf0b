// Package ipallocator hands out the cluster addresses and node ports of Services.
//
// # Model
//
// A Pool is a range of items (addresses of a CIDR, ports of a port range). Each
// item that is taken is one key in etcd, created only if it does not exist: that
// makes allocation safe among any number of API servers and across restarts
// without a lock. The value is the owner's UID, so that nobody releases what has
// meanwhile gone to another.
//
// Automatic allocation probes random items, first in the upper band of the range:
// the lower one is left to users who pick addresses themselves (KEP-3070). Only
// when probing fails are the taken items read.
//
// # Traps
//
// An item is taken before its Service is written. A crash between the two leaks
// it; Repair finds such items.
package ipallocator
