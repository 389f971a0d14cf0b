package docker

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	testPod   = runtime.PodRef{UID: "uid-1", Namespace: "shop", Name: "web-0"}
	fullHost  = hostFacts{capabilities: capabilityNames}
	smallHost = hostFacts{capabilities: []string{"CHOWN", "NET_ADMIN", "SYS_ADMIN"}, missing: true, devices: []string{"/dev/fuse", "/dev/null"}}
)

func testTranslator(facts hostFacts) translator {
	return translator{node: "node-1", facts: facts, readProfile: func(path string) (string, error) {
		if path == "/profiles/good.json" {
			return `{"defaultAction":"SCMP_ACT_ALLOW"}`, nil
		}
		return "", errors.New("no such file")
	}}
}

func fullContainer() runtime.ContainerConfig {
	return runtime.ContainerConfig{
		Pod: testPod, Name: "web", Kind: runtime.KindRegular, Attempt: 3, SandboxID: "sandbox-1",
		Image: "nginx:1", ImageID: "sha256:aaaa", ImageRef: "nginx@sha256:bbbb",
		Command: []string{"/bin/web"}, Args: []string{"-v", "2"}, Env: []string{"A=1", "data-1=x"}, WorkingDir: "/srv",
		Mounts: []runtime.Mount{
			{HostPath: "/var/lib/kubelet/pods/uid-1/volumes/a", ContainerPath: "/a"},
			{HostPath: "/b", ContainerPath: "/b", ReadOnly: true, Propagation: corev1.MountPropagationHostToContainer},
			{HostPath: "/c", ContainerPath: "/c", RecursiveReadOnly: true},
			{HostPath: "/d", ContainerPath: "/d", Propagation: corev1.MountPropagationBidirectional},
		},
		Devices: []runtime.Device{{HostPath: "/dev/loop0", ContainerPath: "/dev/xvda", Permissions: "rw"}},
		Stdin:   true, StdinOnce: true, TTY: true,
		Resources: runtime.Resources{CPUShares: 512, CPUQuota: 50000, CPUPeriod: 100000, MemoryBytes: 64 << 20, PidsLimit: 100, CpusetCpus: "0", OOMScoreAdj: 900},
		Security: runtime.SecurityContext{
			RunAsUser: ptr.To[int64](1000), RunAsGroup: ptr.To[int64](3000), SupplementalGroups: []int64{2000, 4000},
			AddCapabilities: []corev1.Capability{"NET_ADMIN", "CAP_SYS_TIME"}, DropCapabilities: []corev1.Capability{"all"},
			ReadOnlyRootFS: true, NoNewPrivileges: true, Seccomp: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			AppArmor: &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: ptr.To("my-profile")},
			SELinux:  &corev1.SELinuxOptions{Level: "s0:c1,c2", Type: "container_t"},
		},
		CgroupParent: "/kubepods/burstable/poduid-1", StopSignal: "SIGUSR1",
		SpecHash: "hash-1", GracePeriodSeconds: ptr.To[int64](30), TerminationMessagePath: "/dev/termination-log",
		TerminationMessagePolicy: corev1.TerminationMessageReadFile, Labels: map[string]string{"team": "shop"},
	}
}

// changed is fullContainer in small, with one change.
func changed(change func(*runtime.ContainerConfig)) runtime.ContainerConfig {
	c := runtime.ContainerConfig{Pod: testPod, Name: "web", Kind: runtime.KindRegular, SandboxID: "sandbox-1", Image: "nginx:1", ImageID: "sha256:aaaa"}
	change(&c)
	return c
}

