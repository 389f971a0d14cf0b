package scheduler_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/skiff-project/skiff/e2e/testenv"
	"github.com/skiff-project/skiff/scheduler"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// start runs a scheduler until the test ends or stop is called.
func start(t *testing.T, env *testenv.Env) (stop func()) {
	t.Helper()
	return startWith(t, scheduler.Config{RESTConfig: env.ConfigFor("system:kube-scheduler")})
}

func startWith(t *testing.T, cfg scheduler.Config) (stop func()) {
	t.Helper()
	s, err := scheduler.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the scheduler ended with: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// namespace makes one with the service account that pods need; its controller does
// not run here.
func namespace(t *testing.T, env *testenv.Env) string {
	t.Helper()
	ns := env.Namespace(t)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "default"}}
	if _, err := env.Client.CoreV1().ServiceAccounts(ns).Create(t.Context(), account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatalf("creating the service account: %v", err)
	}
	// Nobody empties the namespace here, and pods that still wait would take the
	// room of a later test.
	t.Cleanup(func() {
		zero := int64(0)
		err := env.Client.CoreV1().Pods(ns).DeleteCollection(context.Background(), metav1.DeleteOptions{GracePeriodSeconds: &zero}, metav1.ListOptions{})
		if err != nil {
			t.Errorf("deleting the pods of %s: %v", ns, err)
		}
	})
	return ns
}

func makeNode(t *testing.T, env *testenv.Env, name, cpu string) *corev1.Node {
	t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
	made, err := env.Client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("creating node %s: %v", name, err)
	}
	t.Cleanup(func() {
		_ = env.Client.CoreV1().Nodes().Delete(context.Background(), name, metav1.DeleteOptions{})
	})
	// A new node is tainted as not ready until its controller, which does not run
	// here, has seen it ready.
	made.Spec.Taints = nil
	if made, err = env.Client.CoreV1().Nodes().Update(t.Context(), made, metav1.UpdateOptions{}); err != nil {
		t.Fatalf("taking the taint off node %s: %v", name, err)
	}
	made.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("4Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	made.Status.Capacity = made.Status.Allocatable
	made, err = env.Client.CoreV1().Nodes().UpdateStatus(t.Context(), made, metav1.UpdateOptions{})
	if err != nil {
		t.Fatalf("filling node %s: %v", name, err)
	}
	return made
}

func makePod(t *testing.T, env *testenv.Env, ns, name, cpu string, change func(*corev1.Pod)) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(bool),
			Containers: []corev1.Container{{Name: "c", Image: "app:1",
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}}}}},
	}
	if change != nil {
		change(pod)
	}
	if _, err := env.Client.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatalf("creating pod %s: %v", name, err)
	}
}

// until waits for a state of a pod.
func until(t *testing.T, env *testenv.Env, ns, name, what string, is func(*corev1.Pod) bool) {
	t.Helper()
	var last *corev1.Pod
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		pod, err := env.Client.CoreV1().Pods(ns).Get(ctx, name, metav1.GetOptions{})
		last = pod
		return err == nil && is(pod), nil
	})
	if err != nil {
		t.Fatalf("pod %s is not %s: node %q, conditions %+v", name, what, last.Spec.NodeName, last.Status.Conditions)
	}
}

func on(node string) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool { return pod.Spec.NodeName == node }
}

func unscheduled(message string) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool {
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Reason == corev1.PodReasonUnschedulable {
				return c.Message == message
			}
		}
		return false
	}
}

func remove(t *testing.T, env *testenv.Env, ns, name string) {
	t.Helper()
	zero := int64(0)
	if err := env.Client.CoreV1().Pods(ns).Delete(t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: &zero}); err != nil {
		t.Fatalf("deleting pod %s: %v", name, err)
	}
}

// The life of a cluster as the scheduler sees it: no nodes, a node that is too
// small, a node that fits, room that becomes free, a restart.
func TestScheduling(t *testing.T) {
	env := testenv.Shared(t)
	ns := namespace(t, env)
	stop := start(t, env)

	makePod(t, env, ns, "early", "1", nil)
	until(t, env, ns, "early", "explained", unscheduled("no nodes available to schedule pods"))
	makeNode(t, env, "small", "500m")
	until(t, env, ns, "early", "explained", unscheduled("0/1 nodes are available: 1 Insufficient cpu."))
	makeNode(t, env, "big", "2")
	until(t, env, ns, "early", "scheduled", on("big"))
	awaitEvent(t, env, ns, "Scheduled", fmt.Sprintf("Successfully assigned %s/early to big", ns))
	awaitEvent(t, env, ns, "FailedScheduling", "0/1 nodes are available: 1 Insufficient cpu.")

	makePod(t, env, ns, "second", "1", nil)
	until(t, env, ns, "second", "scheduled", on("big"))
	makePod(t, env, ns, "waiting", "1", nil)
	until(t, env, ns, "waiting", "explained", unscheduled("0/2 nodes are available: 2 Insufficient cpu."))
	remove(t, env, ns, "second")
	until(t, env, ns, "waiting", "scheduled", on("big"))

	stop()
	makePod(t, env, ns, "meanwhile", "100m", nil)
	start(t, env)
	until(t, env, ns, "meanwhile", "scheduled", func(p *corev1.Pod) bool { return p.Spec.NodeName != "" })
	makePod(t, env, ns, "full", "1", nil) // the restarted scheduler knows what is taken
	until(t, env, ns, "full", "explained", unscheduled("0/2 nodes are available: 2 Insufficient cpu."))
}

