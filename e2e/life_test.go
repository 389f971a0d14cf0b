package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testUp starts the cluster and looks at it with plain kubectl.
func testUp(t *testing.T, c *cluster) {
	out := c.mustRun(t, "up")
	assertContains(t, out, "certificates", "etcd and API server", "Ready", "The cluster is up")
	assertContains(t, c.kubectl(t, "get", "nodes"), " Ready ", "v1.37.")
	if got := strings.TrimSpace(c.kubectl(t, "config", "current-context")); got != "skiff" {
		t.Errorf("the current context is %q", got)
	}
	assertContains(t, c.mustRun(t, "status"), "runs since", "MiB RSS", "of a core", "all is well")
	for _, component := range []string{"", "apiserver", "nodeagent"} {
		args := []string{"--tail", "3"}
		if component != "" {
			args = append(args, component)
		}
		if r := c.run(t, "logs", args...); r.err != nil {
			t.Errorf("logs %s: %v", component, r.err)
		}
	}
}

func testSecondUp(t *testing.T, c *cluster) {
	assertContains(t, c.mustRun(t, "up"), "skiff already runs")
}

// pid of the process under test.
func (c *cluster) pid(t *testing.T) int {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(c.dataDir, "skiff.lock"))
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal(content, &info); err != nil {
		t.Fatal(err)
	}
	return info.PID
}

// settler is a redis that holds something which only its process remembers.
func (c *cluster) settle(t *testing.T) {
	t.Helper()
	c.kubectl(t, "apply", "-f", sample("redis-pod.yaml"))
	c.kubectl(t, "wait", "--for=condition=Ready", "pod/redis", "--timeout=60s")
	c.kubectl(t, "exec", "redis", "--", "redis-cli", "set", "memory", "kept")
}

// testKill kills the process: after `up` every object is there, and the container
// that ran is the same one, still running.
func testKill(t *testing.T, c *cluster) {
	c.settle(t)
	containerID := func() string {
		return c.kubectl(t, "get", "pod", "redis", "-o", "jsonpath={.status.containerStatuses[0].containerID}")
	}
	before := containerID()
	objects := c.kubectl(t, "get", "configmaps,secrets,services,serviceaccounts,clusterroles", "-A", "-o", "name")
	pid := c.pid(t)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, func() error {
		if r := c.run(t, "status"); !strings.Contains(r.text(), "does not run") {
			return fmt.Errorf("process %d still runs: %s", pid, r.text())
		}
		return nil
	})
	id := strings.TrimPrefix(before, "docker://")
	if out, err := exec.Command("docker", "inspect", "-f", "{{.State.Running}}", id).Output(); err != nil || strings.TrimSpace(string(out)) != "true" {
		t.Errorf("the container does not run while skiff is away: %s %v", out, err)
	}
	c.mustRun(t, "up")
	if after := containerID(); after != before {
		t.Errorf("the container was replaced: %s, then %s", before, after)
	}
	c.shows(t, 30*time.Second, "kept", "exec", "redis", "--", "redis-cli", "get", "memory")
	if now := c.kubectl(t, "get", "configmaps,secrets,services,serviceaccounts,clusterroles", "-A", "-o", "name"); now != objects {
		t.Errorf("objects changed:\n%s\nnow:\n%s", objects, now)
	}
	c.kubectl(t, "wait", "--for=condition=Ready", "pod/redis", "--timeout=60s")
	if n := c.kubectl(t, "get", "pod", "redis", "-o", "jsonpath={.status.containerStatuses[0].restartCount}"); n != "0" {
		t.Errorf("the restart count is %s", n)
	}
}

// testDownAndUp: down removes what runs and keeps what is known.
func testDownAndUp(t *testing.T, c *cluster) {
	c.mustRun(t, "down")
	if out, err := exec.Command("docker", "ps", "-q", "--filter", "label=io.kubernetes.pod.name").Output(); err != nil || len(out) > 0 {
		t.Errorf("down left containers: %s %v", out, err)
	}
	c.mustRun(t, "up")
	assertContains(t, c.kubectl(t, "get", "nodes"), " Ready ") // at once: up has waited for it
	c.kubectl(t, "wait", "--for=condition=Ready", "pod/redis", "--timeout=60s")
	c.shows(t, 30*time.Second, "PONG", "exec", "redis", "--", "redis-cli", "ping")
	c.kubectl(t, "delete", "pod", "redis", "--timeout=60s")
	c.mustRun(t, "down")
}

// testRefusals: what cannot work says so in one sentence, and changes nothing.
func testRefusals(t *testing.T, c *cluster) {
	refused := func(name, want string, args ...string) {
		t.Run(name, func(t *testing.T) {
			before := machineState(t)
			dir := filepath.Join(t.TempDir(), "data")
			ctx := t.Context()
			r := c.command(ctx, "", c.skiff, append([]string{"up", "--data-dir", dir}, args...)...)
			if r.err == nil {
				t.Fatalf("up succeeded: %s", r.text())
			}
			assertContains(t, r.text(), want)
			assertSameMachine(t, before, machineState(t))
		})
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	refused("PortInUse", "port "+port+" is in use", "--secure-port", port)
	refused("NoDocker", "no Docker Engine answers", "--docker-host", "unix:///nonexistent/docker.sock")
	refused("BadFlag", "--cluster-cidr", "--cluster-cidr", "10.244.0.1/16")
	refused("Overlap", "overlaps", "--cluster-cidr", "10.96.0.0/12")

	newer := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(newer, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(newer, "format.json"), []byte(`{"format":99,"writer":"v9"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("NewerData", "was written by a newer skiff (v9", "--data-dir", newer)

	full := t.TempDir()
	if err := syscall.Mount("tmpfs", full, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatalf("mounting a small disk: %v", err)
	}
	defer func() { _ = syscall.Unmount(full, 0) }()
	refused("FullDisk", "is full", "--data-dir", full)
	notRoot(t, c)
}

// notRoot runs up as another user.
func notRoot(t *testing.T, c *cluster) {
	t.Run("NotRoot", func(t *testing.T) {
		program := filepath.Join(t.TempDir(), "skiff")
		if err := exec.Command("cp", c.skiff, program).Run(); err != nil {
			t.Fatal(err)
		}
		for dir := filepath.Dir(program); dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.CommandContext(t.Context(), program, "up", "--data-dir", "/tmp/never-made")
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if err == nil {
			t.Fatalf("up succeeded: %s", out)
		}
		assertContains(t, string(out), "needs root")
	})
}
