package cgroups

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Usage is what the processes of a cgroup use.
type Usage struct {
	CPUNanoseconds   uint64 // since the cgroup was made
	MemoryBytes      uint64 // with page cache
	WorkingSetBytes  uint64 // without page cache that can go at once
	RSSBytes         uint64
	PageFaults       uint64
	MajorPageFaults  uint64
	Processes        uint64
	MemoryLimitBytes uint64 // 0: not limited
}

// unlimited is above every real limit; the kernel shows "no limit" on version 1 as a number near 2^63.
const unlimited = 1 << 62

// Usage reads what a container uses, by its engine's cgroup parent and ID. IsNotExist errors
// (errors.Is fs.ErrNotExist) mean that it has ended.
func (m *Manager) Usage(parent, containerID string) (Usage, error) {
	return m.read(m.names.Container(parent, containerID))
}

// PodUsage reads what a pod uses as a whole.
func (m *Manager) PodUsage(parent string) (Usage, error) {
	return m.read(m.names.Path(parent))
}

// NodeUsage reads what the whole host uses.
func (m *Manager) NodeUsage() (Usage, error) {
	return m.read("/")
}

func (m *Manager) read(path string) (Usage, error) {
	var usage Usage
	var err error
	if m.version == 2 {
		usage, err = readV2(os.DirFS(filepath.Join(Mount, path)))
	} else {
		usage, err = readV1(func(controller string) fs.FS { return os.DirFS(filepath.Join(Mount, controller, path)) })
	}
	if err != nil {
		return Usage{}, fmt.Errorf("reading cgroup %s: %w", path, err)
	}
	return usage, nil
}

func readV1(controller func(string) fs.FS) (Usage, error) {
	var u Usage
	var errs []error
	number := func(target *uint64, fsys fs.FS, name string) {
		value, err := readNumber(fsys, name)
		*target = value
		errs = append(errs, err)
	}
	number(&u.CPUNanoseconds, controller("cpuacct"), "cpuacct.usage")
	memory := controller("memory")
	number(&u.MemoryBytes, memory, "memory.usage_in_bytes")
	number(&u.MemoryLimitBytes, memory, "memory.limit_in_bytes")
	stat, err := readPairs(memory, "memory.stat")
	errs = append(errs, err)
	u.RSSBytes = stat["total_rss"]
	u.PageFaults, u.MajorPageFaults = stat["total_pgfault"], stat["total_pgmajfault"]
	u.WorkingSetBytes = u.MemoryBytes - min(u.MemoryBytes, stat["total_inactive_file"])
	if u.MemoryLimitBytes >= unlimited {
		u.MemoryLimitBytes = 0
	}
	// The root has no pids.current.
	u.Processes, _ = readNumber(controller("pids"), "pids.current")
	return u, errors.Join(errs...)
}

func readV2(fsys fs.FS) (Usage, error) {
	var u Usage
	cpu, err := readPairs(fsys, "cpu.stat")
	if err != nil {
		return u, err
	}
	u.CPUNanoseconds = cpu["usage_usec"] * 1000
	stat, err := readPairs(fsys, "memory.stat")
	if err != nil {
		return u, err
	}
	u.RSSBytes = stat["anon"]
	u.PageFaults, u.MajorPageFaults = stat["pgfault"], stat["pgmajfault"]
	if u.MemoryBytes, err = readNumber(fsys, "memory.current"); errors.Is(err, fs.ErrNotExist) {
		// The root has no memory.current: the sum of what is accounted is near enough.
		u.MemoryBytes = stat["anon"] + stat["file"]
	} else if err != nil {
		return u, err
	}
	u.WorkingSetBytes = u.MemoryBytes - min(u.MemoryBytes, stat["inactive_file"])
	u.MemoryLimitBytes, _ = readNumber(fsys, "memory.max") // "max" reads as 0
	u.Processes, _ = readNumber(fsys, "pids.current")
	return u, nil
}

func readNumber(fsys fs.FS, name string) (uint64, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return 0, err
	}
	text := strings.TrimSpace(string(data))
	if text == "max" {
		return 0, nil
	}
	value, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return value, nil
}

// readPairs reads a file of lines "name number"; other lines are passed over.
func readPairs(fsys fs.FS, name string) (map[string]uint64, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	result := map[string]uint64{}
	for scanner := bufio.NewScanner(bytes.NewReader(data)); scanner.Scan(); {
		key, text, found := strings.Cut(scanner.Text(), " ")
		if value, err := strconv.ParseUint(text, 10, 64); found && err == nil {
			result[key] = value
		}
	}
	return result, nil
}
