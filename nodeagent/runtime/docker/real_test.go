package docker

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/nodeagent/cgroups"
	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/runtime/runtimetest"
)

// These are the properties that only a real engine has.

// TestCommand is kube's table of command and args against an image's ENTRYPOINT and CMD.
// [sig-node] Docker Containers should be able to override the image's default command and arguments
func TestCommand(t *testing.T) {
	p := runtimetest.NewPod(t, env(t))
	tests := []struct {
		name          string
		command, args []string
		want          string
	}{
		{"neither", nil, nil, "from the image\n"},
		{"args", nil, []string{"echo", "args"}, "args\n"},
		{"command", []string{"/app", "echo", "command"}, nil, "command\n"},
		{"both", []string{"/app"}, []string{"echo", "both"}, "both\n"},
	}
	for _, tt := range tests {
		config := p.Config(tt.name)
		config.Command, config.Args = tt.command, tt.args
		if _, log := p.RunToEnd(config); log != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, log, tt.want)
		}
	}
	config := p.Config("env", "env", "FROM_IMAGE")
	if _, log := p.RunToEnd(config); log != "yes\n" {
		t.Errorf("the image's environment: %q", log)
	}
	config = p.Config("env-with-dash", "env", "data-1")
	config.Env = []string{"data-1=value"}
	if _, log := p.RunToEnd(config); log != "value\n" {
		t.Errorf("a variable with a dash: %q", log)
	}
}

