package ipallocator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// ErrFull is returned when no item of a range is free.
var ErrFull = errors.New("range is full")

// Keys keeps which items are taken. etcd does so in production.
type Keys interface {
	// Create takes the item for owner and reports false if somebody has it.
	Create(ctx context.Context, item, owner string) (bool, error)
	// Owner returns who has the item, "" if nobody.
	Owner(ctx context.Context, item string) (string, error)
	// Delete gives the item back if owner has it.
	Delete(ctx context.Context, item, owner string) error
	// List returns all taken items.
	List(ctx context.Context) ([]Taken, error)
}

// Taken is an item that somebody has.
type Taken struct {
	Item, Owner string
	// Revision changes when the item is taken anew.
	Revision int64
}

// Pool hands out the items of a range.
type Pool struct {
	keys  Keys
	size  uint64
	first uint64 // lowest offset that automatic allocation gives out
	band  uint64 // offset at which its preferred upper band begins

	at       func(offset uint64) string
	offsetOf func(item string) (uint64, bool)
	// texts of errors
	allocated, outside string
}

// probes is how many random items automatic allocation tries before it reads
// which ones are taken.
const probes = 16

// NewAddresses returns the pool of a Service CIDR. Its network and broadcast
// addresses are not given out, nor, automatically, the first one: that is
// Service default/kubernetes.
func NewAddresses(cidr netip.Prefix, keys Keys) (*Pool, error) {
	cidr = cidr.Masked()
	bits := cidr.Addr().BitLen() - cidr.Bits()
	if bits < 2 {
		return nil, fmt.Errorf("service CIDR %s is too small", cidr)
	}
	size := uint64(1)<<min(bits, 32) - 1 // without the network address
	if cidr.Addr().Is4() {
		size-- // without the broadcast address
	}
	base := cidr.Addr()
	return &Pool{
		keys:  keys,
		size:  size,
		first: 1,
		band:  staticBand(size),
		at: func(offset uint64) string {
			return addOffset(base, offset+1).String()
		},
		offsetOf: func(item string) (uint64, bool) {
			addr, err := netip.ParseAddr(item)
			if err != nil || !cidr.Contains(addr) {
				return 0, false
			}
			offset, ok := subtract(addr, base)
			return offset - 1, ok && offset >= 1 && offset <= size
		},
		allocated: "provided IP is already allocated",
		outside:   fmt.Sprintf("the provided IP (%%s) is not in the valid range. The range of valid IPs is %s", cidr),
	}, nil
}

// NewPorts returns the pool of the node ports.
func NewPorts(ports utilnet.PortRange, keys Keys) *Pool {
	size := uint64(ports.Size)
	return &Pool{
		keys: keys,
		size: size,
		band: staticPorts(size),
		at:   func(offset uint64) string { return strconv.FormatUint(uint64(ports.Base)+offset, 10) },
		offsetOf: func(item string) (uint64, bool) {
			port, err := strconv.ParseUint(item, 10, 16)
			if err != nil || !ports.Contains(int(port)) {
				return 0, false
			}
			return port - uint64(ports.Base), true
		},
		allocated: "provided port is already allocated",
		outside:   fmt.Sprintf("provided port is not in the valid range. The range of valid ports is %s", ports.String()),
	}
}

// staticBand is how many of the first addresses automatic allocation avoids while
// there are others: a sixteenth, between 16 and 256.
func staticBand(size uint64) uint64 {
	if size <= 16 {
		return 0
	}
	return min(max(size/16, 16), 256)
}

// staticPorts is staticBand for ports, where the bounds are 16 and 128 and half
// as much is kept (KEP-3668).
func staticPorts(size uint64) uint64 {
	if size <= 16 {
		return 0
	}
	return min(max(size/32, 16), 128)
}

// Has reports whether item belongs to the range.
func (p *Pool) Has(item string) bool {
	_, ok := p.offsetOf(item)
	return ok
}

// Allocate takes the item for owner. Taking what owner has already is fine.
func (p *Pool) Allocate(ctx context.Context, item, owner string) error {
	item, err := p.canonical(item)
	if err != nil {
		return err
	}
	created, err := p.keys.Create(ctx, item, owner)
	if err != nil || created {
		return err
	}
	return p.ownedBy(ctx, item, owner)
}