func TestTranslateContainer(t *testing.T) {
	tests := []struct {
		name   string
		facts  hostFacts
		config runtime.ContainerConfig
	}{
		{"container-minimal", fullHost, changed(func(*runtime.ContainerConfig) {})},
		{"container-full", fullHost, fullContainer()},
		{"container-host-namespaces", fullHost, changed(func(c *runtime.ContainerConfig) {
			c.Namespaces = runtime.NamespaceOptions{HostNetwork: true, HostPID: true, HostIPC: true}
		})},
		{"container-shared-pid", fullHost, changed(func(c *runtime.ContainerConfig) { c.Namespaces.SharePID = true })},
		{"container-target-pid", fullHost, changed(func(c *runtime.ContainerConfig) {
			c.Kind, c.Namespaces.TargetContainerID = runtime.KindEphemeral, "other-1"
		})},
		{"container-group-only", fullHost, changed(func(c *runtime.ContainerConfig) { c.Security.RunAsGroup = ptr.To[int64](7) })},
		{"container-privileged", fullHost, changed(func(c *runtime.ContainerConfig) { c.Security.Privileged = true })},
		{"container-privileged-small-host", smallHost, changed(func(c *runtime.ContainerConfig) { c.Security.Privileged = true })},
		{"container-all-capabilities-small-host", smallHost, changed(func(c *runtime.ContainerConfig) {
			c.Security.AddCapabilities = []corev1.Capability{"ALL"}
		})},
		{"container-guaranteed-small-host", smallHost, changed(func(c *runtime.ContainerConfig) { c.Resources.OOMScoreAdj = -997 })},
		{"container-unmasked-proc", fullHost, changed(func(c *runtime.ContainerConfig) {
			c.Security.UnmaskedProc = true
			c.Security.AppArmor = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
		})},
		{"container-local-seccomp", fullHost, changed(func(c *runtime.ContainerConfig) {
			c.Security.Seccomp = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: ptr.To("/profiles/good.json")}
		})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body, err := testTranslator(tt.facts).container(&tt.config)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, tt.name, body)
		})
	}
}

func TestTranslateSandbox(t *testing.T) {
	tests := []struct {
		name   string
		facts  hostFacts
		config runtime.SandboxConfig
	}{
		{"sandbox", fullHost, runtime.SandboxConfig{Pod: testPod, Attempt: 1, Image: "skiff/pause:1", Hostname: "web-0",
			CgroupParent: "/kubepods/poduid-1", Sysctls: map[string]string{"net.core.somaxconn": "1024"}, Labels: map[string]string{"a": "b"}}},
		{"sandbox-host", smallHost, runtime.SandboxConfig{Pod: testPod, Image: "skiff/pause:1", Hostname: "node", HostNetwork: true, HostIPC: true, HostPID: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			golden(t, tt.name, testTranslator(tt.facts).sandbox(&tt.config))
		})
	}
}

func TestTranslateRefuses(t *testing.T) {
	tests := []struct {
		name   string
		config runtime.ContainerConfig
		err    string
	}{
		{"propagation", changed(func(c *runtime.ContainerConfig) {
			c.Mounts = []runtime.Mount{{HostPath: "/a", ContainerPath: "/b", Propagation: "Sideways"}}
		}), `mount propagation "Sideways" of /b is unknown`},
		{"seccomp file", changed(func(c *runtime.ContainerConfig) {
			c.Security.Seccomp = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: ptr.To("/profiles/bad.json")}
		}), `cannot load seccomp profile "/profiles/bad.json": no such file`},
		{"seccomp name", changed(func(c *runtime.ContainerConfig) {
			c.Security.Seccomp = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost}
		}), "seccomp profile type Localhost has no localhostProfile"},
		{"seccomp type", changed(func(c *runtime.ContainerConfig) { c.Security.Seccomp = &corev1.SeccompProfile{Type: "Other"} }),
			`seccomp profile type "Other" is unknown`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := testTranslator(fullHost).container(&tt.config)
			if !runtime.IsInvalid(err) || err.Error() != tt.err {
				t.Errorf("got %v, want %s", err, tt.err)
			}
		})
	}
}

// golden compares with a file of testdata; -update writes it.
func golden(t *testing.T, name string, body createBody) {
	t.Helper()
	got, err := json.MarshalIndent(body, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "golden", name+".json")
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("%s (-want +got, -update accepts):\n%s", file, diff)
	}
}

