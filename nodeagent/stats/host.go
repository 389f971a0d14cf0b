package stats

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
	"k8s.io/utils/ptr"
)

// network reads a net/dev file of /proc; nil if it is gone.
func network(file string, now metav1.Time) *statsapi.NetworkStats {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return networkFrom(data, now)
}

// networkFrom reads lines "eth0: bytes packets errs drop fifo frame compressed multicast bytes packets errs ...".
func networkFrom(data []byte, now metav1.Time) *statsapi.NetworkStats {
	stats := &statsapi.NetworkStats{Time: now}
	for scanner := bufio.NewScanner(bytes.NewReader(data)); scanner.Scan(); {
		name, rest, found := strings.Cut(scanner.Text(), ":")
		fields := strings.Fields(rest)
		name = strings.TrimSpace(name)
		if !found || len(fields) < 11 || name == "lo" {
			continue
		}
		number := func(i int) *uint64 {
			value, err := strconv.ParseUint(fields[i], 10, 64)
			if err != nil {
				return nil
			}
			return &value
		}
		one := statsapi.InterfaceStats{Name: name, RxBytes: number(0), RxErrors: number(2), TxBytes: number(8), TxErrors: number(10)}
		stats.Interfaces = append(stats.Interfaces, one)
		if name == "eth0" {
			stats.InterfaceStats = one
		}
	}
	return stats
}

// fileSystem reads how full the file system of dir is; nil if it cannot be read.
func fileSystem(dir string, now metav1.Time) *statsapi.FsStats {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return nil
	}
	block := uint64(s.Bsize)
	return &statsapi.FsStats{
		Time:           now,
		CapacityBytes:  ptr.To(s.Blocks * block),
		AvailableBytes: ptr.To(s.Bavail * block),
		UsedBytes:      ptr.To((s.Blocks - s.Bfree) * block),
		Inodes:         ptr.To(s.Files),
		InodesFree:     ptr.To(s.Ffree),
		InodesUsed:     ptr.To(s.Files - s.Ffree),
	}
}
