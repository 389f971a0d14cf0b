package nodeipam

import (
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"net/netip"
)

// ErrExhausted says that every subnet of a cluster CIDR is taken.
var ErrExhausted = errors.New("CIDR allocation failed; there are no remaining CIDRs left to allocate in the accepted range")

// maxSubnetBits bounds the subnets of one CIDR, and so the size of the bitmap,
// as kube does (65,536 nodes).
const maxSubnetBits = 16

// Allocator hands out subnets of one size from one CIDR, in order and without
// giving a released one away again before it has gone round: an address that a
// dead node's pods used is not reused at once. It is not safe for concurrent use.
type Allocator struct {
	cidr netip.Prefix
	size int // mask of a subnet
	used []uint64
	next int
}

// NewAllocator returns an allocator of /size subnets of cidr.
func NewAllocator(cidr netip.Prefix, size int) (*Allocator, error) {
	cidr = cidr.Masked()
	switch {
	case !cidr.IsValid():
		return nil, errors.New("cluster CIDR is not valid")
	case size < cidr.Bits() || size > cidr.Addr().BitLen():
		return nil, fmt.Errorf("node CIDR mask size /%d does not fit cluster CIDR %s", size, cidr)
	case size-cidr.Bits() > maxSubnetBits:
		return nil, fmt.Errorf("node CIDR mask size /%d is more than %d bits longer than cluster CIDR %s", size, maxSubnetBits, cidr)
	}
	a := &Allocator{cidr: cidr, size: size}
	a.used = make([]uint64, (a.count()+63)/64)
	return a, nil
}

func (a *Allocator) count() int { return 1 << (a.size - a.cidr.Bits()) }

func (a *Allocator) has(i int) bool { return a.used[i/64]&(1<<(i%64)) != 0 }

// subnet returns the i-th subnet.
func (a *Allocator) subnet(i int) netip.Prefix {
	base := new(big.Int).SetBytes(a.cidr.Addr().AsSlice())
	offset := new(big.Int).Lsh(big.NewInt(int64(i)), uint(a.cidr.Addr().BitLen()-a.size))
	raw := base.Add(base, offset).FillBytes(make([]byte, a.cidr.Addr().BitLen()/8))
	addr, _ := netip.AddrFromSlice(raw) // the length is that of the CIDR's own address
	return netip.PrefixFrom(addr, a.size)
}

// span returns the first and last subnet that p touches.
func (a *Allocator) span(p netip.Prefix) (first, last int, ok bool) {
	if !p.IsValid() || !p.Overlaps(a.cidr) {
		return 0, 0, false
	}
	if p.Bits() <= a.cidr.Bits() {
		return 0, a.count() - 1, true
	}
	width := uint(a.cidr.Addr().BitLen() - a.size)
	base := new(big.Int).SetBytes(a.cidr.Addr().AsSlice())
	index := new(big.Int).SetBytes(p.Masked().Addr().AsSlice())
	first = int(index.Sub(index, base).Rsh(index, width).Int64())
	last = first
	if p.Bits() < a.size {
		last += 1<<(a.size-p.Bits()) - 1
	}
	return first, last, true
}

// Allocate takes a free subnet, or returns ErrExhausted.
func (a *Allocator) Allocate() (netip.Prefix, error) {
	for tried := range a.count() {
		i := (a.next + tried) % a.count()
		if !a.has(i) {
			a.used[i/64] |= 1 << (i % 64)
			a.next = (i + 1) % a.count()
			return a.subnet(i), nil
		}
	}
	return netip.Prefix{}, ErrExhausted
}

// Occupy marks every subnet that p touches as taken, and reports whether p lies
// in the CIDR at all.
func (a *Allocator) Occupy(p netip.Prefix) bool { return a.mark(p, true) }

// Release gives the subnets that p touches back.
func (a *Allocator) Release(p netip.Prefix) bool { return a.mark(p, false) }

func (a *Allocator) mark(p netip.Prefix, taken bool) bool {
	first, last, ok := a.span(p)
	if !ok {
		return false
	}
	for i := first; i <= last; i++ {
		if taken {
			a.used[i/64] |= 1 << (i % 64)
		} else {
			a.used[i/64] &^= 1 << (i % 64)
		}
	}
	return true
}

// Used returns the number of subnets that are taken.
func (a *Allocator) Used() int {
	n := 0
	for _, word := range a.used {
		n += bits.OnesCount64(word)
	}
	return n
}
