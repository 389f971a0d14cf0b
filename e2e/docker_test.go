package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDockerRestart restarts the Docker daemon under a running cluster: the node
// agent sees its containers end and starts them anew, and no object is lost. It
// uses a daemon of its own, so that nobody else's containers are touched.
func TestDockerRestart(t *testing.T) {
	requireMachine(t)
	before := machineState(t)
	c := newCluster(t)
	engine := newEngine(t, filepath.Dir(c.dataDir))
	engine.start(t)
	t.Cleanup(func() { engine.stop(t) })
	engine.load(t, "skiff-demo/redis:7")
	purged := false
	purge := func() {
		if purged {
			return
		}
		purged = true
		if r := c.run(t, "down", "--purge", "--grace", "1s", "--docker-host", engine.host); r.err != nil {
			t.Errorf("purging: %v", r.err)
		}
	}
	t.Cleanup(purge)
	c.mustRun(t, "up", "--docker-host", engine.host)
	c.kubectl(t, "apply", "-f", sample("redis-pod.yaml"))
	c.kubectl(t, "wait", "--for=condition=Ready", "pod/redis", "--timeout=60s")

	engine.stop(t)
	c.shows(t, 30*time.Second, "container runtime is down", "get", "nodes", "-o", `jsonpath={.items[0].status.conditions[?(@.type=="Ready")].message}`)
	engine.start(t)
	c.kubectl(t, "wait", "--for=condition=Ready", "node", "--all", "--timeout=60s")
	eventually(t, time.Minute, func() error {
		status := c.try("get", "pod", "redis", "-o", "jsonpath={.status.containerStatuses[0].ready} {.status.containerStatuses[0].restartCount}").stdout
		if status != "true 1" {
			return fmt.Errorf("ready and restarts are %q", status)
		}
		return nil
	})
	c.shows(t, 30*time.Second, "PONG", "exec", "redis", "--", "redis-cli", "ping")
	assertContains(t, c.kubectl(t, "get", "configmaps", "-A"), "kube-root-ca.crt")

	purge()
	engine.stop(t)
	engine.unmount(t)
	assertSameMachine(t, before, machineState(t))
}

// engine is a Docker daemon of the test's own.
type engine struct {
	host string
	dir  string // of its images and containers
	args []string
	cmd  *exec.Cmd
	done chan struct{}
}

func newEngine(t *testing.T, dir string) *engine {
	t.Helper()
	host := "unix://" + filepath.Join(dir, "docker.sock")
	root := filepath.Join(dir, "docker")
	return &engine{host: host, dir: root, args: []string{
		"--host", host, "--data-root", root, "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "docker.pid"),
		// It must neither make a bridge nor remove the one that is there.
		"--bridge", "docker0", "--iptables=false", "--ip-forward=false",
	}}
}

func (e *engine) start(t *testing.T) {
	t.Helper()
	program, err := exec.LookPath("dockerd")
	if err != nil {
		program = "/usr/sbin/dockerd"
	}
	e.cmd = exec.Command(program, e.args...)
	log, err := os.CreateTemp(t.TempDir(), "dockerd")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	e.cmd.Stdout, e.cmd.Stderr = log, log
	if err := e.cmd.Start(); err != nil {
		t.Fatalf("starting a Docker daemon: %v", err)
	}
	e.done = make(chan struct{})
	go func() {
		_ = e.cmd.Wait()
		close(e.done)
	}()
	eventually(t, time.Minute, func() error {
		out, err := e.docker(t.Context(), "version").CombinedOutput()
		if err != nil {
			return fmt.Errorf("docker version: %w: %s", err, out)
		}
		return nil
	})
}

func (e *engine) docker(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "docker", append([]string{"--host", e.host}, args...)...)
}

// load copies an image from the machine's own Docker.
func (e *engine) load(t *testing.T, image string) {
	t.Helper()
	pipe := fmt.Sprintf("docker save %s | docker --host %s load", image, e.host)
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", pipe).CombinedOutput(); err != nil {
		t.Fatalf("loading %s: %v: %s", image, err, strings.TrimSpace(string(out)))
	}
}

// stop ends the daemon; doing it twice does no harm.
func (e *engine) stop(t *testing.T) {
	t.Helper()
	_ = e.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-e.done:
	case <-time.After(time.Minute):
		t.Error("the Docker daemon does not end")
	}
}

// unmount removes what a daemon leaves mounted: its folder, which it mounts on
// itself where it must, and a container that it was making when it was told to end.
func (e *engine) unmount(t *testing.T) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(mounts)), "\n")
	for _, line := range slices.Backward(lines) { // the innermost first
		if fields := strings.Fields(line); fields[1] == e.dir || strings.HasPrefix(fields[1], e.dir+"/") {
			if err := syscall.Unmount(fields[1], syscall.MNT_DETACH); err != nil {
				t.Errorf("unmounting %s: %v", fields[1], err)
			}
		}
	}
}
