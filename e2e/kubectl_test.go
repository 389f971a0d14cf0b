package e2e

import (
	"bufio"
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// testApply applies in all the ways that kubectl has.
func testApply(t *testing.T, c *cluster) {
	file := sample("nginx.yaml")
	assertContains(t, c.kubectl(t, "apply", "-f", file), "configmap/page created", "deployment.apps/nginx created")
	assertContains(t, c.kubectl(t, "apply", "-f", file), "configmap/page unchanged", "deployment.apps/nginx unchanged")
	if r := c.try("diff", "-f", file); r.err != nil {
		t.Errorf("diff of an unchanged file: %v %s", r.err, r.text())
	}
	c.kubectl(t, "patch", "configmap", "page", "-p", `{"data":{"other":"x"}}`)
	c.kubectl(t, "label", "configmap", "page", "tier=web")
	assertContains(t, c.kubectl(t, "apply", "--server-side", "--force-conflicts", "-f", file), "serverside-applied")
	assertContains(t, c.kubectl(t, "get", "configmap", "page", "-o", "yaml", "--show-managed-fields"), "operation: Apply", "manager: kubectl", "other: x", "tier: web")

	manifest := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: page}\ndata: {index.html: theirs}\n"
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := c.command(ctx, manifest, c.skiff, "kubectl", "-n", c.namespace, "apply", "--server-side", "--field-manager=other", "-f", "-")
	if r.err == nil || !strings.Contains(r.text(), "conflict") {
		t.Errorf("another manager's apply did not conflict: %s", r.text())
	}
	r = c.command(ctx, manifest, c.skiff, "kubectl", "-n", c.namespace, "diff", "-f", "-")
	assertContains(t, r.text(), "-  index.html: |", "+  index.html: theirs")
	assertContains(t, c.kubectl(t, "apply", "-f", file, "--dry-run=server"), "(server dry run)")
	r = c.command(ctx, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndatta: {a: b}\n", c.skiff, "kubectl", "-n", c.namespace, "create", "-f", "-")
	if r.err == nil || !strings.Contains(r.text(), `unknown field "datta"`) {
		t.Errorf("an unknown field was accepted: %s", r.text())
	}
	assertContains(t, c.kubectl(t, "replace", "-f", file), "replaced")
	c.kubectl(t, "delete", "-f", file, "--timeout=60s")
}

// testOutput prints in the forms that scripts rely on.
//
// Conformance: "Kubectl api-versions", "Kubectl client Kubectl version",
// "Kubectl describe", "Servers with support for Table transformation".
func testOutput(t *testing.T, c *cluster) {
	c.kubectl(t, "create", "configmap", "out", "--from-literal=a=b")
	assertContains(t, c.kubectl(t, "get", "configmap", "out"), "NAME", "DATA", "AGE", "out", "1")
	assertContains(t, c.kubectl(t, "get", "configmap", "out", "-o", "yaml"), "apiVersion: v1", "kind: ConfigMap", "a: b")
	assertContains(t, c.kubectl(t, "get", "configmap", "out", "-o", "json"), `"kind": "ConfigMap"`)
	if got := c.kubectl(t, "get", "configmap", "out", "-o", "jsonpath={.data.a}"); got != "b" {
		t.Errorf("jsonpath printed %q", got)
	}
	if got := c.kubectl(t, "get", "configmap", "out", "-o", "custom-columns=N:.metadata.name,A:.data.a", "--no-headers"); strings.Join(strings.Fields(got), " ") != "out b" {
		t.Errorf("custom-columns printed %q", got)
	}
	assertContains(t, c.kubectl(t, "get", "nodes", "-o", "wide"), "INTERNAL-IP", "CONTAINER-RUNTIME", "docker://", "Ready", "v1.37.")
	assertContains(t, c.kubectl(t, "describe", "node"), "Allocated resources", "PodCIDR", "kubernetes.io/hostname", "Capacity")
	assertContains(t, c.kubectl(t, "explain", "deployment.spec.strategy"), "FIELD: strategy", "rollingUpdate")
	assertContains(t, c.kubectl(t, "explain", "pod.spec.containers.resources"), "limits")
	resources := c.kubectl(t, "api-resources")
	for _, want := range []string{"pods", "po", "deployments", "deploy", "apps/v1", "horizontalpodautoscalers", "autoscaling/v2", "endpointslices", "clusterroles", "events.k8s.io/v1"} {
		assertContains(t, resources, want)
	}
	assertContains(t, c.kubectl(t, "api-versions"), "apps/v1", "batch/v1", "events.k8s.io/v1", "rbac.authorization.k8s.io/v1", "v1")
	assertContains(t, c.kubectl(t, "version"), "Server Version: v1.37.")
	assertContains(t, c.kubectl(t, "get", "--raw", "/readyz?verbose"), "[+]etcd ok", "readyz check passed")
	assertContains(t, c.kubectl(t, "get", "--raw", "/metrics"), "apiserver_request_total")
	assertContains(t, c.kubectl(t, "get", "all", "-n", "default"), "service/kubernetes")
	assertContains(t, c.kubectl(t, "get", "namespaces"), "default", "kube-node-lease", "kube-public", "kube-system", "Active")
	c.kubectl(t, "annotate", "configmap", "out", "note=x")
	if got := c.kubectl(t, "get", "configmaps", "--field-selector=metadata.name=out", "-o", "name"); strings.TrimSpace(got) != "configmap/out" {
		t.Errorf("a field selector found %q", got)
	}
	c.shows(t, 10*time.Second, "ca.crt", "get", "configmap", "kube-root-ca.crt", "-o", "jsonpath={.data}")
}

// testWatch sees a change through `get -w`.
func testWatch(t *testing.T, c *cluster) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.skiff, "kubectl", "--kubeconfig", c.kubeconfig, "-n", c.namespace, "get", "configmaps", "-w", "--no-headers")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(pipe); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	next := func(want string) {
		t.Helper()
		for line := range lines {
			if strings.Join(strings.Fields(line)[:2], " ") == want {
				return
			}
		}
		t.Fatalf("the watch ended before it showed %q", want)
	}
	next("kube-root-ca.crt 1")
	c.kubectl(t, "create", "configmap", "seen", "--from-literal=a=b")
	next("seen 1")
	c.kubectl(t, "patch", "configmap", "seen", "-p", `{"data":{"c":"d"}}`)
	next("seen 2")
}

