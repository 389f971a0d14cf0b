package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestNext(t *testing.T) {
	tests := []struct {
		name  string
		pods  string
		last  string
		taken []string
		want  string // empty: exhausted
	}{
		{"first", "10.244.0.0/24", "", nil, "10.244.0.2"},
		{"after the last", "10.244.0.0/24", "10.244.0.7", nil, "10.244.0.8"},
		{"skips taken ones", "10.244.0.0/24", "10.244.0.7", []string{"10.244.0.8", "10.244.0.9"}, "10.244.0.10"},
		{"starts over before broadcast", "10.244.0.0/24", "10.244.0.254", nil, "10.244.0.2"},
		{"start over and skip", "10.244.0.0/24", "10.244.0.254", []string{"10.244.0.2"}, "10.244.0.3"},
		{"last of another range", "10.244.0.0/24", "10.99.0.5", nil, "10.244.0.2"},
		{"last of the other family", "10.244.0.0/24", "fd00::5", nil, "10.244.0.2"},
		{"unmasked range", "10.244.0.77/24", "", nil, "10.244.0.2"},
		{"only one", "10.244.0.0/30", "10.244.0.2", nil, "10.244.0.2"},
		{"exhausted", "10.244.0.0/29", "10.244.0.4", []string{"10.244.0.2", "10.244.0.3", "10.244.0.4", "10.244.0.5", "10.244.0.6"}, ""},
		{"IPv6", "fd00:244::/64", "", nil, "fd00:244::2"},
		{"IPv6 has no broadcast", "fd00:244::/126", "fd00:244::2", nil, "fd00:244::3"},
		{"too small", "10.244.0.0/31", "", nil, ""},
		{"a single address", "10.244.0.0/32", "", nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			last, _ := netip.ParseAddr(test.last)
			got, err := Next(prefix(test.pods), last, func(a netip.Addr) bool { return slices.Contains(test.taken, a.String()) })
			if (err != nil) != (test.want == "") || err == nil && got.String() != test.want {
				t.Errorf("got %v, %v; want %q", got, err, test.want)
			}
		})
	}
}

func FuzzNext(f *testing.F) {
	f.Add("10.244.0.0/28", "10.244.0.3", uint16(0b1010))
	f.Add("fd00::/125", "", uint16(3))
	f.Fuzz(func(t *testing.T, pods, last string, taken uint16) {
		p, err := netip.ParsePrefix(pods)
		if err != nil || p.Addr().Is4In6() || p.Addr().BitLen()-p.Bits() > 4 || p.Addr().Zone() != "" {
			return
		}
		l, _ := netip.ParseAddr(last)
		isTaken := func(a netip.Addr) bool {
			bytes := a.AsSlice()
			return taken>>(bytes[len(bytes)-1]%16)&1 == 1
		}
		got, err := Next(p, l, isTaken)
		if err != nil {
			return
		}
		if !p.Contains(got) || isTaken(got) || got == p.Masked().Addr() || got == Gateway(p) {
			t.Errorf("Next(%s, %s) = %s", p, l, got)
		}
	})
}

