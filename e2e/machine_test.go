package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// machineState is everything on the machine that a cluster changes while it runs,
// one named list of lines each.
func machineState(t *testing.T) map[string][]string {
	t.Helper()
	state := map[string][]string{}
	for name, command := range map[string][]string{
		"iptables rules":     {"iptables-save"},
		"ip6tables rules":    {"ip6tables-save"},
		"links":              {"ip", "-o", "link"},
		"addresses":          {"ip", "-o", "addr"},
		"routes":             {"ip", "route", "show", "table", "all"},
		"network namespaces": {"ip", "netns"},
		"containers":         {"docker", "ps", "-aq", "--no-trunc"},
	} {
		out, err := exec.Command(command[0], command[1:]...).Output()
		if err != nil {
			t.Fatalf("%s: %v", strings.Join(command, " "), err)
		}
		state[name] = stable(string(out))
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	state["mounts"] = stable(string(mounts))
	localnet, err := os.ReadFile("/proc/sys/net/ipv4/conf/all/route_localnet")
	if err != nil {
		t.Fatal(err)
	}
	state["routing of loopback addresses"] = stable(string(localnet))
	state[podCgroupsName] = podCgroups()
	return state
}

// volatile is what changes in these listings without anybody's doing: packet
// counters, dates, lifetimes of addresses.
var volatile = regexp.MustCompile(`\[\d+:\d+\]|^#.*$|valid_lft.*|qlen \d+`)

// stable drops what changes by itself, empty tables (iptables-save names a table
// once anybody has looked at it), and the order.
func stable(listing string) []string {
	var lines []string
	for line := range strings.Lines(listing) {
		line = strings.TrimSpace(volatile.ReplaceAllString(strings.TrimRight(line, "\n"), ""))
		if line == "" || strings.HasPrefix(line, "*") || line == "COMMIT" || emptyPolicy.MatchString(line) {
			continue
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

// emptyPolicy is a built-in chain with its default policy.
var emptyPolicy = regexp.MustCompile(`^:[A-Z]+ ACCEPT$`)

const podCgroupsName = "pod cgroups"

func podCgroups() []string {
	out, err := exec.Command("find", "/sys/fs/cgroup", "-maxdepth", "3", "-type", "d", "-name", "kubepods*").Output()
	if err != nil {
		return nil
	}
	return stable(string(out))
}

func assertSameMachine(t *testing.T, before, after map[string][]string) {
	t.Helper()
	for name, was := range before {
		is := after[name]
		for _, line := range is {
			if !slices.Contains(was, line) {
				t.Errorf("%s: left behind: %s", name, line)
			}
		}
		if name == podCgroupsName {
			continue // those of an earlier node agent on this machine go, too
		}
		for _, line := range was {
			if !slices.Contains(is, line) {
				t.Errorf("%s: lost: %s", name, line)
			}
		}
	}
}