// TestLabels proves that what goes in as labels comes back.
func TestLabels(t *testing.T) {
	config := fullContainer()
	var got runtime.Container
	if err := fromLabels(&got, containerLabels("node-1", &config)); err != nil {
		t.Fatal(err)
	}
	want := runtime.Container{
		Name: "web", Kind: runtime.KindRegular, Pod: testPod, Attempt: 3, SandboxID: "sandbox-1", Image: "nginx:1", ImageRef: "nginx@sha256:bbbb",
		SpecHash: "hash-1", GracePeriodSeconds: ptr.To[int64](30), TerminationMessagePath: "/dev/termination-log",
		TerminationMessagePolicy: corev1.TerminationMessageReadFile, Labels: map[string]string{"team": "shop"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if name := containerName("web", testPod, 3); name != "k8s_web_web-0_shop_uid-1_3" {
		t.Errorf("name: %s", name)
	}
	if err := fromLabels(&got, map[string]string{labelAttempt: "many"}); err == nil {
		t.Error("a label that is no number was read")
	}
}

func TestCapabilities(t *testing.T) {
	const status = "Name:\tx\nCapPrm:\t0000000000000000\nCapBnd:\t000001fffeffffff\n"
	facts := capabilitiesOf([]byte(status), 40)
	if facts.allCapabilities() || slices.Contains(facts.capabilities, "SYS_RESOURCE") || len(facts.capabilities) != 40 {
		t.Errorf("without SYS_RESOURCE: %+v", facts)
	}
	if got := facts.clampOOMScoreAdj(-998); got != 0 {
		t.Errorf("clamped to %d", got)
	}
	facts = capabilitiesOf([]byte("CapBnd:\t0000003fffffffff\n"), 37)
	if !facts.allCapabilities() || len(facts.capabilities) != 38 {
		t.Errorf("an older kernel with all it knows: %+v", facts)
	}
	if got := len((hostFacts{capabilities: capabilityNames}).forEngine("1.41").capabilities); got != 38 {
		t.Errorf("an engine of API 1.41 is told of %d capabilities", got)
	}
	if got := facts.clampOOMScoreAdj(-998); got != -998 {
		t.Errorf("clamped to %d", got)
	}
}

func TestPullError(t *testing.T) {
	tests := map[string]func(error) bool{
		"Error response from daemon: manifest for nginx:nope not found: manifest unknown: manifest unknown":                                          runtime.IsNotFound,
		"Error response from daemon: pull access denied for nope, repository does not exist or may require 'docker login': denied":                   runtime.IsNotFound,
		`Error response from daemon: Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host`:                    runtime.IsUnreachable,
		`Error response from daemon: Get "https://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused`:                               runtime.IsUnreachable,
		`Error response from daemon: Get "https://r.example/v2/": net/http: request canceled while waiting for connection (Client.Timeout exceeded)`: runtime.IsUnreachable,
		"Error response from daemon: Head https://ghcr.io/v2/x/manifests/1: unauthorized: authentication required":                                   runtime.IsUnauthorized,
		"Error response from daemon: toomanyrequests: You have reached your pull rate limit":                                                         func(err error) bool { return !runtime.IsNotFound(err) && !runtime.IsUnreachable(err) },
	}
	for text, is := range tests {
		err := pullError(errors.New(text))
		if !is(err) {
			t.Errorf("%q has the wrong kind", text)
		}
		if err.Error() == text {
			t.Errorf("%q still has the client's words", text)
		}
	}
}

// TestStateOf: what Docker no longer runs has ended, whatever Docker calls it.
func TestStateOf(t *testing.T) {
	const began = "2026-01-02T03:04:05Z"
	for name, test := range map[string]struct {
		state  container.State
		want   runtime.State
		failed bool
	}{
		"running":      {container.State{Status: container.StateRunning, StartedAt: began}, runtime.StateRunning, false},
		"exited":       {container.State{Status: container.StateExited, StartedAt: began}, runtime.StateExited, false},
		"dead":         {container.State{Status: container.StateDead, StartedAt: began}, runtime.StateExited, false},
		"removing":     {container.State{Status: container.StateRemoving, StartedAt: began}, runtime.StateExited, false},
		"created":      {container.State{Status: container.StateCreated}, runtime.StateCreated, false},
		"start failed": {container.State{Status: container.StateCreated, ExitCode: 127}, runtime.StateExited, true},
		"restarting":   {container.State{Status: container.StateRestarting, StartedAt: began}, runtime.StateUnknown, false},
	} {
		if got, failed := stateOf(&test.state); got != test.want || failed != test.failed {
			t.Errorf("%s: %s, %v", name, got, failed)
		}
	}
}
