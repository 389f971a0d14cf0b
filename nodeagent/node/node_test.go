package node

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/skiff-project/skiff/e2e/testenv"
	"github.com/skiff-project/skiff/nodeagent/runtime"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// world runs a Node against a real API server, as the node's own user.
type world struct {
	t      *testing.T
	env    *testenv.Env
	name   string
	clock  *clocktesting.FakeClock
	node   *Node
	events *record.FakeRecorder

	mu    sync.Mutex
	down  error
	looks int // how often the engine was asked
}

func start(t *testing.T, name string) *world {
	w := &world{t: t, env: testenv.Shared(t), name: name, clock: clocktesting.NewFakeClock(time.Now()), events: record.NewFakeRecorder(100)}
	client, err := kubernetes.NewForConfig(w.env.ConfigFor("system:node:"+name, "system:nodes"))
	if err != nil {
		t.Fatal(err)
	}
	w.node, err = New(Config{
		Client: client, Name: name, IPs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, MaxPods: 110, Port: 10250, RootDir: t.TempDir(),
		Labels: map[string]string{"mine": "1"}, Engine: w.engine, Network: func() error { return nil },
		Images:   func(context.Context) ([]runtime.Image, error) { return nil, nil },
		Recorder: w.events, Clock: w.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.node.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := w.env.Client.CoreV1().Nodes().Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) engine(context.Context) (runtime.Info, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	return runtime.Info{Name: "docker", Version: "20.10"}, w.down
}

func (w *world) setDown(err error) {
	w.mu.Lock()
	w.down = err
	w.mu.Unlock()
	w.node.Trigger()
}

func (w *world) eventually(what string, condition func(ctx context.Context) bool) {
	w.t.Helper()
	err := wait.PollUntilContextTimeout(w.t.Context(), 5*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		return condition(ctx), nil
	})
	if err != nil {
		w.t.Fatalf("not seen: %s", what)
	}
}

// is waits until the node fulfils a condition and returns it.
func (w *world) is(what string, condition func(*corev1.Node) bool) (node *corev1.Node) {
	w.t.Helper()
	w.eventually(what, func(ctx context.Context) bool {
		var err error
		node, err = w.env.Client.CoreV1().Nodes().Get(ctx, w.name, metav1.GetOptions{})
		return err == nil && condition(node)
	})
	return node
}

func readyIs(status corev1.ConditionStatus) func(*corev1.Node) bool {
	return func(node *corev1.Node) bool { return readiness(node.Status) == status }
}

// look makes the node look at its status, and waits for the end of that look.
func (w *world) look(cause func()) {
	w.t.Helper()
	for range 2 { // the next look begins when the last has ended
		w.mu.Lock()
		before := w.looks
		w.mu.Unlock()
		cause()
		w.eventually("another look", func(context.Context) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.looks > before
		})
		cause = w.node.Trigger
	}
}

func TestRun(t *testing.T) {
	w := start(t, "node-run")
	node := w.is("ready", readyIs(corev1.ConditionTrue))
	if node.Labels["mine"] != "1" || node.Labels[corev1.LabelHostname] != w.name || node.Status.Capacity.Pods().Value() != 110 {
		t.Errorf("registered %+v", node)
	}
	leases := w.env.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	w.eventually("the lease", func(ctx context.Context) bool {
		l, err := leases.Get(ctx, w.name, metav1.GetOptions{})
		return err == nil && len(l.OwnerReferences) == 1 && l.OwnerReferences[0].UID == node.UID && *l.Spec.HolderIdentity == w.name && *l.Spec.LeaseDurationSeconds == 40
	})

	w.look(w.node.Trigger)
	node = w.is("ready", readyIs(corev1.ConditionTrue))
	w.look(func() { w.clock.Step(checkPeriod) })
	if now := w.is("there", readyIs(corev1.ConditionTrue)); now.ResourceVersion != node.ResourceVersion {
		t.Error("written though nothing changed")
	}
	w.look(func() { w.clock.Step(reportPeriod) })
	w.is("a heartbeat", func(now *corev1.Node) bool { return now.ResourceVersion != node.ResourceVersion })

	w.setDown(errors.New("gone"))
	w.is("not ready", readyIs(corev1.ConditionFalse))
	w.setDown(nil)
	w.is("ready again", readyIs(corev1.ConditionTrue))
	for _, reason := range []string{"NodeNotReady", "NodeReady"} {
		if got, want := <-w.events.Events, "Normal "+reason+" Node node-run status is now: "+reason; got != want {
			t.Errorf("event %q, want %q", got, want)
		}
	}

	if err := w.env.Client.CoreV1().Nodes().Delete(t.Context(), w.name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.eventually("registered again", func(ctx context.Context) bool {
		w.node.Trigger() // again: the server's cache may still have the old one
		now, err := w.env.Client.CoreV1().Nodes().Get(ctx, w.name, metav1.GetOptions{})
		return err == nil && now.UID != node.UID
	})
}

func TestAdoption(t *testing.T) {
	env := testenv.Shared(t)
	known := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-known", Labels: map[string]string{"theirs": "1"}}}
	known.Spec = corev1.NodeSpec{PodCIDR: "10.244.7.0/24", PodCIDRs: []string{"10.244.7.0/24"}, Unschedulable: true}
	if _, err := env.Client.CoreV1().Nodes().Create(t.Context(), known, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w := start(t, "node-known")
	node := w.is("ready", readyIs(corev1.ConditionTrue))
	if node.Spec.PodCIDR != "10.244.7.0/24" || !node.Spec.Unschedulable || node.Labels["theirs"] != "1" || node.Labels["mine"] != "1" {
		t.Errorf("adopted as %+v", node)
	}
}

func TestNewNeedsAll(t *testing.T) {
	if _, err := New(Config{}); err == nil || err.Error() != "the node needs Client" {
		t.Errorf("got %v", err)
	}
}
