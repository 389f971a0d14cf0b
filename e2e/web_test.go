package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// applyWeb applies the web sample with a node port of the test's own.
func applyWeb(t *testing.T, c *cluster, nodePort string) {
	t.Helper()
	manifest, err := os.ReadFile(sample("web.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c.stdin(t, strings.ReplaceAll(string(manifest), "30080", nodePort), "apply", "-f", "-")
	c.kubectl(t, "rollout", "status", "deployment/web", "--timeout=90s")
}

// webClient returns a client that opens a new connection for each request, so
// that each is balanced anew.
func webClient() *http.Client {
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
}

func get(client *http.Client, url string) (string, error) {
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return strings.TrimSpace(string(body)), err
}

// nodeAddress is the node's InternalIP.
func nodeAddress(t *testing.T, c *cluster) string {
	t.Helper()
	return c.kubectl(t, "get", "nodes", "-o", `jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}`)
}

// testWebService reaches three web servers by every way that a Service offers.
//
// Conformance: "Services should serve a basic endpoint from pods", "Networking
// Granular Checks: Services", "Services should be able to create a functioning
// NodePort service".
func testWebService(t *testing.T, c *cluster) {
	applyWeb(t, c, "30080")
	clusterIP := c.kubectl(t, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
	c.kubectl(t, "run", "client", "--image=skiff-demo/testapp:v1", "--restart=Never", "--command", "--", "sleep", "600")
	c.kubectl(t, "wait", "--for=condition=Ready", "pod/client", "--timeout=60s")

	eventually(t, 30*time.Second, func() error {
		out := c.try("exec", "client", "--", "testapp", "get", "-n", "20", "http://"+clusterIP+"/hostname")
		return wantBackends(strings.Fields(out.stdout), 3, out.text())
	})
	node := nodeAddress(t, c)
	var names []string
	for range 30 {
		name, err := get(webClient(), "http://"+net.JoinHostPort(node, "30080")+"/hostname")
		if err != nil {
			t.Fatalf("through the node port: %v", err)
		}
		names = append(names, name)
	}
	if err := wantBackends(names, 3, "node port"); err != nil {
		t.Error(err)
	}
	echoDatagram(t, net.JoinHostPort(c.kubectl(t, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"), "81"))
	c.kubectl(t, "scale", "deployment", "web", "--replicas=5")
	c.kubectl(t, "rollout", "status", "deployment/web", "--timeout=60s")
	assertContains(t, c.kubectl(t, "get", "deployment", "web"), "5/5")
	stickToOne(t, c, node)
}

func wantBackends(names []string, want int, context string) error {
	distinct := map[string]bool{}
	for _, name := range names {
		distinct[name] = true
	}
	if len(distinct) != want {
		return fmt.Errorf("%d of %d backends answered: %v (%s)", len(distinct), want, names, context)
	}
	return nil
}

// stickToOne sets session affinity and then always meets the same backend.
func stickToOne(t *testing.T, c *cluster, node string) {
	t.Helper()
	c.kubectl(t, "patch", "service", "web", "-p", `{"spec":{"sessionAffinity":"ClientIP"}}`)
	eventually(t, 20*time.Second, func() error {
		var names []string
		for range 12 {
			name, err := get(webClient(), "http://"+net.JoinHostPort(node, "30080")+"/hostname")
			if err != nil {
				return err
			}
			names = append(names, name)
		}
		return wantBackends(names, 1, "session affinity")
	})
}

func echoDatagram(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	eventually(t, 10*time.Second, func() error {
		if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
			return err
		}
		fmt.Fprint(conn, "ahoy")
		buffer := make([]byte, 100)
		n, err := conn.Read(buffer)
		if err != nil || !strings.HasSuffix(string(buffer[:n]), " ahoy") {
			return fmt.Errorf("the echo server answered %q, %v", buffer[:n], err)
		}
		return nil
	})
}

// testRollingUpdate changes the image under a steady stream of requests, none of
// which may fail.
func testRollingUpdate(t *testing.T, c *cluster) {
	applyWeb(t, c, "30081")
	url := "http://" + net.JoinHostPort(nodeAddress(t, c), "30081") + "/version"
	eventually(t, 20*time.Second, func() error { _, err := get(webClient(), url); return err })

	ctx, stop := context.WithCancel(t.Context())
	type tally struct {
		versions map[string]int
		failures []error
	}
	done := make(chan tally)
	go func() {
		seen := tally{versions: map[string]int{}}
		pause := time.NewTicker(10 * time.Millisecond)
		defer pause.Stop()
		for ctx.Err() == nil {
			version, err := get(webClient(), url)
			if err != nil {
				seen.failures = append(seen.failures, err)
			} else {
				seen.versions[version]++
			}
			<-pause.C
		}
		done <- seen
	}()
	c.kubectl(t, "set", "image", "deployment/web", "web=skiff-demo/testapp:v2")
	c.kubectl(t, "rollout", "status", "deployment/web", "--timeout=120s")
	eventually(t, 20*time.Second, func() error {
		pods := c.try("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.containers[0].image}").stdout
		if pods != strings.TrimSpace(strings.Repeat("skiff-demo/testapp:v2 ", 3)) {
			return fmt.Errorf("images are %q", pods)
		}
		return nil
	})
	stop()
	seen := <-done
	t.Logf("requests by version: %v", seen.versions)
	if len(seen.failures) > 0 {
		t.Errorf("%d requests failed, the first: %v", len(seen.failures), seen.failures[0])
	}
	if seen.versions["v1"] == 0 || seen.versions["v2"] == 0 {
		t.Errorf("the stream did not see both versions: %v", seen.versions)
	}
}

// testRollback undoes a rollout.
func testRollback(t *testing.T, c *cluster) {
	applyWeb(t, c, "30082")
	c.kubectl(t, "set", "image", "deployment/web", "web=skiff-demo/testapp:v2")
	c.kubectl(t, "rollout", "status", "deployment/web", "--timeout=120s")
	assertContains(t, c.kubectl(t, "rollout", "history", "deployment/web"), "REVISION", "1", "2")
	c.kubectl(t, "rollout", "undo", "deployment/web")
	c.kubectl(t, "rollout", "status", "deployment/web", "--timeout=120s")
	if got := c.kubectl(t, "get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}"); got != "skiff-demo/testapp:v1" {
		t.Errorf("after undo the image is %s", got)
	}
	if got := c.kubectl(t, "get", "deployment", "web", "-o", `jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}`); got != "3" {
		t.Errorf("after undo the revision is %s", got)
	}
	c.kubectl(t, "rollout", "pause", "deployment/web")
	c.kubectl(t, "set", "env", "deployment/web", "A=b")
	assertContains(t, c.kubectl(t, "get", "rs", "-l", "app=web", "-o", "name"), "replicaset.apps/web-")
	if n := strings.Count(c.kubectl(t, "get", "rs", "-l", "app=web", "-o", "name"), "replicaset"); n != 2 {
		t.Errorf("a paused deployment made a replica set: there are %d", n)
	}
	c.kubectl(t, "rollout", "resume", "deployment/web")
	c.kubectl(t, "rollout", "status", "deployment/web", "--timeout=120s")
	c.kubectl(t, "rollout", "restart", "deployment/web")
	c.kubectl(t, "rollout", "status", "deployment/web", "--timeout=120s")
}

// testUnroutedServiceAddress: an address of the Service range that no Service has
// must refuse, not leak to the uplink, where anything might answer.
func testUnroutedServiceAddress(t *testing.T, c *cluster) {
	conn, err := net.DialTimeout("tcp", "10.96.77.77:80", 3*time.Second)
	if err == nil {
		_ = conn.Close()
		t.Error("an address that no Service has answered from the node")
	}
	c.kubectl(t, "run", "client", "--image=skiff-demo/testapp:v1", "--restart=Never", "--command", "--", "sleep", "600")
	c.kubectl(t, "wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
	if r := c.try("exec", "client", "--", "nc", "-w", "3", "10.96.77.77", "80"); r.err == nil {
		t.Error("an address that no Service has answered from a pod")
	}
}