// testInvalidManifests: each is refused with the path of the field and kube's words.
func testInvalidManifests(t *testing.T, c *cluster) {
	for name, wants := range map[string][]string{
		"pod":           {`metadata.name: Invalid value: "Bad_Name"`, "a lowercase RFC 1123 subdomain must consist of", "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"},
		"service":       {"spec.ports: Required value"},
		"deployment":    {"spec.template.metadata.labels: Invalid value", "`selector` does not match template `labels`"},
		"replicaset":    {"spec.replicas: Invalid value: -1: must be greater than or equal to 0"},
		"statefulset":   {`spec.podManagementPolicy: `, `"Sometimes"`},
		"job":           {`spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"`},
		"cronjob":       {`spec.schedule: Invalid value: "61 * * * *"`},
		"configmap":     {`data[no spaces allowed]: Invalid value: "no spaces allowed": a valid config key must consist of`},
		"secret":        {"data[tls.key]: Required value"},
		"namespace":     {`metadata.name: Invalid value: "-dash"`},
		"role":          {"rules[0].verbs: Required value: verbs must contain at least one value"},
		"priorityclass": {"value: Forbidden: maximum allowed value of a user defined priority is 1000000000"},
		"hpa":           {"spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`"},
		"lease":         {"spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"},
	} {
		r := c.try("create", "-f", sample("invalid/"+name+".yaml"))
		if r.err == nil {
			t.Errorf("%s was accepted: %s", name, r.stdout)
			continue
		}
		assertContains(t, r.text(), append(wants, "is invalid")...)
	}
}

// testRBAC: a service account may do what it is told, and nothing else.
//
// Conformance: "ServiceAccounts should mount an API token into pods".
func testRBAC(t *testing.T, c *cluster) {
	c.kubectl(t, "create", "serviceaccount", "reader")
	as := "--as=system:serviceaccount:" + c.namespace + ":reader"
	if got := strings.TrimSpace(c.try("auth", "can-i", "list", "pods", as).stdout); got != "no" {
		t.Errorf("before any binding can-i said %q", got)
	}
	c.kubectl(t, "create", "role", "reader", "--verb=get,list,watch", "--resource=pods")
	c.kubectl(t, "create", "rolebinding", "reader", "--role=reader", "--serviceaccount="+c.namespace+":reader")
	c.shows(t, 10*time.Second, "yes", "auth", "can-i", "list", "pods", as)
	if r := c.try("get", "secrets", as); !strings.Contains(r.text(), `secrets is forbidden: User "system:serviceaccount:`+c.namespace+`:reader" cannot list resource "secrets" in API group "" in the namespace`) {
		t.Errorf("listing secrets said: %s", r.text())
	}
	token := strings.TrimSpace(c.kubectl(t, "create", "token", "reader"))
	pods := c.command(t.Context(), "", c.skiff, "kubectl", "--kubeconfig=/dev/null", "--server", c.kubectl(t, "config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"),
		"--insecure-skip-tls-verify", "--token", token, "-n", c.namespace, "get", "pods")
	if pods.err != nil {
		t.Errorf("the token does not let its owner list pods: %s", pods.text())
	}
}

// testInCluster asks the API server from within a pod, as operators do.
//
// Conformance: "ServiceAccounts should mount an API token into pods".
func testInCluster(t *testing.T, c *cluster) {
	c.kubectl(t, "create", "serviceaccount", "operator")
	c.kubectl(t, "create", "role", "operator", "--verb=list", "--resource=pods")
	c.kubectl(t, "create", "rolebinding", "operator", "--role=operator", "--serviceaccount="+c.namespace+":operator")
	c.kubectl(t, "run", "operator", "--image=skiff-demo/testapp:v1", "--overrides", `{"spec":{"serviceAccountName":"operator"}}`)
	c.kubectl(t, "wait", "--for=condition=Ready", "pod/operator", "--timeout=60s")
	path := "/api/v1/namespaces/" + c.namespace
	assertContains(t, c.kubectl(t, "exec", "operator", "--", "testapp", "api", path+"/pods"), "200 OK", `"kind":"PodList"`, `"name":"operator"`)
	assertContains(t, c.kubectl(t, "exec", "operator", "--", "testapp", "api", path+"/secrets"), "403 Forbidden", "cannot list resource")
}

// testDebug adds an ephemeral container to a running pod.
//
// Conformance: "Ephemeral Containers will start an ephemeral container in an
// existing pod".
func testDebug(t *testing.T, c *cluster) {
	c.kubectl(t, "run", "target", "--image=skiff-demo/testapp:v1")
	c.kubectl(t, "wait", "--for=condition=Ready", "pod/target", "--timeout=60s")
	c.kubectl(t, "debug", "target", "--image=skiff-demo/testapp:v2", "--container=debugger", "--", "sh", "-c", "testapp get http://127.0.0.1:8080/version")
	c.shows(t, 30*time.Second, "v1", "logs", "target", "-c", "debugger")
	assertContains(t, c.kubectl(t, "get", "pod", "target"), "1/1", "Running")
}
