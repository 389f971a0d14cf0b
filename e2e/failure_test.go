package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// testBadImage names an image that does not exist, sees how that is told, and
// mends it.
func testBadImage(t *testing.T, c *cluster) {
	c.kubectl(t, "create", "deployment", "bad", "--image=registry.invalid/nothing:1")
	// Where no name server answers, Docker takes long to give up.
	c.shows(t, 3*time.Minute, "ImagePullBackOff", "get", "pods")
	assertContains(t, c.kubectl(t, "describe", "pods", "-l", "app=bad"), "ErrImagePull", "Back-off pulling image", "Failed to pull image")
	c.kubectl(t, "set", "image", "deployment/bad", "nothing=skiff-demo/testapp:v1")
	c.kubectl(t, "rollout", "status", "deployment/bad", "--timeout=60s")
}

// testCrashLoop watches a container that always fails: it is restarted after
// kube's delays of 10 s and 20 s.
func testCrashLoop(t *testing.T, c *cluster) {
	c.kubectl(t, "apply", "-f", sample("crash.yaml"))
	c.shows(t, time.Minute, "CrashLoopBackOff", "get", "pod", "crash")
	assertContains(t, c.kubectl(t, "describe", "pod", "crash"), "Back-off restarting failed container", "Exit Code:    3")
	_, ended := c.crash(t, "2")
	started, _ := c.crash(t, "3")
	if gap := started.Sub(ended); gap < 19*time.Second || gap > 38*time.Second { // in whole seconds; the next would be 40
		t.Errorf("the third restart came %s after the end of the second, want about 20 s", gap)
	}
	assertContains(t, c.kubectl(t, "logs", "crash", "--previous"), "will exit with code 3")
}

// crash waits until the pod "crash" is backing off after so many restarts, and
// returns when its container then started and ended.
func (c *cluster) crash(t *testing.T, restarts string) (started, ended time.Time) {
	t.Helper()
	const status = ".status.containerStatuses[0]"
	eventually(t, 2*time.Minute, func() error {
		now := c.try("get", "pod", "crash", "-o", "jsonpath={"+status+".restartCount} {"+status+".state.waiting.reason} {"+
			status+".lastState.terminated.startedAt} {"+status+".lastState.terminated.finishedAt} {"+
			status+".lastState.terminated.containerID} {"+status+".containerID}").stdout
		fields := strings.Fields(now)
		// The next container may be there before the back-off is seen to be over.
		if len(fields) != 6 || fields[0] != restarts || fields[1] != "CrashLoopBackOff" || fields[4] != fields[5] {
			return fmt.Errorf("it is not backing off after restart %s: %q", restarts, now)
		}
		var err error
		if started, err = time.Parse(time.RFC3339, fields[2]); err == nil {
			ended, err = time.Parse(time.RFC3339, fields[3])
		}
		return err
	})
	return started, ended
}

// testReadiness takes a pod that fails its readiness probe out of the endpoints.
func testReadiness(t *testing.T, c *cluster) {
	applyWeb(t, c, "30083")
	ready := func() []string {
		return strings.Fields(c.try("get", "endpointslices", "-l", "kubernetes.io/service-name=web", "-o",
			`jsonpath={range .items[*].endpoints[?(@.conditions.ready==true)]}{.targetRef.name} {end}`).stdout)
	}
	eventually(t, 30*time.Second, func() error {
		if got := ready(); len(got) != 3 {
			return fmt.Errorf("ready endpoints: %v", got)
		}
		return nil
	})
	victim := ready()[0]
	c.kubectl(t, "exec", victim, "--", "wget", "-qO-", "--post-data=", "http://127.0.0.1:8080/sick")
	eventually(t, 30*time.Second, func() error {
		got := ready()
		if len(got) != 2 || strings.Contains(strings.Join(got, " "), victim) {
			return fmt.Errorf("ready endpoints: %v; %s is sick", got, victim)
		}
		return nil
	})
	c.shows(t, 10*time.Second, "0/1", "get", "pod", victim)
	assertContains(t, c.kubectl(t, "describe", "pod", victim), "Readiness probe failed: HTTP probe failed with statuscode: 503")
	c.kubectl(t, "exec", victim, "--", "wget", "-qO-", "--post-data=", "http://127.0.0.1:8080/well")
	eventually(t, 30*time.Second, func() error {
		if got := ready(); len(got) != 3 {
			return fmt.Errorf("ready endpoints: %v", got)
		}
		return nil
	})
}

// testNamespaceDeletion deletes a namespace with something of everything in it.
//
// Conformance: "Namespaces should ensure that all pods are removed when a
// namespace is deleted", "... all services are removed ...".
func testNamespaceDeletion(t *testing.T, c *cluster) {
	doomed := *c
	doomed.namespace = "e2e-doomed"
	doomed.kubectl(t, "create", "namespace", doomed.namespace)
	applyWeb(t, &doomed, "30084")
	doomed.kubectl(t, "apply", "-f", sample("redis-rc.yaml"))
	doomed.kubectl(t, "create", "secret", "generic", "s", "--from-literal=a=b")
	doomed.kubectl(t, "delete", "namespace", doomed.namespace, "--timeout=90s")
	for _, kind := range []string{"namespace/" + doomed.namespace} {
		if r := doomed.try("get", kind); !strings.Contains(r.text(), "not found") {
			t.Errorf("%s is still there: %s", kind, r.text())
		}
	}
	doomed.kubectl(t, "create", "namespace", doomed.namespace)
	if left := doomed.kubectl(t, "get", "pods,services,deployments,rs,rc,secrets", "-o", "name"); left != "" {
		t.Errorf("a new namespace of the same name holds %q", left)
	}
	doomed.kubectl(t, "delete", "namespace", doomed.namespace, "--timeout=60s")
}

// testGarbageCollection deletes owners in the three ways.
//
// Conformance: "Garbage collector should delete RS created by deployment when not
// orphaning", "... should orphan RS ...", "... should orphan pods created by rc".
func testGarbageCollection(t *testing.T, c *cluster) {
	c.kubectl(t, "create", "deployment", "a", "--image=skiff-demo/testapp:v1")
	c.kubectl(t, "rollout", "status", "deployment/a", "--timeout=60s")
	c.kubectl(t, "delete", "deployment", "a", "--cascade=foreground", "--timeout=60s")
	if left := c.kubectl(t, "get", "pods,rs", "-l", "app=a", "-o", "name"); left != "" {
		t.Errorf("after a foreground deletion there is still %q", left)
	}
	c.kubectl(t, "create", "deployment", "b", "--image=skiff-demo/testapp:v1")
	c.kubectl(t, "rollout", "status", "deployment/b", "--timeout=60s")
	c.kubectl(t, "delete", "deployment", "b", "--cascade=orphan")
	orphan := strings.TrimSpace(c.kubectl(t, "get", "rs", "-l", "app=b", "-o", "name"))
	if orphan == "" {
		t.Fatal("orphaning deleted the replica set")
	}
	eventually(t, 30*time.Second, func() error {
		if owners := c.try("get", orphan, "-o", "jsonpath={.metadata.ownerReferences}").stdout; owners != "" {
			return fmt.Errorf("the orphan still has owners: %s", owners)
		}
		return nil
	})
	c.kubectl(t, "delete", orphan, "--timeout=60s") // background
	c.shows(t, time.Minute, "No resources found", "get", "pods", "-l", "app=b")
}
