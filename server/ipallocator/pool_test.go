package ipallocator

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// memoryKeys is Keys in memory, with the same promises as etcd's.
type memoryKeys struct {
	mu       sync.Mutex
	revision int64
	taken    map[string]Taken
}

func newMemoryKeys() *memoryKeys { return &memoryKeys{taken: map[string]Taken{}} }

func (k *memoryKeys) Create(_ context.Context, item, owner string) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.taken[item]; ok {
		return false, nil
	}
	k.revision++
	k.taken[item] = Taken{Item: item, Owner: owner, Revision: k.revision}
	return true, nil
}

func (k *memoryKeys) Owner(_ context.Context, item string) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.taken[item].Owner, nil
}

func (k *memoryKeys) Delete(_ context.Context, item, owner string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.taken[item].Owner == owner {
		delete(k.taken, item)
	}
	return nil
}

func (k *memoryKeys) List(context.Context) ([]Taken, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []Taken
	for _, t := range k.taken {
		all = append(all, t)
	}
	return all, nil
}

func addresses(t *testing.T, cidr string) *Pool {
	t.Helper()
	pool, err := NewAddresses(netip.MustParsePrefix(cidr), newMemoryKeys())
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

func TestAllocateChosen(t *testing.T) {
	for cidr, test := range map[string]struct{ in, out []string }{
		"10.96.0.0/24":    {[]string{"10.96.0.1", "10.96.0.254"}, []string{"10.96.0.0", "10.96.0.255", "10.96.1.1", "10.95.255.255", "::1", "x", ""}},
		"10.96.0.0/30":    {[]string{"10.96.0.1", "10.96.0.2"}, []string{"10.96.0.3"}},
		"fd00:10:96::/64": {[]string{"fd00:10:96::1", "fd00:10:96::abcd:1"}, []string{"fd00:10:96::", "fd00:10:96:0:1::", "fd00:10:97::1", "10.96.0.1"}},
		"fd00::/112":      {[]string{"fd00::1", "fd00::ffff"}, []string{"fd00::1:0"}},
	} {
		pool := addresses(t, cidr)
		for _, ip := range test.in {
			if err := pool.Allocate(t.Context(), ip, "a"); err != nil {
				t.Errorf("%s: %s: %v", cidr, ip, err)
			}
			if err := pool.Allocate(t.Context(), ip, "a"); err != nil {
				t.Errorf("%s: %s for its owner again: %v", cidr, ip, err)
			}
			if err := pool.Allocate(t.Context(), ip, "b"); err == nil || err.Error() != "provided IP is already allocated" {
				t.Errorf("%s: %s for another: %v", cidr, ip, err)
			}
			if err := pool.Check(t.Context(), ip, "b"); err == nil {
				t.Errorf("%s: a dry run would take %s", cidr, ip)
			}
			if err := pool.Release(t.Context(), ip, "b"); err != nil {
				t.Fatal(err)
			}
			if err := pool.Check(t.Context(), ip, "b"); err == nil {
				t.Errorf("%s: %s was released by somebody else", cidr, ip)
			}
			if err := pool.Release(t.Context(), ip, "a"); err != nil {
				t.Fatal(err)
			}
			if err := pool.Allocate(t.Context(), ip, "b"); err != nil {
				t.Errorf("%s: %s after its release: %v", cidr, ip, err)
			}
		}
		for _, ip := range test.out {
			if err := pool.Allocate(t.Context(), ip, "a"); err == nil || !strings.Contains(err.Error(), "is not in the valid range. The range of valid IPs is "+cidr) {
				t.Errorf("%s: %q: %v", cidr, ip, err)
			}
		}
	}
}

// Test that a range gives out each item exactly once, the preferred band first,
// and never its reserved items.
func TestAllocateAll(t *testing.T) {
	pool := addresses(t, "10.96.0.0/24")
	seen := map[string]bool{}
	const want = 254 - 1 // all but the first, which is for Service kubernetes
	for i := range want {
		ip, err := pool.AllocateNext(t.Context(), fmt.Sprint(i))
		if err != nil {
			t.Fatalf("after %d: %v", i, err)
		}
		if seen[ip] || ip == "10.96.0.1" || ip == "10.96.0.0" || ip == "10.96.0.255" {
			t.Fatalf("after %d: got %s", i, ip)
		}
		seen[ip] = true
		last := netip.MustParseAddr(ip).As4()[3]
		if upper := 254 - 16; (i < upper) != (last > 16) {
			t.Fatalf("after %d: got %s", i, ip)
		}
	}
	if _, err := pool.AllocateNext(t.Context(), "x"); !errors.Is(err, ErrFull) {
		t.Errorf("of a full range: %v", err)
	}
	if _, err := pool.PeekNext(t.Context()); !errors.Is(err, ErrFull) {
		t.Errorf("of a full range: %v", err)
	}
	if err := pool.Release(t.Context(), "10.96.0.77", ownerOf(t, pool, "10.96.0.77")); err != nil {
		t.Fatal(err)
	}
	if ip, err := pool.AllocateNext(t.Context(), "x"); err != nil || ip != "10.96.0.77" {
		t.Errorf("got %s, %v, want the only free one", ip, err)
	}
}

func ownerOf(t *testing.T, pool *Pool, item string) string {
	t.Helper()
	owner, err := pool.keys.Owner(t.Context(), item)
	if err != nil {
		t.Fatal(err)
	}
	return owner
}

func TestAllocateConcurrently(t *testing.T) {
	pool := addresses(t, "10.96.0.0/25")
	var wg sync.WaitGroup
	results := make(chan string, 200)
	for worker := range 10 {
		wg.Go(func() {
			for i := range 12 {
				ip, err := pool.AllocateNext(t.Context(), fmt.Sprint(worker, i))
				if err != nil {
					t.Error(err)
					return
				}
				results <- ip
			}
		})
	}
	wg.Wait()
	close(results)
	seen := map[string]bool{}
	for ip := range results {
		if seen[ip] {
			t.Errorf("%s was given out twice", ip)
		}
		seen[ip] = true
	}
	if len(seen) != 120 {
		t.Errorf("got %d addresses", len(seen))
	}
}

func TestPorts(t *testing.T) {
	pool := NewPorts(utilnet.PortRange{Base: 30000, Size: 3}, newMemoryKeys())
	if err := pool.Allocate(t.Context(), "30002", "a"); err != nil {
		t.Fatal(err)
	}
	if err := pool.Allocate(t.Context(), "30002", "b"); err == nil || err.Error() != "provided port is already allocated" {
		t.Errorf("a taken port: %v", err)
	}
	for _, port := range []string{"29999", "30003", "0", "-1", "x"} {
		err := pool.Allocate(t.Context(), port, "a")
		if err == nil || err.Error() != "provided port is not in the valid range. The range of valid ports is 30000-30002" {
			t.Errorf("port %s: %v", port, err)
		}
	}
	for range 2 {
		if port, err := pool.AllocateNext(t.Context(), "b"); err != nil || port == "30002" {
			t.Errorf("got %s, %v", port, err)
		}
	}
	if _, err := pool.AllocateNext(t.Context(), "b"); !errors.Is(err, ErrFull) {
		t.Errorf("got %v", err)
	}
}

func TestRepair(t *testing.T) {
	pool := addresses(t, "10.96.0.0/24")
	for ip, owner := range map[string]string{"10.96.0.5": "leaked", "10.96.0.6": "used", "10.96.0.7": "young"} {
		if err := pool.Allocate(t.Context(), ip, owner); err != nil {
			t.Fatal(err)
		}
	}
	repairer := NewRepairer(pool)
	used := map[string]string{"10.96.0.6": "used", "10.96.0.8": "untaken", "10.1.1.1": "from another range"}
	inUse := func(context.Context) (map[string]string, error) { return used, nil }
	run := func() {
		t.Helper()
		if err := repairer.Run(t.Context(), inUse); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if ownerOf(t, pool, "10.96.0.5") != "leaked" {
		t.Error("released what may be just about to be written")
	}
	if ownerOf(t, pool, "10.96.0.8") != "untaken" {
		t.Error("did not take what is used")
	}
	used["10.96.0.7"] = "young" // is written between the runs
	run()
	for ip, want := range map[string]string{"10.96.0.5": "", "10.96.0.6": "used", "10.96.0.7": "young", "10.96.0.8": "untaken"} {
		if got := ownerOf(t, pool, ip); got != want {
			t.Errorf("%s belongs to %q, want %q", ip, got, want)
		}
	}
}

func TestAddressArithmetic(t *testing.T) {
	base := netip.MustParseAddr("10.0.255.250")
	for offset, want := range map[uint64]string{0: "10.0.255.250", 5: "10.0.255.255", 6: "10.1.0.0", 1 << 16: "10.1.255.250"} {
		got := addOffset(base, offset)
		if got.String() != want {
			t.Errorf("+%d: got %s, want %s", offset, got, want)
		}
		if back, ok := subtract(got, base); !ok || back != offset {
			t.Errorf("%s-%s: got %d, %t", got, base, back, ok)
		}
	}
	if _, ok := subtract(netip.MustParseAddr("10.0.0.0"), base); ok {
		t.Error("a negative difference is no offset")
	}
}
