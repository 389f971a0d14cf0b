package cgroups

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// write is one value of one cgroup file.
type write struct {
	controller, file, value string
}

// writesV1 returns what limits are in the files of version 1.
func writesV1(l Limits) []write {
	quota := int64(-1)
	if l.CPUQuota > 0 {
		quota = l.CPUQuota
	}
	memory := int64(-1)
	if l.MemoryBytes > 0 {
		memory = l.MemoryBytes
	}
	return []write{
		{"cpu", "cpu.shares", strconv.FormatInt(max(l.CPUShares, minShares), 10)},
		{"cpu", "cpu.cfs_period_us", strconv.FormatInt(l.period(), 10)},
		{"cpu", "cpu.cfs_quota_us", strconv.FormatInt(quota, 10)},
		{"memory", "memory.limit_in_bytes", strconv.FormatInt(memory, 10)},
		{"pids", "pids.max", orMax(l.PidsLimit)},
	}
}

// writesV2 returns what limits are in the files of version 2.
func writesV2(l Limits) []write {
	return []write{
		{"cpu", "cpu.weight", strconv.FormatInt(weight(l.CPUShares), 10)},
		{"cpu", "cpu.max", orMax(l.CPUQuota) + " " + strconv.FormatInt(l.period(), 10)},
		{"memory", "memory.max", orMax(l.MemoryBytes)},
		{"pids", "pids.max", orMax(l.PidsLimit)},
	}
}

// weight turns shares (2 to 262144) into a weight (1 to 10000) in the way that
// container runtimes do, so that pods and containers compare.
func weight(shares int64) int64 {
	return 1 + (max(shares, minShares)-minShares)*9999/(maxShares-minShares)
}

func (l Limits) period() int64 {
	if l.CPUPeriod > 0 {
		return l.CPUPeriod
	}
	return cpuPeriod
}

func orMax(limit int64) string {
	if limit > 0 {
		return strconv.FormatInt(limit, 10)
	}
	return "max"
}

func applyV1(mount, path string, limits Limits) error {
	// cpuacct has no limits, but counts; it is often the same hierarchy as cpu.
	for _, w := range append(writesV1(limits), write{controller: "cpuacct"}) {
		dir := filepath.Join(mount, w.controller, path)
		if _, err := os.Stat(filepath.Join(mount, w.controller)); errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without that controller cannot limit
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if w.file == "" {
			continue
		}
		if err := writeFile(dir, w); err != nil {
			return err
		}
	}
	return nil
}

func applyV2(mount, path string, limits Limits) error {
	dir := mount
	// A controller must be handed down level by level, from the parent, before a child has its files.
	for _, element := range strings.Split(strings.Trim(path, "/"), "/") {
		if err := enableControllers(dir); err != nil {
			return err
		}
		dir = filepath.Join(dir, element)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	// The engine puts containers below, which need the controllers too.
	if err := enableControllers(dir); err != nil {
		return err
	}
	available, err := words(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, w := range writesV2(limits) {
		if !slices.Contains(available, w.controller) {
			continue
		}
		if err := writeFile(dir, w); err != nil {
			return err
		}
	}
	return nil
}

// enableControllers gives the children of a cgroup every controller it has.
func enableControllers(dir string) error {
	available, err := words(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	enabled, err := words(filepath.Join(dir, "cgroup.subtree_control"))
	if err != nil {
		return err
	}
	for _, controller := range available {
		if slices.Contains(enabled, controller) {
			continue
		}
		// One by one: a controller that cannot be handed down (real-time tasks
		// with cpu, say) must not keep the others back.
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
	}
	return nil
}

func words(file string) ([]string, error) {
	data, err := os.ReadFile(file)
	return strings.Fields(string(data)), err
}

func writeFile(dir string, w write) error {
	err := os.WriteFile(filepath.Join(dir, w.file), []byte(w.value), 0o644)
	if errors.Is(err, fs.ErrNotExist) && (w.value == "max" || w.value == "-1") {
		return nil // no such limit, and none is wanted
	}
	if err != nil {
		return fmt.Errorf("writing %q: %w", w.value, err)
	}
	return nil
}
