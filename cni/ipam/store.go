package ipam

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	lockName       = "lock"
	lastPrefix     = "last_reserved_ip." // followed by the IP family
	temporaryName  = "new"
	ownerSeparator = "\r\n"
)

// Owner is one interface of one container.
type Owner struct {
	ContainerID string
	Interface   string
}

// Lease says that an address belongs to an owner.
type Lease struct {
	Addr  netip.Addr
	Owner Owner
}

// Store is a folder with leases. Any number of processes may use one.
type Store struct{ folder string }

// Open makes the folder if need be and returns its store.
func Open(folder string) (*Store, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of address leases: %w", err)
	}
	return &Store{folder: folder}, nil
}

// Acquire leases one address of each range to an owner, all or none. An owner
// that has an address of a range already gets it again, so that a repeated call
// changes nothing; what it has outside of the ranges is given back.
func (s *Store) Acquire(owner Owner, ranges []netip.Prefix) ([]netip.Addr, error) {
	var got []netip.Addr
	err := s.locked(func() error {
		leases, err := s.read()
		if err != nil {
			return err
		}
		taken := map[netip.Addr]bool{}
		for _, l := range leases {
			taken[l.Addr] = true
		}
		var fresh []netip.Addr
		for _, pods := range ranges {
			addr, held := find(leases, owner, pods)
			if !held {
				if addr, err = Next(pods, s.last(pods), func(a netip.Addr) bool { return taken[a] }); err != nil {
					return err
				}
				fresh = append(fresh, addr)
				taken[addr] = true
			}
			got = append(got, addr)
		}
		for _, l := range leases {
			if l.Owner == owner && !contains(ranges, l.Addr) {
				if err := s.drop(l.Addr); err != nil {
					return err
				}
			}
		}
		return s.keep(owner, fresh)
	})
	if err != nil {
		return nil, fmt.Errorf("leasing an address: %w", err)
	}
	return got, nil
}

func find(leases []Lease, owner Owner, pods netip.Prefix) (netip.Addr, bool) {
	for _, l := range leases {
		if l.Owner == owner && pods.Contains(l.Addr) {
			return l.Addr, true
		}
	}
	return netip.Addr{}, false
}

func contains(ranges []netip.Prefix, addr netip.Addr) bool {
	for _, r := range ranges {
		if r.Contains(addr) {
			return true
		}
	}
	return false
}

// keep writes leases; if one cannot be written, none stays.
func (s *Store) keep(owner Owner, addrs []netip.Addr) error {
	for i, addr := range addrs {
		// Written in full before it has its name: a crash leaves no half lease.
		err := s.write(addr.String(), owner.ContainerID+ownerSeparator+owner.Interface)
		if err == nil {
			err = s.write(lastPrefix+familyName(addr), addr.String())
		}
		if err != nil {
			for _, a := range addrs[:i+1] {
				err = errors.Join(err, s.drop(a))
			}
			return err
		}
	}
	return nil
}

func familyName(addr netip.Addr) string {
	if addr.Is4() {
		return "ipv4"
	}
	return "ipv6"
}

// Release gives back all addresses of an owner. There may be none.
func (s *Store) Release(owner Owner) error {
	_, err := s.Retain(func(o Owner) bool { return o != owner })
	return err
}

// Retain gives back the addresses of all owners but those to keep, and returns
// the leases that ended.
func (s *Store) Retain(keep func(Owner) bool) ([]Lease, error) {
	var ended []Lease
	err := s.locked(func() error {
		leases, err := s.read()
		if err != nil {
			return err
		}
		for _, l := range leases {
			if keep(l.Owner) {
				continue
			}
			if err := s.drop(l.Addr); err != nil {
				return err
			}
			ended = append(ended, l)
		}
		return nil
	})
	if err != nil {
		return ended, fmt.Errorf("giving back addresses: %w", err)
	}
	return ended, nil
}

// Leases returns all leases.
func (s *Store) Leases() ([]Lease, error) {
	var leases []Lease
	err := s.locked(func() (err error) {
		leases, err = s.read()
		return err
	})
	return leases, err
}

// locked calls do while no other process or goroutine is in here.
func (s *Store) locked(do func() error) error {
	lock, err := os.OpenFile(filepath.Join(s.folder, lockName), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("opening the lock of the leases: %w", err)
	}
	defer lock.Close() // gives the lock back, too
	for {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("locking the leases: %w", err)
	}
	return do()
}

func (s *Store) read() ([]Lease, error) {
	entries, err := os.ReadDir(s.folder)
	if err != nil {
		return nil, fmt.Errorf("reading the leases: %w", err)
	}
	var leases []Lease
	for _, entry := range entries {
		addr, err := netip.ParseAddr(entry.Name())
		if err != nil {
			continue // the lock, the last address given out
		}
		text, err := os.ReadFile(filepath.Join(s.folder, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading a lease: %w", err)
		}
		// A lease without owner is what a power failure left of one, and no pod
		// outlives that: the address is free.
		if owner, ok := parseOwner(string(text)); ok {
			leases = append(leases, Lease{addr, owner})
		}
	}
	return leases, nil
}

func parseOwner(text string) (Owner, bool) {
	id, name, _ := strings.Cut(text, "\n")
	owner := Owner{strings.TrimSpace(id), strings.TrimSpace(name)}
	return owner, owner.ContainerID != ""
}

func (s *Store) last(pods netip.Prefix) netip.Addr {
	text, err := os.ReadFile(filepath.Join(s.folder, lastPrefix+familyName(pods.Addr())))
	if err != nil {
		return netip.Addr{} // only a hint where to begin
	}
	addr, err := netip.ParseAddr(strings.TrimSpace(string(text)))
	if err != nil {
		return netip.Addr{}
	}
	return addr
}

func (s *Store) write(name, text string) error {
	temporary := filepath.Join(s.folder, temporaryName)
	if err := os.WriteFile(temporary, []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing a lease: %w", err)
	}
	if err := os.Rename(temporary, filepath.Join(s.folder, name)); err != nil {
		return fmt.Errorf("writing a lease: %w", err)
	}
	return nil
}

func (s *Store) drop(addr netip.Addr) error {
	err := os.Remove(filepath.Join(s.folder, addr.String()))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a lease: %w", err)
	}
	return nil
}
