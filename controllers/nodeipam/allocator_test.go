package nodeipam

import (
	"errors"
	"net/netip"
	"testing"
)

func TestAllocator(t *testing.T) {
	for _, test := range []struct {
		cidr        string
		size        int
		first, last string
		count       int
	}{
		{"10.244.0.0/16", 24, "10.244.0.0/24", "10.244.255.0/24", 256},
		{"10.244.17.9/16", 24, "10.244.0.0/24", "10.244.255.0/24", 256},
		{"192.168.4.0/22", 23, "192.168.4.0/23", "192.168.6.0/23", 2},
		{"10.0.0.0/24", 24, "10.0.0.0/24", "10.0.0.0/24", 1},
		{"fd00:10:244::/56", 64, "fd00:10:244::/64", "fd00:10:244:ff::/64", 256},
		{"fd00::/48", 64, "fd00::/64", "fd00:0:0:ffff::/64", 65536},
	} {
		a, err := NewAllocator(netip.MustParsePrefix(test.cidr), test.size)
		if err != nil {
			t.Errorf("%s: %v", test.cidr, err)
			continue
		}
		seen := make(map[netip.Prefix]bool)
		var first, last netip.Prefix
		for {
			p, err := a.Allocate()
			if errors.Is(err, ErrExhausted) {
				break
			}
			if seen[p] || !a.cidr.Contains(p.Addr()) {
				t.Fatalf("%s: %s is given twice, or lies outside", test.cidr, p)
			}
			seen[p] = true
			if !first.IsValid() {
				first = p
			}
			last = p
		}
		if first.String() != test.first || last.String() != test.last || len(seen) != test.count || a.Used() != test.count {
			t.Errorf("%s: %s to %s, %d", test.cidr, first, last, len(seen))
		}
	}
}

func TestAllocatorRefuses(t *testing.T) {
	for _, test := range []struct {
		cidr netip.Prefix
		size int
	}{
		{netip.Prefix{}, 24},
		{netip.MustParsePrefix("10.0.0.0/16"), 15},
		{netip.MustParsePrefix("10.0.0.0/16"), 33},
		{netip.MustParsePrefix("10.0.0.0/8"), 25},
	} {
		if _, err := NewAllocator(test.cidr, test.size); err == nil {
			t.Errorf("%s/%d is accepted", test.cidr, test.size)
		}
	}
}

func TestOccupyAndRelease(t *testing.T) {
	a, err := NewAllocator(netip.MustParsePrefix("10.0.0.0/22"), 24)
	if err != nil {
		t.Fatal(err)
	}
	if !a.Occupy(netip.MustParsePrefix("10.0.0.128/25")) || a.Used() != 1 {
		t.Error("a part of a subnet does not take it")
	}
	if !a.Occupy(netip.MustParsePrefix("10.0.2.0/23")) || a.Used() != 3 {
		t.Errorf("a larger range takes %d subnets", a.Used()-1)
	}
	if a.Occupy(netip.MustParsePrefix("10.9.0.0/24")) || a.Occupy(netip.MustParsePrefix("fd00::/64")) || a.Used() != 3 {
		t.Error("a foreign range counts")
	}
	if p, err := a.Allocate(); err != nil || p.String() != "10.0.1.0/24" {
		t.Errorf("%s, %v", p, err)
	}
	if _, err := a.Allocate(); !errors.Is(err, ErrExhausted) {
		t.Errorf("exhausted, but %v", err)
	}
	a.Release(netip.MustParsePrefix("10.0.0.0/24"))
	a.Release(netip.MustParsePrefix("10.0.3.0/24"))
	// The subnet after the last one given comes first, not the one just released.
	if p, err := a.Allocate(); err != nil || p.String() != "10.0.3.0/24" {
		t.Errorf("%s, %v", p, err)
	}
	if !a.Occupy(netip.MustParsePrefix("0.0.0.0/0")) || a.Used() != 4 {
		t.Errorf("everything takes %d", a.Used())
	}
}

func TestPatch(t *testing.T) {
	got, err := Patch("u", []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24"), netip.MustParsePrefix("fd00:0:0:1::/64")})
	want := `{"metadata":{"uid":"u"},"spec":{"podCIDR":"10.244.1.0/24","podCIDRs":["10.244.1.0/24","fd00:0:0:1::/64"]}}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}
