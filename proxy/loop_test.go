package proxy

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/skiff-project/skiff/proxy/conntrack"
	"github.com/skiff-project/skiff/proxy/health"
	"github.com/skiff-project/skiff/proxy/model"
)

// fakeBackend notes what it is asked for.
type fakeBackend struct {
	mu      sync.Mutex
	syncs   int
	changed int // ports in the last sync
	written bool
	fulls   int
	intact  bool
	err     error
}

func (b *fakeBackend) Sync(_ context.Context, changes map[model.PortName]model.Change) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.syncs++
	b.changed = len(changes)
	full := !b.written
	if full {
		b.fulls++
	}
	b.written = b.err == nil
	return full, b.err
}

func (b *fakeBackend) Check(context.Context) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.intact {
		b.written, b.intact = false, true
		return false, nil
	}
	return true, nil
}

func (b *fakeBackend) Invalidate() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.written = false
}

func (b *fakeBackend) seen() (syncs, fulls, changed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.syncs, b.fulls, b.changed
}

func (b *fakeBackend) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func testService(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.5", ClusterIPs: []string{"10.96.0.5"},
			Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}}},
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, time.Minute, true, func(context.Context) (bool, error) { return ok(), nil })
	if err != nil {
		t.Fatalf("waiting until %s: %v", what, err)
	}
}

// TestLoop: events are taken together, failures repeated, lost rules written again.
func TestLoop(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Unix(1_000_000, 0))
	backend := &fakeBackend{intact: true}
	p := &Proxy{wake: make(chan struct{}, 1), config: Config{Clock: clock, MinSyncPeriod: time.Second, SyncPeriod: 30 * time.Second}}
	p.health = health.NewProxier(clock, time.Minute)
	p.services = health.NewServices(p.health.Healthy)
	f := newFamily(corev1.IPv4Protocol, "node-a")
	f.backend = backend
	p.families = []*family{f}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { p.loop(ctx); close(done) }()
	defer func() { cancel(); <-done }()

	// pause waits until the loop is in the pause after a sync, which is the
	// second waiter beside the ticker.
	pause := func() {
		t.Helper()
		eventually(t, "the loop pauses", func() bool { return clock.Waiters() == 2 })
	}
	expect := func(what string, wantSyncs, wantFulls, wantChanged int) {
		t.Helper()
		eventually(t, what, func() bool { syncs, _, _ := backend.seen(); return syncs >= wantSyncs })
		pause()
		if syncs, fulls, changed := backend.seen(); syncs != wantSyncs || fulls != wantFulls || changed != wantChanged {
			t.Errorf("%s: %d syncs, %d of them full, %d changes; want %d, %d, %d", what, syncs, fulls, changed, wantSyncs, wantFulls, wantChanged)
		}
	}
	expect("first sync without any Service", 1, 1, 0)
	p.setService(testService("a"))
	p.setService(testService("b"))
	p.setService(testService("b")) // nothing new
	clock.Step(time.Second)
	expect("two events in one sync", 2, 1, 2)

	clock.Step(time.Second)
	p.setService(testService("a")) // nothing new
	backend.fail(errors.New("no kernel today"))
	p.setService(testService("c"))
	expect("failing sync", 3, 1, 1)
	if p.health.Healthy() != true {
		t.Error("unhealthy before the time is over")
	}
	backend.fail(nil)
	clock.Step(firstRetry)
	expect("repeated sync writes everything", 4, 2, 0)

	backend.mu.Lock()
	backend.intact = false
	backend.mu.Unlock()
	clock.Step(30 * time.Second) // ends the pause and makes the loop look after the rules
	expect("lost rules", 5, 3, 0)
}

