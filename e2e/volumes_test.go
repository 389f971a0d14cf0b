package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// testVolumes runs one pod with every kind of volume and environment variable.
//
// Conformance: "ConfigMap should be consumable from pods in volume", "Secrets
// should be consumable ...", "Downward API ...", "Projected ...", "EmptyDir
// volumes ...", "should support subpaths", "Variable Expansion ...".
func testVolumes(t *testing.T, c *cluster) {
	c.kubectl(t, "apply", "-f", sample("volumes.yaml"))
	c.kubectl(t, "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/volumes", "--timeout=60s")
	ip := c.kubectl(t, "get", "pod", "volumes", "-o", "jsonpath={.status.podIP}")
	node := c.kubectl(t, "get", "pod", "volumes", "-o", "jsonpath={.spec.nodeName}")
	assertContains(t, c.kubectl(t, "logs", "volumes", "-c", "main"),
		"prepared", "blue", "hunter2", `app="volumes"`, "fair winds", "volumes",
		fmt.Sprintf("blue hunter2 %s %s 1 ahoy blue fair winds", node, ip), "token")
	assertContains(t, c.kubectl(t, "get", "pod", "volumes"), "Completed", "0/1")
}

// testConfigMapPage changes a mounted ConfigMap and sees the file change, without
// a restart.
//
// Conformance: "ConfigMap updates should be reflected in volume".
func testConfigMapPage(t *testing.T, c *cluster) {
	c.kubectl(t, "apply", "-f", sample("nginx.yaml"))
	c.kubectl(t, "rollout", "status", "deployment/nginx", "--timeout=60s")
	page := func() string {
		return c.try("exec", "deploy/nginx", "--", "wget", "-qO-", "http://127.0.0.1/").text()
	}
	assertContains(t, page(), "Hello from a ConfigMap")
	c.kubectl(t, "patch", "configmap", "page", "-p", `{"data":{"index.html":"changed\n"}}`)
	eventually(t, 90*time.Second, func() error {
		if got := page(); strings.TrimSpace(got) != "changed" {
			return fmt.Errorf("the page is %q", got)
		}
		return nil
	})
	if n := c.kubectl(t, "get", "pods", "-l", "app=nginx", "-o", "jsonpath={.items[0].status.containerStatuses[0].restartCount}"); n != "0" {
		t.Errorf("the container was restarted %s times", n)
	}
}
