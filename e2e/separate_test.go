package e2e

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/skiff-project/skiff/cluster/pki"
)

// TestSeparateProcesses runs each component as a process of its own, over TLS and
// with kubeconfigs, as on machines of their own: the same code does the same.
func TestSeparateProcesses(t *testing.T) {
	requireMachine(t)
	c := newCluster(t)
	address, err := utilnet.ChooseHostInterface()
	if err != nil {
		t.Fatal(err)
	}
	ip, _ := netip.AddrFromSlice(address)
	files, err := pki.Ensure(filepath.Join(c.dataDir, "pki"), pki.Config{
		NodeName: "separate", NodeIPs: []netip.Addr{ip.Unmap()}, ServiceIPs: []netip.Addr{netip.MustParseAddr("10.96.0.1")},
		Server: "https://127.0.0.1:6443",
	})
	if err != nil {
		t.Fatal(err)
	}
	c.kubeconfig = files.Admin
	dir := filepath.Dir(c.dataDir)
	bin, conf := filepath.Join(dir, "cni-bin"), filepath.Join(dir, "cni-conf")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", binary(t, "skiff-cni"), bin).CombinedOutput(); err != nil {
		t.Fatalf("installing the CNI plugin: %s", out)
	}
	if out, err := exec.Command("../hack/images.sh", "pause").CombinedOutput(); err != nil {
		t.Fatalf("making the pause image: %s", out)
	}
	t.Cleanup(func() { c.purgeSeparate(t) })
	c.component(t, "apiserver", "--data-dir", c.dataDir, "--advertise-address", ip.Unmap().String(),
		"--tls-cert-file", files.APIServer.Cert, "--tls-private-key-file", files.APIServer.Key, "--client-ca-file", files.CA.Cert,
		"--service-account-key-file", files.ServiceAccountPub, "--service-account-signing-key-file", files.ServiceAccountKey,
		"--kubelet-client-certificate", files.APIServerKubeletClient.Cert, "--kubelet-client-key", files.APIServerKubeletClient.Key,
		"--kubelet-certificate-authority", files.CA.Cert, "--kubelet-preferred-address-types", "InternalIP")
	c.shows(t, 30*time.Second, "ok", "get", "--raw", "/readyz")
	c.component(t, "controller-manager", "--kubeconfig", files.ControllerManager, "--root-ca-file", files.CA.Cert,
		"--service-account-private-key-file", files.ServiceAccountKey, "--cluster-cidr", "10.244.0.0/16", "--allocate-node-cidrs")
	c.component(t, "scheduler", "--kubeconfig", files.Scheduler)
	c.component(t, "proxy", "--kubeconfig", files.Proxy, "--hostname-override", "separate", "--cluster-cidr", "10.244.0.0/16")
	c.component(t, "cni", "--kubeconfig", files.CNI, "--hostname-override", "separate", "--cluster-cidr", "10.244.0.0/16",
		"--cni-conf-dir", conf, "--cni-bin-dir", bin, "--data-dir", filepath.Join(dir, "cni-state"))
	c.component(t, "nodeagent", "--kubeconfig", files.KubeletConfig, "--hostname-override", "separate", "--root-dir", filepath.Join(c.dataDir, "kubelet"),
		"--cni-conf-dir", conf, "--cni-bin-dir", bin, "--cni-cache-dir", filepath.Join(dir, "cni-cache"),
		"--tls-cert-file", files.Kubelet.Cert, "--tls-private-key-file", files.Kubelet.Key, "--client-ca-file", files.CA.Cert)

	c.shows(t, 60*time.Second, " Ready ", "get", "nodes")
	applyWeb(t, c, "30090")
	eventually(t, 20*time.Second, func() error {
		_, err := get(webClient(), "http://"+net.JoinHostPort(ip.Unmap().String(), "30090")+"/hostname")
		return err
	})
	assertContains(t, c.kubectl(t, "exec", "deploy/web", "--", "testapp", "get", "http://127.0.0.1:8080/version"), "v1")
	c.kubectl(t, "delete", "-f", sample("web.yaml"), "--timeout=60s")
	c.shows(t, 60*time.Second, "No resources found", "get", "pods")
}

// component runs one until the test ends; it must then end cleanly. They end in
// the reverse order of their start, so that the API server is the last.
func (c *cluster) component(t *testing.T, name string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(filepath.Dir(c.dataDir), name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(c.skiff, append([]string{name}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", name, err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err = <-ended:
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			err = context.DeadlineExceeded
		}
		_ = log.Close()
		if err != nil || t.Failed() {
			content, _ := os.ReadFile(log.Name())
			lines := strings.Split(string(content), "\n")
			t.Logf("the end of %s's log:\n%s", name, strings.Join(lines[max(0, len(lines)-30):], "\n"))
		}
		if err != nil {
			t.Errorf("%s ended with: %v", name, err)
		}
	})
}

// purgeSeparate removes what the node's components made; `down` needs a data
// directory that `up` has marked as its own, so only its first half is used.
func (c *cluster) purgeSeparate(t *testing.T) {
	if r := c.run(t, "down", "--grace", "1s"); r.err != nil {
		t.Errorf("tearing down: %v", r.err)
	}
}