// TestFlowsOfGonePorts: flows to a Service that was deleted while neither rules
// nor flows could be changed are forgotten in the end, and rules do not wait for it.
func TestFlowsOfGonePorts(t *testing.T) {
	f := newFamily(corev1.IPv4Protocol, "node-a")
	backend := &fakeBackend{}
	f.backend = backend
	p := &Proxy{families: []*family{f}}
	deleted := conntrack.Flow{Dest: netip.MustParseAddrPort("10.96.0.5:53"), Reply: netip.MustParseAddrPort("10.244.0.2:53")}
	var flowsErr error
	stale := false
	f.forget = func(e *conntrack.Expected) (uint, error) {
		stale = e.Stale(deleted, func(netip.Addr) bool { return false })
		return 0, flowsErr
	}
	svc := testService("dns")
	svc.Spec.Ports = []corev1.ServicePort{{Port: 53, Protocol: corev1.ProtocolUDP}}
	p.wake, p.health = make(chan struct{}, 1), health.NewProxier(testingclock.NewFakeClock(time.Now()), time.Minute)
	p.setService(svc)
	if err := f.sync(t.Context()); err != nil || p.flowsLeft() {
		t.Fatalf("first sync: %v, flows left: %v", err, p.flowsLeft())
	}
	p.deleteService(svc)
	stale = false
	backend.fail(errors.New("no kernel today"))
	if err := f.sync(t.Context()); err == nil {
		t.Fatal("the failure is not reported")
	}
	backend.fail(nil)
	flowsErr = errors.New("no netlink today")
	if err := f.sync(t.Context()); err != nil || !p.flowsLeft() {
		t.Errorf("rules without flows: %v, flows left: %v", err, p.flowsLeft())
	}
	flowsErr, stale = nil, false
	if err := f.sync(t.Context()); err != nil || !stale || p.flowsLeft() {
		t.Errorf("at last: %v, flow is stale: %v, flows left: %v", err, stale, p.flowsLeft())
	}
}

func TestNew(t *testing.T) {
	good := Config{RESTConfig: &rest.Config{}, NodeName: "node-a"}
	tests := []struct {
		name    string
		change  func(*Config)
		problem string
		want    int // families
	}{
		{"IPv4 by default", func(*Config) {}, "", 1},
		{"dual stack by service CIDRs", func(c *Config) {
			c.ServiceCIDRs = []netip.Prefix{netip.MustParsePrefix("fd00::/112"), netip.MustParsePrefix("10.96.0.0/16")}
		}, "", 2},
		{"IPv6 by node address", func(c *Config) { c.NodeIPs = []netip.Addr{netip.MustParseAddr("fd00::1")} }, "", 1},
		{"no client", func(c *Config) { c.RESTConfig = nil }, "RESTConfig", 0},
		{"no node", func(c *Config) { c.NodeName = "" }, "NodeName", 0},
		{"unknown mode", func(c *Config) { c.Mode = "userspace" }, `"userspace" is not known`, 0},
		{"two CIDRs of a family", func(c *Config) {
			c.ClusterCIDRs = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("10.2.0.0/16")}
		}, "two cluster CIDRs", 0},
	}
	for _, test := range tests {
		c := good
		test.change(&c)
		p, err := New(c)
		if (err == nil) != (test.problem == "") || err != nil && !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.problem)
		}
		if err == nil && len(p.families) != test.want {
			t.Errorf("%s: %d families, want %d", test.name, len(p.families), test.want)
		}
	}
}

func TestOptions(t *testing.T) {
	o := NewOptions()
	o.Kubeconfig = "/some/file"
	if problems := o.Validate(); len(problems) != 0 {
		t.Errorf("defaults: %v", problems)
	}
	o.Kubeconfig, o.ClusterCIDR, o.NodeIPs, o.MasqueradeBit, o.Mode = "", "10.244.0.0", []string{"x"}, 32, "ipvs"
	if problems := o.Validate(); len(problems) != 5 {
		t.Errorf("got %d problems, want 5: %v", len(problems), problems)
	}
}

func TestNodeEligible(t *testing.T) {
	now := metav1.Now()
	for _, test := range []struct {
		name string
		node corev1.Node
		want bool
	}{
		{"plain", corev1.Node{}, true},
		{"deleted", corev1.Node{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}}, false},
		{"taint of the autoscaler", corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: taintDeletion}}}}, false},
		{"other taint", corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "x"}}}}, true},
	} {
		if got := nodeEligible(&test.node); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
