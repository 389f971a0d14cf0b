// Package ipam gives each pod on a node its own addresses and remembers them on
// disk, across restarts of everything.
//
// The choice of an address is a pure function. The store keeps one small file per
// address, named by the address and holding its owner (the form that the
// reference plugin host-local uses, so that its users find their way), and a lock
// file that makes plugin processes wait for each other.
package ipam

import (
	"errors"
	"fmt"
	"net/netip"
)

// ErrExhausted is returned where a range has no free address.
var ErrExhausted = errors.New("no free addresses left")

// Gateway returns the first usable address of a range: the bridge's own.
func Gateway(pods netip.Prefix) netip.Addr { return pods.Masked().Addr().Next() }

// Next returns the free address of a range that follows the last one given out,
// starting over at the end. An address thus rests as long as possible before it
// comes back, and what others still remember of its last owner is forgotten by then.
func Next(pods netip.Prefix, last netip.Addr, taken func(netip.Addr) bool) (netip.Addr, error) {
	first, end := bounds(pods)
	if !first.IsValid() {
		return netip.Addr{}, fmt.Errorf("range %s is too small for pods", pods)
	}
	start := first
	if last.Is4() == first.Is4() && last.Compare(first) >= 0 && last.Less(end) {
		start = last.Next()
	}
	for addr := start; ; {
		if !taken(addr) {
			return addr, nil
		}
		if addr == end {
			addr = first
		} else {
			addr = addr.Next()
		}
		if addr == start {
			return netip.Addr{}, fmt.Errorf("range %s: %w", pods, ErrExhausted)
		}
	}
}

// bounds returns the first and the last address for pods: without the network's
// address, the gateway and, in IPv4, the broadcast address. Both are invalid if
// there are none.
func bounds(pods netip.Prefix) (first, end netip.Addr) {
	pods = pods.Masked()
	hostBits := pods.Addr().BitLen() - pods.Bits()
	if !pods.IsValid() || hostBits < 2 {
		return netip.Addr{}, netip.Addr{}
	}
	bytes := pods.Addr().AsSlice()
	for bit := pods.Bits(); bit < pods.Addr().BitLen(); bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	end, _ = netip.AddrFromSlice(bytes)
	if end.Is4() {
		end = end.Prev()
	}
	return Gateway(pods).Next(), end
}