func FuzzParseOwner(f *testing.F) {
	f.Add("abc\r\neth0")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if owner, ok := parseOwner(text); ok && owner.ContainerID == "" {
			t.Errorf("%q gives an owner without container", text)
		}
	})
}

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "leases"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	s := open(t)
	ranges := []netip.Prefix{prefix("10.244.0.0/24"), prefix("fd00:244::/64")}
	a, b := Owner{"aaa", "eth0"}, Owner{"bbb", "eth0"}
	acquire := func(o Owner, want ...string) {
		t.Helper()
		got, err := s.Acquire(o, ranges)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%v got %v, %v; want %v", o, got, err, want)
		}
	}
	acquire(a, "10.244.0.2", "fd00:244::2")
	acquire(b, "10.244.0.3", "fd00:244::3")
	acquire(a, "10.244.0.2", "fd00:244::2") // again
	acquire(Owner{"aaa", "eth1"}, "10.244.0.4", "fd00:244::4")
	if err := s.Release(a); err != nil {
		t.Fatal(err)
	}
	if err := s.Release(a); err != nil {
		t.Fatalf("releasing twice: %v", err)
	}
	acquire(a, "10.244.0.5", "fd00:244::5") // a released address rests
	ended, err := s.Retain(func(o Owner) bool { return o == b })
	if err != nil || len(ended) != 4 {
		t.Fatalf("Retain ended %v, %v", ended, err)
	}
	leases, err := s.Leases()
	if err != nil || len(leases) != 2 || leases[0].Owner != b {
		t.Fatalf("after Retain: %v, %v", leases, err)
	}
	// The node got another CIDR: the old lease is not in it.
	ranges = []netip.Prefix{prefix("10.244.7.0/24")}
	acquire(b, "10.244.7.2")
	if leases, _ = s.Leases(); len(leases) != 1 {
		t.Errorf("the lease of the old CIDR stays: %v", leases)
	}
}

// TestStoreExhausted: a range that is full refuses, and takes nothing from the other.
func TestStoreExhausted(t *testing.T) {
	s := open(t)
	ranges := []netip.Prefix{prefix("fd00:244::/64"), prefix("10.244.0.0/29")}
	for i := range 5 {
		if _, err := s.Acquire(Owner{fmt.Sprint("pod", i), "eth0"}, ranges); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Acquire(Owner{"one too many", "eth0"}, ranges)
	if !errors.Is(err, ErrExhausted) {
		t.Fatalf("got %v, want %v", err, ErrExhausted)
	}
	if leases, _ := s.Leases(); len(leases) != 10 {
		t.Errorf("%d leases, want 10", len(leases))
	}
}

// TestStoreSurvivesPowerFailure: half a lease blocks nothing.
func TestStoreSurvivesPowerFailure(t *testing.T) {
	s := open(t)
	for name, text := range map[string]string{"10.244.0.2": "", "last_reserved_ip.ipv4": "10.24", "new": "pod"} {
		if err := os.WriteFile(filepath.Join(s.folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Acquire(Owner{"aaa", "eth0"}, []netip.Prefix{prefix("10.244.0.0/30")})
	if err != nil || got[0].String() != "10.244.0.2" {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestStoreParallel: goroutines and processes at once never share an address.
func TestStoreParallel(t *testing.T) {
	if folder := os.Getenv("SKIFF_TEST_LEASES"); folder != "" {
		s, err := Open(folder)
		if err != nil {
			t.Fatal(err)
		}
		acquireMany(t, s, fmt.Sprint("process", os.Getpid()))
		return
	}
	s := open(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			cmd := exec.Command("/proc/self/exe", "-test.run=^TestStoreParallel$")
			cmd.Env = append(os.Environ(), "SKIFF_TEST_LEASES="+s.folder)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	acquireMany(t, s, "parent")
	wg.Wait()
	leases, err := s.Leases()
	if err != nil || len(leases) != 5*20 {
		t.Errorf("%d leases, %v; want 100", len(leases), err)
	}
}

func acquireMany(t *testing.T, s *Store, name string) {
	var mu sync.Mutex
	seen := map[netip.Addr]string{}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			id := fmt.Sprint(name, "-", i)
			got, err := s.Acquire(Owner{id, "eth0"}, []netip.Prefix{prefix("10.244.0.0/24")})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if other, doubled := seen[got[0]]; doubled {
				t.Errorf("%s and %s both have %s", id, other, got[0])
			}
			seen[got[0]] = id
		})
	}
	wg.Wait()
	for addr, id := range seen { // nobody overwrote a lease
		if text, _ := os.ReadFile(filepath.Join(s.folder, addr.String())); !strings.HasPrefix(string(text), id+"\r\n") {
			t.Errorf("the lease of %s is %q, want that of %s", addr, text, id)
		}
	}
}
