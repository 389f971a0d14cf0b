package docker

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/runtime/runtimetest"
)

func TestSecurity(t *testing.T) {
	p := runtimetest.NewPod(t, env(t))
	config := p.Config("id", "id")
	config.Security = runtime.SecurityContext{RunAsUser: ptr.To[int64](1000), RunAsGroup: ptr.To[int64](3000), SupplementalGroups: []int64{2000}}
	if ended, log := p.RunToEnd(config); log != "1000 3000 [2000 3000]\n" && log != "1000 3000 [3000 2000]\n" && log != "1000 3000 [2000]\n" {
		t.Errorf("user and groups: %q", log)
	} else if ended.User != "1000:3000" {
		t.Errorf("user: %q", ended.User)
	}
	config = p.Config("read-only", "write", "/data/file", "x")
	config.Security.ReadOnlyRootFS = true
	if ended, log := p.RunToEnd(config); ended.ExitCode != 1 || !strings.Contains(log, "read-only file system") {
		t.Errorf("read-only root: %d %q", ended.ExitCode, log)
	}
	status := func(name string, security runtime.SecurityContext) map[string]string {
		config := p.Config(name, "read", "/proc/self/status")
		config.Security = security
		_, log := p.RunToEnd(config)
		fields := map[string]string{}
		for _, line := range strings.Split(log, "\n") {
			key, value, _ := strings.Cut(line, ":")
			fields[key] = strings.TrimSpace(value)
		}
		return fields
	}
	// [sig-node] Security Context when creating containers with AllowPrivilegeEscalation
	if got := status("no-new-privs", runtime.SecurityContext{NoNewPrivileges: true})["NoNewPrivs"]; got != "1" {
		t.Errorf("NoNewPrivs: %q", got)
	}
	if got := status("unconfined", runtime.SecurityContext{})["Seccomp"]; got != "0" {
		t.Errorf("seccomp by default: %q", got)
	}
	if got := status("seccomp", runtime.SecurityContext{Seccomp: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}})["Seccomp"]; got != "2" {
		t.Errorf("seccomp RuntimeDefault: %q", got)
	}
	caps := status("one-cap", runtime.SecurityContext{DropCapabilities: []corev1.Capability{"ALL"}, AddCapabilities: []corev1.Capability{"NET_ADMIN"}})["CapEff"]
	if caps != "0000000000001000" {
		t.Errorf("capabilities: %q", caps)
	}
}

// TestPrivileged runs where --privileged works and where the host's bounding set makes it fail.
func TestPrivileged(t *testing.T) {
	p := runtimetest.NewPod(t, env(t))
	config := p.Config("app", "sleep")
	config.Security.Privileged = true
	config.Resources.OOMScoreAdj = -997
	id := p.Start(config)
	run := func(arguments ...string) string {
		result, err := engine.ExecSync(t.Context(), id, append([]string{"/app"}, arguments...), 0)
		if err != nil {
			t.Fatal(err)
		}
		return string(result.Stdout) + string(result.Stderr)
	}
	own := readHostFacts().forEngine(engine.client.ClientVersion())
	if got := capabilitiesOf([]byte(run("read", "/proc/self/status")), len(capabilityNames)-1); len(got.capabilities) != len(own.capabilities) {
		t.Errorf("it has %d capabilities, the host %d", len(got.capabilities), len(own.capabilities))
	}
	current := strings.TrimSpace(run("read", "/proc/sys/vm/swappiness"))
	if out := run("write", "/proc/sys/vm/swappiness", current); out != "" {
		t.Errorf("/proc/sys is not writable: %s", out)
	}
	const setting = "/sys/kernel/mm/ksm/sleep_millisecs"
	var sys unix.Statfs_t
	if err := unix.Statfs("/sys", &sys); err != nil {
		t.Fatal(err)
	}
	// Inside a container without the right to it, the engine cannot give it either.
	writable := sys.Flags&unix.ST_RDONLY == 0
	if out := run("write", setting, strings.TrimSpace(run("read", setting))); writable && strings.Contains(out, "read-only") {
		t.Errorf("/sys is not writable: %s", out)
	}
	devices := hostDevices("/dev")
	if len(devices) == 0 {
		t.Fatal("the host has no devices")
	}
	for _, device := range devices {
		if out := run("stat", device); !strings.HasPrefix(out, "D") {
			t.Errorf("%s: %s", device, out)
		}
	}
}
