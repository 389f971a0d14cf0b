package docker

import (
	"bufio"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/versions"
	"golang.org/x/sys/unix"
)

// hostFacts are what the host lets containers have.
type hostFacts struct {
	// capabilities of the bounding set, without "CAP_", in the kernel's order.
	capabilities []string
	// missing is set if the bounding set lacks some that Docker asks for with --privileged.
	missing bool
	// devices in /dev, for containers that get all of them.
	devices []string
}

// capabilityNames in the kernel's order (capabilities(7)).
var capabilityNames = []string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
	"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
	"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
	"MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
}

// readHostFacts reads them from this process, which shares its fate with the
// engine: a host takes capabilities away from all.
func readHostFacts() hostFacts {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return hostFacts{capabilities: capabilityNames}
	}
	last, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	lastCap, convErr := strconv.Atoi(strings.TrimSpace(string(last)))
	if err != nil || convErr != nil {
		lastCap = len(capabilityNames) - 1
	}
	facts := capabilitiesOf(status, lastCap)
	if facts.missing {
		facts.devices = hostDevices("/dev")
	}
	return facts
}

// capabilitiesOf reads the bounding set from the text of /proc/<pid>/status; lastCap is the kernel's highest capability.
func capabilitiesOf(status []byte, lastCap int) hostFacts {
	var set uint64
	for scanner := bufio.NewScanner(bytes.NewReader(status)); scanner.Scan(); {
		if text, found := strings.CutPrefix(scanner.Text(), "CapBnd:"); found {
			set, _ = strconv.ParseUint(strings.TrimSpace(text), 16, 64)
		}
	}
	var facts hostFacts
	for number, name := range capabilityNames {
		switch {
		case number > lastCap:
		case set&(1<<number) != 0:
			facts.capabilities = append(facts.capabilities, name)
		default:
			facts.missing = true
		}
	}
	return facts
}

// newestCapabilities are unknown to engines before API 1.42, which refuse their names.
var newestCapabilities = []string{"PERFMON", "BPF", "CHECKPOINT_RESTORE"}

// forEngine leaves out what an engine of that API version has no name for.
func (f hostFacts) forEngine(apiVersion string) hostFacts {
	if versions.GreaterThanOrEqualTo(apiVersion, "1.42") {
		return f
	}
	f.capabilities = slices.DeleteFunc(slices.Clone(f.capabilities), func(name string) bool { return slices.Contains(newestCapabilities, name) })
	return f
}

func (f hostFacts) allCapabilities() bool { return !f.missing }

// clampOOMScoreAdj returns the nearest value that the kernel lets a container
// have: without CAP_SYS_RESOURCE nobody may go below zero.
func (f hostFacts) clampOOMScoreAdj(value int) int {
	if value < 0 && !slices.Contains(f.capabilities, "SYS_RESOURCE") {
		return 0
	}
	return value
}

// hostDevices lists the device nodes of dir, without those that every container has of its own.
func hostDevices(dir string) []string {
	var devices []string
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // a device that has just gone
		}
		if entry.IsDir() {
			switch entry.Name() {
			case "pts", "shm", "fd", "mqueue":
				return fs.SkipDir
			}
			return nil
		}
		if path == filepath.Join(dir, "console") {
			return nil
		}
		var stat unix.Stat_t
		if unix.Lstat(path, &stat) == nil && (stat.Mode&unix.S_IFMT == unix.S_IFCHR || stat.Mode&unix.S_IFMT == unix.S_IFBLK) {
			devices = append(devices, path)
		}
		return nil
	})
	return devices
}
