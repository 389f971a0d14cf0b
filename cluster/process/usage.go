package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTicks is USER_HZ, which Linux fixes at 100 for user space.
const clockTicks = 100

// Usage is what a process has consumed.
type Usage struct {
	RSS int64         // bytes of resident memory, file pages included
	CPU time.Duration // user and system time since its start
}

// UsageOf reads the usage of pid from /proc.
func UsageOf(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("reading process usage: %w", err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("reading process usage: %w", err)
	}
	cpu, err := parseCPU(stat)
	if err != nil {
		return Usage{}, err
	}
	rss, err := parseRSS(status)
	if err != nil {
		return Usage{}, err
	}
	return Usage{RSS: rss, CPU: cpu}, nil
}

// parseCPU reads utime and stime of /proc/PID/stat. The command name, in
// parentheses, may itself contain spaces and parentheses.
func parseCPU(stat []byte) (time.Duration, error) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, fmt.Errorf("parsing process stat: no command name in %q", stat)
	}
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("parsing process stat: %d fields after the command name, want at least 13", len(fields))
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("parsing process stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / clockTicks, nil
}

func parseRSS(status []byte) (int64, error) {
	for line := range strings.Lines(string(status)) {
		rest, found := strings.CutPrefix(line, "VmRSS:")
		if !found {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("parsing process status: %w", err)
		}
		return kib << 10, nil
	}
	return 0, fmt.Errorf("parsing process status: no VmRSS line")
}