func awaitEvent(t *testing.T, env *testenv.Env, ns, reason, note string) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		events, err := env.Client.EventsV1().Events(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, e := range events.Items {
			if e.Reason == reason && e.Note == note && e.ReportingController == "default-scheduler" {
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		t.Errorf("no event %s %q: %v", reason, note, err)
	}
}

// A cordoned node, a foreign scheduler's pod, a gate, a higher priority.
func TestWhatIsLeftAlone(t *testing.T) {
	env := testenv.Shared(t)
	ns := namespace(t, env)
	start(t, env)
	node := makeNode(t, env, "cordoned", "1")
	patch := func(text string) {
		t.Helper()
		if _, err := env.Client.CoreV1().Nodes().Patch(t.Context(), node.Name, types.MergePatchType, []byte(text), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	patch(`{"spec":{"unschedulable":true}}`)
	makePod(t, env, ns, "foreign", "100m", func(p *corev1.Pod) { p.Spec.SchedulerName = "other" })
	makePod(t, env, ns, "gated", "100m", func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/wait"}} })
	makePod(t, env, ns, "plain", "100m", nil)
	until(t, env, ns, "plain", "explained", func(p *corev1.Pod) bool {
		return unscheduled("0/1 nodes are available: 1 node(s) were unschedulable.")(p) || unscheduled("0/1 nodes are available: 1 node(s) had untolerated taint(s).")(p)
	})
	patch(`{"spec":{"unschedulable":null}}`)
	until(t, env, ns, "plain", "scheduled", on("cordoned"))
	for _, name := range []string{"foreign", "gated"} {
		until(t, env, ns, name, "left alone", on(""))
	}
	if _, err := env.Client.CoreV1().Pods(ns).Patch(t.Context(), "gated", types.MergePatchType, []byte(`{"spec":{"schedulingGates":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, env, ns, "gated", "scheduled", on("cordoned"))
}

// Many pods at once fill the nodes exactly: none is placed twice, no node is
// overfilled, and the last ones wait.
func TestNoOvercommit(t *testing.T) {
	env := testenv.Shared(t)
	ns := namespace(t, env)
	for i := range 4 {
		makeNode(t, env, fmt.Sprintf("node-%d", i), "1")
	}
	start(t, env)
	const pods, fit = 48, 40
	for i := range pods {
		makePod(t, env, ns, fmt.Sprintf("pod-%d", i), "100m", nil)
	}
	var perNode map[string]int
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		list, err := env.Client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		perNode = map[string]int{}
		explained := 0
		for i := range list.Items {
			if node := list.Items[i].Spec.NodeName; node != "" {
				perNode[node]++
			} else if len(list.Items[i].Status.Conditions) > 0 && strings.Contains(list.Items[i].Status.Conditions[0].Message, "4 Insufficient cpu") {
				explained++
			}
		}
		return explained == pods-fit, nil
	})
	for node, n := range perNode {
		if n != 10 {
			t.Errorf("%s has %d pods of 100m on one core", node, n)
		}
	}
	if err != nil || len(perNode) != 4 {
		t.Errorf("pods by node: %v, %v", perNode, err)
	}
}

// A scheduler that ends has given the lease back, so that the next one need not
// wait for it to run out.
func TestLeaderElection(t *testing.T) {
	env := testenv.Shared(t)
	system := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}}
	if _, err := env.Client.CoreV1().Namespaces().Create(t.Context(), system, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	ns := namespace(t, env)
	makeNode(t, env, "elected", "1")
	cfg := scheduler.Config{
		RESTConfig: env.ConfigFor("system:kube-scheduler"), LeaderElect: true,
		LeaseDuration: 15 * time.Second, RenewDeadline: 10 * time.Second, RetryPeriod: 100 * time.Millisecond,
	}
	stop := startWith(t, cfg)
	makePod(t, env, ns, "first", "100m", nil)
	until(t, env, ns, "first", "scheduled", on("elected"))
	stop()
	lease, err := env.Client.CoordinationV1().Leases(metav1.NamespaceSystem).Get(t.Context(), "kube-scheduler", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if holder := lease.Spec.HolderIdentity; holder != nil && *holder != "" {
		t.Errorf("the lease is still held by %s", *holder)
	}
	startWith(t, cfg)
	makePod(t, env, ns, "second", "100m", nil)
	until(t, env, ns, "second", "scheduled", on("elected"))
}
