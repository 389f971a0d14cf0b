// Package netlink is the pod network's one doorway to the kernel's links,
// addresses and routes. Its functions say what shall be and may be repeated: what
// is there already is left alone.
//
// The node's lists are read with netlinksafe, which reads again where the list changed under
// the reader: that is common while many pods start at once.
//
// They work in the network namespace of the calling thread, except where they
// are given another.
package netlink
