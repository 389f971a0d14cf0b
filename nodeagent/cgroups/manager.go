package cgroups

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
)

// Mount is where the cgroup file systems are.
const Mount = "/sys/fs/cgroup"

// Manager makes, limits and removes the cgroups of pods.
type Manager struct {
	names   Names
	version int

	mu    sync.Mutex
	ready map[corev1.PodQOSClass]bool // classes whose cgroup exists
}

// NewManager returns a Manager for the host, whose driver and version are the engine's (runtime.Info).
func NewManager(driver Driver, version int) (*Manager, error) {
	if driver != Cgroupfs && driver != Systemd {
		return nil, fmt.Errorf("cgroup driver %q is neither %q nor %q", driver, Cgroupfs, Systemd)
	}
	if version != 1 && version != 2 {
		return nil, fmt.Errorf("cgroup version %d is neither 1 nor 2", version)
	}
	return &Manager{names: Names{Driver: driver}, version: version, ready: map[corev1.PodQOSClass]bool{}}, nil
}

// Names returns the names for the host's driver.
func (m *Manager) Names() Names { return m.names }

// EnsurePod makes the cgroup of a pod, sets its limits and returns the cgroup
// parent for the pod's containers. It may be called again with other limits.
func (m *Manager) EnsurePod(ctx context.Context, qos corev1.PodQOSClass, uid string, limits Limits) (string, error) {
	if err := m.ensureQOS(ctx, qos); err != nil {
		return "", fmt.Errorf("making the cgroup of %s pods: %w", qos, err)
	}
	parent := m.names.Pod(qos, uid)
	if err := m.apply(ctx, parent, limits); err != nil {
		return "", fmt.Errorf("making cgroup %s: %w", parent, err)
	}
	return parent, nil
}

// ensureQOS makes the cgroup of a class once per run. Best-effort pods share the least CPU there is.
func (m *Manager) ensureQOS(ctx context.Context, qos corev1.PodQOSClass) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ready[qos] {
		return nil
	}
	limits := Limits{CPUShares: 1024}
	if qos == corev1.PodQOSBestEffort {
		limits.CPUShares = minShares
	}
	if err := m.apply(ctx, m.names.QOS(qos), limits); err != nil {
		return err
	}
	m.ready[qos] = true
	return nil
}

func (m *Manager) apply(ctx context.Context, parent string, limits Limits) error {
	if m.names.Driver == Systemd {
		return applySlice(ctx, parent, limits)
	}
	path := m.names.Path(parent)
	if m.version == 2 {
		return applyV2(Mount, path, limits)
	}
	return applyV1(Mount, path, limits)
}

// RemovePod removes the cgroup of a pod, whichever class it is in, with the
// empty cgroups in it. No error if there is none; an error while
// processes are left.
func (m *Manager) RemovePod(ctx context.Context, uid string) error {
	var errs []error
	for _, qos := range []corev1.PodQOSClass{corev1.PodQOSGuaranteed, corev1.PodQOSBurstable, corev1.PodQOSBestEffort} {
		parent := m.names.Pod(qos, uid)
		if m.names.Driver == Systemd {
			errs = append(errs, stopSlice(ctx, parent, m.names.Path(parent)))
			continue
		}
		errs = append(errs, m.removePath(m.names.Path(parent)))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("removing the cgroup of pod %s: %w", uid, err)
	}
	return nil
}

// RemoveAll removes kubepods and everything in it, for a host that is to be
// left as it was found.
func (m *Manager) RemoveAll(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ready = map[corev1.PodQOSClass]bool{}
	parent := m.names.QOS(corev1.PodQOSGuaranteed)
	var err error
	if m.names.Driver == Systemd {
		err = stopSlice(ctx, parent, m.names.Path(parent))
	} else {
		err = m.removePath(m.names.Path(parent))
	}
	if err != nil {
		return fmt.Errorf("removing the cgroups of pods: %w", err)
	}
	return nil
}

// Pods returns the UIDs of the pods that have a cgroup, sorted.
func (m *Manager) Pods() ([]string, error) {
	found := map[string]bool{}
	for _, hierarchy := range m.hierarchies() {
		for _, qos := range []corev1.PodQOSClass{corev1.PodQOSGuaranteed, corev1.PodQOSBurstable, corev1.PodQOSBestEffort} {
			entries, err := os.ReadDir(filepath.Join(hierarchy, m.names.Path(m.names.QOS(qos))))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("listing the cgroups of pods: %w", err)
			}
			for _, entry := range entries {
				if uid, ok := m.names.podUID(entry.Name()); ok && entry.IsDir() {
					found[uid] = true
				}
			}
		}
	}
	uids := make([]string, 0, len(found))
	for uid := range found {
		uids = append(uids, uid)
	}
	slices.Sort(uids)
	return uids, nil
}

// hierarchies returns the mount points that hold cgroups: one on version 2, one per controller on version 1.
func (m *Manager) hierarchies() []string {
	if m.version == 2 {
		return []string{Mount}
	}
	entries, err := os.ReadDir(Mount)
	if err != nil {
		return nil
	}
	var result []string
	for _, entry := range entries {
		// The links (cpu -> cpu,cpuacct) would name a hierarchy twice.
		if entry.IsDir() {
			result = append(result, filepath.Join(Mount, entry.Name()))
		}
	}
	return result
}

func (m *Manager) removePath(path string) error {
	var errs []error
	for _, hierarchy := range m.hierarchies() {
		errs = append(errs, removeTree(filepath.Join(hierarchy, path)))
	}
	return errors.Join(errs...)
}

// removeTree removes the directories of a cgroup from the leaves up; its files go with it.
func removeTree(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	slices.SortFunc(dirs, func(a, b string) int { return strings.Count(b, "/") - strings.Count(a, "/") })
	for _, d := range dirs {
		if err := os.Remove(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// HostVersion returns the version of the host's cgroups: 2 only if they are unified, 1 also for hybrid hosts.
func HostVersion() int {
	var stat unix.Statfs_t
	if err := unix.Statfs(Mount, &stat); err == nil && stat.Type == unix.CGROUP2_SUPER_MAGIC {
		return 2
	}
	return 1
}
