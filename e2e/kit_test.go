package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// cluster drives the cluster under test, in one namespace.
type cluster struct {
	skiff, dataDir, kubeconfig string
	namespace                  string
}

func newCluster(t *testing.T) *cluster {
	dir, err := os.MkdirTemp("", "skiff-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &cluster{
		skiff:      binary(t, "skiff"),
		dataDir:    filepath.Join(dir, "data"),
		kubeconfig: filepath.Join(dir, "kubeconfig"),
		namespace:  metav1.NamespaceDefault,
	}
}

// in returns the cluster with a fresh namespace that is gone after the test.
func (c *cluster) in(t *testing.T) *cluster {
	name := strings.ToLower(t.Name()[strings.LastIndexByte(t.Name(), '/')+1:])
	mine := *c
	mine.namespace = "e2e-" + name
	mine.kubectl(t, "create", "namespace", mine.namespace)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("state at the failure:\n%s", mine.try("get", "pods,services,endpointslices,events", "-o", "wide").text())
		}
		mine.try("delete", "namespace", mine.namespace, "--ignore-not-found", "--wait=false")
	})
	return &mine
}

// result is what a command did.
type result struct {
	stdout, stderr string
	err            error
}

func (r result) text() string { return r.stdout + r.stderr }

// command runs a program with the cluster's kubeconfig.
func (c *cluster) command(ctx context.Context, stdin, name string, args ...string) result {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "SUDO_USER=")
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	return result{stdout: stdout.String(), stderr: stderr.String(), err: err}
}

// try runs kubectl and returns whatever it does.
func (c *cluster) try(args ...string) result {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	return c.command(ctx, "", c.skiff, append([]string{"kubectl", "-n", c.namespace}, args...)...)
}

// kubectl runs kubectl, which must succeed, and returns its output.
func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	r := c.try(args...)
	if r.err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), r.err, r.text())
	}
	return r.stdout
}

// stdin runs kubectl with input, which must succeed.
func (c *cluster) stdin(t *testing.T, input string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	r := c.command(ctx, input, c.skiff, append([]string{"kubectl", "-n", c.namespace}, args...)...)
	if r.err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), r.err, r.text())
	}
	return r.stdout
}

// run runs skiff itself with the cluster's data directory.
func (c *cluster) run(t *testing.T, command string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	r := c.command(ctx, "", c.skiff, append([]string{command, "--data-dir", c.dataDir}, args...)...)
	t.Logf("skiff %s %s: %v\n%s", command, strings.Join(args, " "), r.err, r.text())
	return r
}

func (c *cluster) mustRun(t *testing.T, command string, args ...string) string {
	t.Helper()
	r := c.run(t, command, args...)
	if r.err != nil {
		t.Fatalf("skiff %s failed: %v", command, r.err)
	}
	return r.text()
}

func (c *cluster) purge(t *testing.T) {
	if t.Failed() {
		for _, component := range []string{"nodeagent", "controller-manager", "proxy", "cni", "scheduler"} {
			r := c.command(context.Background(), "", c.skiff, "logs", component, "--data-dir", c.dataDir, "--tail", "30")
			t.Logf("log of %s:\n%s", component, r.text())
		}
	}
	if r := c.run(t, "down", "--purge", "--grace", "1s"); r.err != nil {
		t.Errorf("purging: %v", r.err)
	}
}

// config returns the administrator's client configuration.
func (c *cluster) config(t *testing.T) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		t.Fatalf("reading the kubeconfig: %v", err)
	}
	config.QPS = -1
	return config
}

func (c *cluster) client(t *testing.T) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(c.config(t))
	if err != nil {
		t.Fatalf("building a client: %v", err)
	}
	return client
}

// sample is the path of a file under config/samples.
func sample(name string) string { return filepath.Join("..", "config", "samples", name) }

// eventually waits until check returns nil.
func eventually(t *testing.T, timeout time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(timeout)
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", timeout, err)
		}
		<-ticker.C
	}
}

// shows waits until kubectl prints something that contains want.
func (c *cluster) shows(t *testing.T, timeout time.Duration, want string, args ...string) {
	t.Helper()
	eventually(t, timeout, func() error {
		r := c.try(args...)
		if !strings.Contains(r.text(), want) {
			return fmt.Errorf("kubectl %s does not show %q but:\n%s", strings.Join(args, " "), want, r.text())
		}
		return nil
	})
}

func assertContains(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in:\n%s", want, text)
		}
	}
}
