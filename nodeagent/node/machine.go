package node

import (
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Machine is what the kernel says of a machine. What cannot be read is zero.
type Machine struct {
	CPUs                          int
	Memory, MemoryAvailable       int64 // bytes
	Disk, DiskAvailable           int64 // bytes of the node agent's file system
	Inodes, InodesFree            int64
	PIDs, PIDsUsed                int64
	HugePages                     map[string]int64 // bytes, by resource name
	MachineID, SystemUUID, BootID string
}

func readMachine(dir string) Machine {
	m := Machine{
		CPUs:       goruntime.NumCPU(),
		MachineID:  firstLine("/etc/machine-id", "/var/lib/dbus/machine-id"),
		SystemUUID: firstLine("/sys/class/dmi/id/product_uuid", "/etc/machine-id"),
		BootID:     firstLine("/proc/sys/kernel/random/boot_id"),
		HugePages:  readHugePages("/sys/kernel/mm/hugepages"),
	}
	memory := parseMeminfo(read("/proc/meminfo"))
	m.Memory, m.MemoryAvailable = memory["MemTotal"], memory["MemAvailable"]
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err == nil {
		m.Disk, m.DiskAvailable = int64(fs.Blocks)*fs.Bsize, int64(fs.Bavail)*fs.Bsize
		m.Inodes, m.InodesFree = int64(fs.Files), int64(fs.Ffree)
	}
	m.PIDs, _ = strconv.ParseInt(firstLine("/proc/sys/kernel/pid_max"), 10, 64)
	m.PIDsUsed = parseTasks(firstLine("/proc/loadavg"))
	return m
}

func read(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(content)
}

// firstLine returns the first line of the first file that has one.
func firstLine(paths ...string) string {
	for _, path := range paths {
		if line, _, _ := strings.Cut(read(path), "\n"); line != "" {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// parseMeminfo returns the bytes of each line of /proc/meminfo.
func parseMeminfo(text string) map[string]int64 {
	amounts := map[string]int64{}
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if len(fields) != 2 || fields[1] != "kB" {
			continue
		}
		if kib, err := strconv.ParseUint(fields[0], 10, 63-10); err == nil {
			amounts[name] = int64(kib) << 10
		}
	}
	return amounts
}

// parseTasks returns the number of tasks in a line of /proc/loadavg
// ("0.1 0.2 0.3 1/234 5678").
func parseTasks(line string) int64 {
	fields := strings.Fields(line)
	if len(fields) < 4 {
		return 0
	}
	_, total, _ := strings.Cut(fields[3], "/")
	n, err := strconv.ParseUint(total, 10, 63)
	if err != nil {
		return 0
	}
	return int64(n)
}

// readHugePages returns the bytes reserved for each size of huge pages.
func readHugePages(dir string) map[string]int64 {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	pages := map[string]int64{}
	for _, entry := range entries { // hugepages-2048kB
		text, found := strings.CutPrefix(entry.Name(), "hugepages-")
		kib, err := strconv.ParseInt(strings.TrimSuffix(text, "kB"), 10, 64)
		if !found || err != nil {
			continue
		}
		count, _ := strconv.ParseInt(firstLine(filepath.Join(dir, entry.Name(), "nr_hugepages")), 10, 64)
		size := resource.NewQuantity(kib<<10, resource.BinarySI)
		pages[corev1.ResourceHugePagesPrefix+size.String()] = count * kib << 10
	}
	return pages
}