func TestNamespaces(t *testing.T) {
	p := runtimetest.NewPod(t, env(t))
	server := p.Start(p.Config("server", "serve", "8080"))
	p.Eventually("the server is ready", func(context.Context) bool { return p.Log(server, runtime.LogOptions{}) == "ready\n" })
	link := func(pid int, name string) string {
		target, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, name))
		if err != nil {
			t.Fatal(err)
		}
		return target
	}
	pid := p.Get(server).PID
	for _, name := range []string{"net", "ipc"} {
		if link(pid, name) != link(p.Sandbox.PID, name) || link(pid, name) == link(os.Getpid(), name) {
			t.Errorf("the container has not the sandbox's %s namespace", name)
		}
	}
	if link(pid, "pid") == link(p.Sandbox.PID, "pid") {
		t.Error("the PID namespace is shared, which nobody has asked for")
	}
	if _, log := p.RunToEnd(p.Config("name", "hostname")); log != "test-host\n" {
		t.Errorf("host name: %q", log)
	}
	client, end := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- engine.PortForward(t.Context(), p.Sandbox.ID, 8080, end) }()
	if err := client.SetDeadline(time.Now().Add(runtimetest.Timeout)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(client, "GET / HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(client)
	if err != nil || !strings.HasSuffix(string(answer), "hello") {
		t.Errorf("forwarded: %q, %v", answer, err)
	}
	if err := <-done; err != nil {
		t.Errorf("PortForward: %v", err)
	}
	_, end = net.Pipe()
	if err := engine.PortForward(t.Context(), p.Sandbox.ID, 81, end); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("a port where nobody listens: %v", err)
	}
	// The namespace that CNI gets is the pod's own: loopback is there, and nothing else.
	if err := ns.WithNetNSPath(p.Sandbox.NetNS, func(ns.NetNS) error {
		interfaces, err := net.Interfaces()
		for _, i := range interfaces {
			if i.Name == "lo" && i.Flags&net.FlagUp == 0 {
				t.Error("lo is down")
			}
			if i.Name == "eth0" {
				t.Error("Docker has connected the sandbox to a network of its own")
			}
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// TestSharedPID: the pause process is PID 1 of the pod and reaps.
func TestSharedPID(t *testing.T) {
	p := runtimetest.NewPod(t, env(t), func(c *runtime.SandboxConfig) { c.ShareProcessNamespace = true })
	config := p.Config("app", "read", "/proc/1/cmdline")
	config.Namespaces.SharePID = true
	if _, log := p.RunToEnd(config); log != "/pause\x00" {
		t.Errorf("PID 1 is %q", log)
	}
}

func TestHostNamespaces(t *testing.T) {
	p := runtimetest.NewPod(t, env(t), func(c *runtime.SandboxConfig) { c.HostNetwork, c.HostPID, c.HostIPC = true, true, true })
	config := p.Config("app", "hostname")
	config.Namespaces = runtime.NamespaceOptions{HostNetwork: true, HostPID: true, HostIPC: true}
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if _, log := p.RunToEnd(config); log != name+"\n" {
		t.Errorf("host name %q, want %q", log, name)
	}
	if !p.Sandbox.HostNetwork {
		t.Error("the sandbox does not know that it has the host's network")
	}
}

func TestOOM(t *testing.T) {
	p := runtimetest.NewPod(t, env(t))
	config := p.Config("app", "eat", "200")
	config.Resources.MemoryBytes = 32 << 20
	if ended, log := p.RunToEnd(config); ended.Reason != runtime.ReasonOOMKilled || ended.ExitCode != 137 {
		t.Errorf("it ended with %d, %s, having said %q", ended.ExitCode, ended.Reason, log)
	}
}

// TestNodes: two nodes on one engine do not see each other; the one without a name sees all and makes nothing.
func TestNodes(t *testing.T) {
	p := runtimetest.NewPod(t, env(t))
	for node, sees := range map[string]bool{"another": false, "": true} {
		other, err := New(Config{Host: engine.client.DaemonHost(), Node: node})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		pods, err := other.ListPods(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		found := slices.ContainsFunc(pods, func(pod runtime.Pod) bool { return pod.UID == p.Ref.UID })
		if found != sees {
			t.Errorf("node %q sees the pod: %v, want %v", node, found, sees)
		}
		if node != "" {
			continue
		}
		if _, err := other.CreateSandbox(t.Context(), runtime.SandboxConfig{Pod: p.Ref, Attempt: 9, Image: p.Pause}); err == nil {
			t.Error("a sandbox of no node was made")
		}
	}
}

func TestMounts(t *testing.T) {
	p := runtimetest.NewPod(t, env(t))
	dir := t.TempDir()
	for name, text := range map[string]string{"data": "from the host", "message": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	config := p.Config("app", "read", "/mnt/data")
	config.Mounts = []runtime.Mount{
		{HostPath: dir, ContainerPath: "/mnt", ReadOnly: true},
		{HostPath: filepath.Join(dir, "message"), ContainerPath: "/dev/termination-log"},
		{HostPath: filepath.Join(dir, "data"), ContainerPath: "/etc/hosts", ReadOnly: true},
	}
	ended, log := p.RunToEnd(config)
	if log != "from the host" || ended.TerminationMessageHostPath != filepath.Join(dir, "message") || len(ended.Mounts) != 3 || !ended.Mounts[0].ReadOnly {
		t.Errorf("log %q, container %+v", log, ended)
	}
	config.Name, config.Args = "write", []string{"write", "/mnt/data", "x"}
	if ended, log := p.RunToEnd(config); ended.ExitCode != 1 || !strings.Contains(log, "read-only file system") {
		t.Errorf("a read-only mount: %d %q", ended.ExitCode, log)
	}
	// The hosts file is the caller's, though Docker would put its own there.
	config.Name, config.Args = "hosts", []string{"read", "/etc/hosts"}
	if _, log := p.RunToEnd(config); log != "from the host" {
		t.Errorf("/etc/hosts: %q", log)
	}
	config.Name, config.Args = "term", []string{"write", "/dev/termination-log", "the end"}
	p.RunToEnd(config)
	if message, err := os.ReadFile(filepath.Join(dir, "message")); err != nil || string(message) != "the end" {
		t.Errorf("termination message: %q, %v", message, err)
	}
	config.Name = "missing"
	config.Mounts = []runtime.Mount{{HostPath: filepath.Join(dir, "nothing"), ContainerPath: "/mnt"}}
	if _, err := engine.CreateContainer(t.Context(), config); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("a source that is missing: %v", err)
	}
}

// TestResources reads the limits where the kernel has them, through the pod's cgroup.
func TestResources(t *testing.T) {
	e := env(t)
	info, err := engine.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	manager, err := cgroups.NewManager(cgroups.Driver(info.CgroupDriver), info.CgroupVersion)
	if err != nil {
		t.Fatal(err)
	}
	uid := uuid.NewString()
	parent, err := manager.EnsurePod(t.Context(), corev1.PodQOSBurstable, uid, cgroups.Limits{CPUShares: 512, MemoryBytes: 256 << 20})
	if err != nil {
		t.Skipf("the host's cgroups cannot be written: %v", err)
	}
	t.Cleanup(func() {
		if err := manager.RemovePod(context.Background(), uid); err != nil {
			t.Error(err)
		}
	})
	p := runtimetest.NewPod(t, e, func(c *runtime.SandboxConfig) { c.CgroupParent = parent })
	config := p.Config("app", "sleep")
	config.CgroupParent = parent
	config.Resources = runtime.Resources{CPUShares: 256, CPUQuota: 20000, CPUPeriod: 100000, MemoryBytes: 32 << 20, PidsLimit: 50, OOMScoreAdj: 500}
	id := p.Start(config)
	c := p.Get(id)
	if c.CgroupParent != parent || !cmp.Equal(c.Resources, config.Resources) {
		t.Errorf("read back: %q %+v", c.CgroupParent, c.Resources)
	}
	usage, err := manager.Usage(parent, id)
	if err != nil || usage.MemoryLimitBytes != 32<<20 || usage.MemoryBytes == 0 || usage.Processes == 0 {
		t.Errorf("usage: %+v, %v", usage, err)
	}
	if usage, err := manager.PodUsage(parent); err != nil || usage.MemoryLimitBytes != 256<<20 {
		t.Errorf("the pod's usage: %+v, %v", usage, err)
	}
	score, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", c.PID))
	if err != nil || strings.TrimSpace(string(score)) != "500" {
		t.Errorf("oom_score_adj: %q, %v", score, err)
	}
}

func TestTerminal(t *testing.T) {
	p := runtimetest.NewPod(t, env(t))
	id := p.Start(p.Config("app", "sleep"))
	sizes := make(chan runtime.TerminalSize, 1)
	input, writer := io.Pipe()
	defer writer.Close()
	var out runtimetest.Sink
	done := make(chan error, 1)
	go func() {
		done <- engine.Exec(t.Context(), id, []string{"/app", "size"}, runtime.StreamOptions{Stdin: input, Stdout: &out, TTY: true, Resize: sizes})
	}()
	// The first resize may come before the command listens.
	stop := make(chan struct{})
	go func() {
		for width := uint16(80); ; width++ {
			select {
			case sizes <- runtime.TerminalSize{Width: width, Height: 24}:
			case <-stop:
				return
			}
		}
	}()
	defer close(stop)
	select {
	case err := <-done:
		if err != nil || out.String() != "resized\r\n" {
			t.Errorf("got %q, %v", out.String(), err)
		}
	case <-time.After(runtimetest.Timeout):
		t.Fatal("the terminal was not resized")
	}
	config := p.Config("tty", "both", "out", "err")
	config.TTY = true
	if ended, log := p.RunToEnd(config); log != "out\r\nerr\r\n" || !ended.TTY {
		t.Errorf("log of a terminal: %q", log)
	}
}

// TestLongLines: Docker cuts lines at 16 KiB; a timestamp belongs to the line, not to the piece.
func TestLongLines(t *testing.T) {
	p := runtimetest.NewPod(t, env(t))
	ended, log := p.RunToEnd(p.Config("app", "long", "100000"))
	if log != strings.Repeat("x", 100000)+"\n" {
		t.Errorf("the log has %d bytes", len(log))
	}
	stamped := p.Log(ended.ID, runtime.LogOptions{Timestamps: true})
	if strings.Count(stamped, " ") != 1 || !strings.HasSuffix(stamped, " "+log) {
		t.Errorf("with timestamps it has %d bytes and %d blanks", len(stamped), strings.Count(stamped, " "))
	}
}

func TestPullFails(t *testing.T) {
	env(t)
	_, err := engine.PullImage(t.Context(), "127.0.0.1:1/no/such:image", &runtime.RegistryAuth{Username: "u", Password: "p"}, nil)
	if !runtime.IsUnreachable(err) {
		t.Errorf("a registry that is not there: %v", err)
	}
}

func TestImages(t *testing.T) {
	e := env(t)
	ref := e.Image.RepoTags[0]
	for _, name := range []string{ref, "docker.io/" + ref, e.Image.ID} {
		if image, err := engine.InspectImage(t.Context(), name); err != nil || image.ID != e.Image.ID {
			t.Errorf("%s: %+v, %v", name, image, err)
		}
	}
	if e.Image.SizeBytes == 0 || len(e.Image.Entrypoint) != 1 || e.Image.Entrypoint[0] != "/app" || e.Image.Ref() != e.Image.ID {
		t.Errorf("image: %+v", e.Image)
	}
	list, err := engine.ListImages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, image := range list {
		found = found || image.ID == e.Image.ID
	}
	if !found {
		t.Errorf("%s is not in the list", ref)
	}
	if err := engine.RemoveImage(t.Context(), "skiff-test/no-such-image"); err != nil {
		t.Errorf("removing nothing: %v", err)
	}
}
