package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// testRedisPod is a newcomer's first quarter of an hour with one pod.
func testRedisPod(t *testing.T, c *cluster) {
	c.kubectl(t, "apply", "-f", sample("redis-pod.yaml"))
	c.kubectl(t, "wait", "--for=condition=Ready", "pod/redis", "--timeout=60s")

	assertContains(t, c.kubectl(t, "get", "pod", "redis"), "NAME", "READY", "STATUS", "RESTARTS", "AGE", "1/1", "Running")
	assertContains(t, c.kubectl(t, "describe", "pod", "redis"), "Scheduled", "Pulled", "Created", "Started", "skiff-demo/redis:7", "QoS Class")
	assertContains(t, c.kubectl(t, "logs", "redis"), "Ready to accept connections")
	assertContains(t, c.kubectl(t, "logs", "redis", "--tail=1", "--timestamps"), "T")
	if got := c.kubectl(t, "exec", "redis", "--", "redis-cli", "set", "ship", "skiff"); strings.TrimSpace(got) != "OK" {
		t.Errorf("redis-cli set printed %q", got)
	}
	if r := c.try("exec", "redis", "--", "sh", "-c", "exit 7"); r.err == nil || !strings.Contains(r.text(), "exit code 7") {
		t.Errorf("the exit code of a command does not arrive: %v %s", r.err, r.text())
	}
	if got := c.stdin(t, "get ship\n", "exec", "-i", "redis", "--", "redis-cli"); strings.TrimSpace(got) != "skiff" {
		t.Errorf("redis-cli over standard input printed %q", got)
	}
	followLogs(t, c)
	portForward(t, c)
	copyFiles(t, c)
	c.kubectl(t, "delete", "pod", "redis", "--timeout=60s")
	if r := c.try("get", "pod", "redis"); !strings.Contains(r.text(), `pods "redis" not found`) {
		t.Errorf("after delete, get printed %q", r.text())
	}
}

// followLogs sees a line that is written after `logs -f` has started.
func followLogs(t *testing.T, c *cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.skiff, "kubectl", "--kubeconfig", c.kubeconfig, "-n", c.namespace, "logs", "-f", "--since=1h", "redis")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found := make(chan bool, 1)
	go func() {
		buffer, seen := make([]byte, 4096), ""
		for {
			n, err := pipe.Read(buffer)
			seen += string(buffer[:n])
			if strings.Contains(seen, "DB saved on disk") {
				found <- true
				return
			}
			if err != nil {
				found <- false
				return
			}
		}
	}()
	c.kubectl(t, "exec", "redis", "--", "redis-cli", "save")
	if !<-found {
		t.Error("logs -f did not show what redis logged meanwhile")
	}
	cancel()
	_ = cmd.Wait()
}

// portForward talks to redis through a local port.
func portForward(t *testing.T, c *cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.skiff, "kubectl", "--kubeconfig", c.kubeconfig, "-n", c.namespace, "port-forward", "redis", ":6379")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	buffer := make([]byte, 4096)
	n, err := pipe.Read(buffer)
	if err != nil {
		t.Fatalf("port-forward printed nothing: %v", err)
	}
	match := regexp.MustCompile(`127\.0\.0\.1:(\d+) -> 6379`).FindSubmatch(buffer[:n])
	if match == nil {
		t.Fatalf("port-forward printed %q", buffer[:n])
	}
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", string(match[1])))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "PING\r\n")
	if n, err = conn.Read(buffer); err != nil || !strings.HasPrefix(string(buffer[:n]), "+PONG") {
		t.Errorf("through port-forward redis answered %q, %v", buffer[:n], err)
	}
}

// copyFiles copies a file into the pod and back.
func copyFiles(t *testing.T, c *cluster) {
	t.Helper()
	dir := t.TempDir()
	local, back := filepath.Join(dir, "local"), filepath.Join(dir, "back")
	content := strings.Repeat("cargo\n", 20000)
	if err := os.WriteFile(local, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	c.kubectl(t, "cp", local, c.namespace+"/redis:/data/copied")
	c.kubectl(t, "cp", c.namespace+"/redis:/data/copied", back)
	if got, err := os.ReadFile(back); err != nil || string(got) != content {
		t.Errorf("a file came back changed: %d bytes, %v", len(got), err)
	}
}

// testReplicationController deletes the pod of a controller and sees another.
func testReplicationController(t *testing.T, c *cluster) {
	c.kubectl(t, "apply", "-f", sample("redis-rc.yaml"))
	c.shows(t, time.Minute, "1 current / 1 desired", "describe", "rc", "redis-rc")
	c.kubectl(t, "wait", "--for=condition=Ready", "pod", "-l", "app=redis-rc", "--timeout=60s")
	first := c.kubectl(t, "get", "pod", "-l", "app=redis-rc", "-o", "jsonpath={.items[0].metadata.name}")
	c.kubectl(t, "delete", "pod", first, "--timeout=60s")
	eventually(t, time.Minute, func() error {
		now := c.try("get", "pod", "-l", "app=redis-rc", "-o", `jsonpath={range .items[*]}{.metadata.name}/{.status.phase} {end}`).stdout
		if strings.Contains(now, first) || strings.Count(now, "/Running") != 1 {
			return fmt.Errorf("pods are %q", now)
		}
		return nil
	})
	assertContains(t, c.kubectl(t, "describe", "rc", "redis-rc"), "SuccessfulCreate", "Created pod: redis-rc-")
	c.kubectl(t, "scale", "rc", "redis-rc", "--replicas=0")
	c.shows(t, time.Minute, "No resources found", "get", "pods", "-l", "app=redis-rc")
}

// testFreshImage runs an image that `docker build` has just made, with no step in
// between.
func testFreshImage(t *testing.T, c *cluster) {
	const image = "skiff-e2e-fresh:1"
	build := exec.CommandContext(t.Context(), "docker", "build", "-q", "-t", image, "-")
	build.Stdin = strings.NewReader("FROM skiff-demo/testapp:v1\nENV TESTAPP_VERSION=fresh\n")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("docker build: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", "-f", image).Run() })
	c.kubectl(t, "run", "fresh", "--image="+image)
	c.shows(t, 30*time.Second, "fresh serves on port 8080", "logs", "fresh")
	c.kubectl(t, "delete", "pod", "fresh", "--grace-period=0", "--force")
}

// testAttach talks to the first process of a container, and runs a pod to its end
// in the foreground.
func testAttach(t *testing.T, c *cluster) {
	out := c.stdin(t, "ahoy\n", "run", "parrot", "-i", "--rm", "--restart=Never", "--image=skiff-demo/testapp:v1", "--command", "--", "sh", "-c", "read line; echo heard $line")
	assertContains(t, out, "heard ahoy")
	if r := c.try("get", "pod", "parrot"); !strings.Contains(r.text(), "not found") {
		t.Errorf("run --rm left the pod: %s", r.text())
	}
}