// Check says whether Allocate would succeed, and takes nothing.
func (p *Pool) Check(ctx context.Context, item, owner string) error {
	item, err := p.canonical(item)
	if err != nil {
		return err
	}
	return p.ownedBy(ctx, item, owner)
}

func (p *Pool) ownedBy(ctx context.Context, item, owner string) error {
	has, err := p.keys.Owner(ctx, item)
	if err != nil {
		return err
	}
	if has != "" && has != owner {
		return errors.New(p.allocated)
	}
	return nil
}

// canonical returns the item in the one way in which it is written in a key.
func (p *Pool) canonical(item string) (string, error) {
	offset, ok := p.offsetOf(item)
	if !ok {
		if p.outsideTakesItem() {
			return "", fmt.Errorf(p.outside, item)
		}
		return "", errors.New(p.outside)
	}
	return p.at(offset), nil
}

func (p *Pool) outsideTakesItem() bool { return p.first > 0 }

// AllocateNext takes any free item for owner and returns it.
func (p *Pool) AllocateNext(ctx context.Context, owner string) (string, error) {
	for range probes {
		item := p.at(p.random())
		if created, err := p.keys.Create(ctx, item, owner); err != nil || created {
			return item, err
		}
	}
	// The range is crowded. Somebody may take what is found free here before us;
	// then there are others.
	for range probes {
		item, err := p.findFree(ctx)
		if err != nil {
			return "", err
		}
		if created, err := p.keys.Create(ctx, item, owner); err != nil || created {
			return item, err
		}
	}
	return "", ErrFull
}

// PeekNext returns an item that AllocateNext could return, and takes nothing.
func (p *Pool) PeekNext(ctx context.Context) (string, error) { return p.findFree(ctx) }

// random returns an offset in the preferred band.
func (p *Pool) random() uint64 {
	begin := max(p.band, p.first)
	if begin >= p.size {
		begin = p.first
	}
	return begin + rand.Uint64N(p.size-begin)
}

// findFree returns a free item, one of the preferred band if there is one.
func (p *Pool) findFree(ctx context.Context) (string, error) {
	taken, err := p.keys.List(ctx)
	if err != nil {
		return "", err
	}
	used := make(map[uint64]bool, len(taken))
	for _, t := range taken {
		if offset, ok := p.offsetOf(t.Item); ok {
			used[offset] = true
		}
	}
	start := p.random()
	// From a random place in the upper band to its end, the band from its
	// beginning, and then the lower band.
	for _, span := range [][2]uint64{{start, p.size}, {max(p.band, p.first), start}, {p.first, max(p.band, p.first)}} {
		for offset := span[0]; offset < span[1]; offset++ {
			if !used[offset] {
				return p.at(offset), nil
			}
		}
	}
	return "", ErrFull
}

// Release gives the item back, if owner has it. Items outside the range are
// given back too: the range may have been changed.
func (p *Pool) Release(ctx context.Context, item, owner string) error {
	if canonical, err := p.canonical(item); err == nil {
		item = canonical
	}
	return p.keys.Delete(ctx, item, owner)
}

// addOffset returns base+offset.
func addOffset(base netip.Addr, offset uint64) netip.Addr {
	raw := base.AsSlice()
	for i := len(raw) - 1; i >= 0 && offset > 0; i-- {
		offset += uint64(raw[i])
		raw[i] = byte(offset)
		offset >>= 8
	}
	addr, _ := netip.AddrFromSlice(raw)
	return addr
}

// subtract returns addr-base and whether it fits.
func subtract(addr, base netip.Addr) (uint64, bool) {
	a, b := addr.AsSlice(), base.AsSlice()
	if len(a) != len(b) {
		return 0, false
	}
	var offset uint64
	borrow := 0
	for i := len(a) - 1; i >= 0; i-- {
		d := int(a[i]) - int(b[i]) - borrow
		borrow = 0
		if d < 0 {
			d, borrow = d+256, 1
		}
		shift := 8 * (len(a) - 1 - i)
		if shift >= 64 {
			if d != 0 {
				return 0, false
			}
			continue
		}
		offset |= uint64(d) << shift
	}
	return offset, borrow == 0
}
