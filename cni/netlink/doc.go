// Package netlink is the pod network's one doorway to the kernel's links,
// addresses and routes. Its functions say what shall be and may be repeated: what
// is there already is left alone.
//
// They work in the network namespace of the calling thread, except where they
// are given another.
package netlink
