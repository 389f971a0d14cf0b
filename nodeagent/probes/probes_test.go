package probes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

const uid = types.UID("u1")

// world is a manager whose exec probes succeed unless their command is in bad (it
// fails) or in broken (it cannot be tried).
type world struct {
	t       *testing.T
	clock   *clocktesting.FakeClock
	manager *Manager
	cancel  context.CancelFunc

	mu          sync.Mutex
	bad, broken map[string]bool
	block       bool // tries last until they are cut off
	ran         []string
	cut         int
	events      []string
	changed     int
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, clock: clocktesting.NewFakeClock(time.Unix(1000, 0)), bad: map[string]bool{}, broken: map[string]bool{}}
	ctx, cancel := context.WithCancel(t.Context())
	w.cancel = cancel
	t.Cleanup(cancel)
	var err error
	w.manager, err = New(ctx, Config{
		Engine: w, Clock: w.clock,
		Changed: func(types.UID) { w.locked(func() { w.changed++ }) },
		Unhealthy: func(_ *corev1.Pod, c *corev1.Container, message string) {
			w.locked(func() { w.events = append(w.events, c.Name+": "+message) })
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) locked(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// ExecSync implements handlers.Execer.
func (w *world) ExecSync(ctx context.Context, id string, command []string, _ time.Duration) (runtime.ExecResult, error) {
	w.mu.Lock()
	w.ran = append(w.ran, id+"/"+command[0])
	bad, broken, block := w.bad[command[0]], w.broken[command[0]], w.block
	w.mu.Unlock()
	switch {
	case block:
		<-ctx.Done()
		w.locked(func() { w.cut++ })
		return runtime.ExecResult{}, ctx.Err()
	case broken:
		return runtime.ExecResult{}, errors.New("no engine")
	case bad:
		return runtime.ExecResult{ExitCode: 1, Stdout: []byte("bad")}, nil
	}
	return runtime.ExecResult{}, nil
}

func (w *world) eventually(what string, condition func() bool) {
	w.t.Helper()
	err := wait.PollUntilContextTimeout(w.t.Context(), time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		return condition(), nil
	})
	if err != nil {
		w.t.Fatalf("not seen: %s; ran %q, events %q", what, w.tries(), w.said())
	}
}

func (w *world) tries() (ran []string) {
	w.locked(func() { ran = slices.Clone(w.ran) })
	return ran
}

func (w *world) said() (events []string) {
	w.locked(func() { events = slices.Clone(w.events) })
	return events
}

// step moves the clock, waits until n more tries have run and until timers timers wait.
func (w *world) step(d time.Duration, n, timers int) {
	w.t.Helper()
	want := len(w.tries()) + n
	w.clock.Step(d)
	w.eventually(fmt.Sprintf("%d tries and %d timers after %v", n, timers, d), func() bool {
		return len(w.tries()) >= want && w.clock.Waiters() == timers
	})
	if got := len(w.tries()); got != want {
		w.t.Fatalf("%d tries too many: %q", got-want, w.tries())
	}
}

func probe(command string, change func(*corev1.Probe)) *corev1.Probe {
	p := &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{command}}},
		PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3,
	}
	if change != nil {
		change(p)
	}
	return p
}

func podOf(c corev1.Container) *corev1.Pod {
	c.Name = "c"
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: uid}, Spec: corev1.PodSpec{Containers: []corev1.Container{c}}}
}

// runs tells the manager that the pod's container has just started.
func (w *world) runs(pod *corev1.Pod, id string) {
	w.manager.Sync(pod, "10.0.0.1", map[string]Running{"c": {ID: id, StartedAt: w.clock.Now()}})
}

// Conformance: "Probing container with readiness probe should not be ready before
// initial delay and never restart".
func TestReadiness(t *testing.T) {
	w := newWorld(t)
	pod := podOf(corev1.Container{ReadinessProbe: probe("ready", func(p *corev1.Probe) {
		p.InitialDelaySeconds, p.SuccessThreshold, p.FailureThreshold = 30, 2, 2
	})})
	spec := &pod.Spec.Containers[0]
	ready := func() bool { return w.manager.Ready(uid, spec, "1") }
	expect := func(want bool, changes int) {
		t.Helper()
		w.eventually(fmt.Sprintf("ready %v after %d changes", want, changes), func() bool {
			w.mu.Lock()
			changed := w.changed
			w.mu.Unlock()
			return ready() == want && changed == changes
		})
	}
	w.runs(pod, "1")
	w.step(30*time.Second-1, 0, 1)
	expect(false, 0)
	w.step(1, 1, 1)
	expect(false, 0)
	w.step(10*time.Second, 1, 1)
	expect(true, 1)
	w.locked(func() { w.bad["ready"] = true })
	w.step(10*time.Second, 1, 1)
	expect(true, 1)
	w.locked(func() { w.broken["ready"] = true })
	w.step(10*time.Second, 1, 1) // counts for nothing
	expect(true, 1)
	w.locked(func() { w.broken["ready"] = false })
	w.step(10*time.Second, 1, 1)
	expect(false, 2)
	if w.manager.Unhealthy(uid, "c", "1") != nil {
		t.Error("a readiness probe restarts the container")
	}
	w.eventually("events", func() bool { return len(w.said()) == 3 })
	want := []string{"c: Readiness probe failed: bad", "c: Readiness probe errored and resulted in unknown state: no engine", "c: Readiness probe failed: bad"}
	if got := w.said(); !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// Conformance: "Probing container should be restarted with a exec "cat /tmp/health"
// liveness probe", "... should *not* be restarted with a exec "cat /tmp/health"
// liveness probe".
func TestLiveness(t *testing.T) {
	w := newWorld(t)
	grace := int64(7)
	pod := podOf(corev1.Container{LivenessProbe: probe("live", func(p *corev1.Probe) { p.TerminationGracePeriodSeconds = &grace })})
	w.runs(pod, "1")
	w.step(0, 1, 1)
	w.locked(func() { w.bad["live"] = true })
	w.step(10*time.Second, 1, 1)
	w.step(10*time.Second, 1, 1)
	if f := w.manager.Unhealthy(uid, "c", "1"); f != nil {
		t.Fatalf("unhealthy too early: %+v", f)
	}
	w.step(10*time.Second, 1, 0) // it does not go on
	f := w.manager.Unhealthy(uid, "c", "1")
	if f == nil || f.Kind != "Liveness" || f.Message != "bad" || f.Grace == nil || *f.Grace != grace {
		t.Fatalf("got %+v", f)
	}
	w.runs(pod, "2") // its successor starts healthy
	if w.manager.Unhealthy(uid, "c", "2") != nil || w.manager.Unhealthy(uid, "c", "1") != nil {
		t.Error("the new container is unhealthy")
	}
	w.step(0, 1, 1)
	if got := w.tries(); got[len(got)-1] != "2/live" {
		t.Errorf("tried %q", got)
	}
}

// The others wait for the startup probe; their initial delay counts from the
// container's start.
func TestStartupGates(t *testing.T) {
	w := newWorld(t)
	pod := podOf(corev1.Container{
		StartupProbe:   probe("start", nil),
		LivenessProbe:  probe("live", func(p *corev1.Probe) { p.InitialDelaySeconds = 15 }),
		ReadinessProbe: probe("ready", func(p *corev1.Probe) { p.InitialDelaySeconds = 5 }),
	})
	spec := &pod.Spec.Containers[0]
	w.locked(func() { w.bad["start"] = true })
	w.runs(pod, "1")
	w.step(0, 1, 1)
	if w.manager.Started(uid, spec, "1") || w.manager.Ready(uid, spec, "1") {
		t.Error("started before its startup probe succeeded")
	}
	w.locked(func() { w.bad["start"] = false })
	w.step(10*time.Second, 1, 2) // liveness and readiness wait
	w.eventually("started", func() bool { return w.manager.Started(uid, spec, "1") })
	w.step(0, 1, 2)
	w.eventually("ready", func() bool { return w.manager.Ready(uid, spec, "1") })
	w.step(5*time.Second, 1, 2)
	want := []string{"1/start", "1/start", "1/ready", "1/live"}
	if got := w.tries(); !slices.Equal(got, want) {
		t.Errorf("tried %q, want %q", got, want)
	}
}

func TestStartupFails(t *testing.T) {
	w := newWorld(t)
	w.locked(func() { w.bad["start"] = true })
	w.runs(podOf(corev1.Container{StartupProbe: probe("start", func(p *corev1.Probe) { p.FailureThreshold = 1 }), LivenessProbe: probe("live", nil)}), "1")
	w.step(0, 1, 0)
	if f := w.manager.Unhealthy(uid, "c", "1"); f == nil || f.Kind != "Startup" {
		t.Errorf("got %+v", f)
	}
}

// After a restart of the node agent what the API shows stays until a probe turns it.
func TestAdoption(t *testing.T) {
	w := newWorld(t)
	pod := podOf(corev1.Container{StartupProbe: probe("start", nil), ReadinessProbe: probe("ready", nil)})
	spec, started := &pod.Spec.Containers[0], true
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", ContainerID: "docker://1", Started: &started, Ready: true}}
	w.manager.Sync(pod, "10.0.0.1", map[string]Running{"c": {ID: "1", StartedAt: w.clock.Now().Add(-time.Hour)}})
	if !w.manager.Started(uid, spec, "1") || !w.manager.Ready(uid, spec, "1") {
		t.Error("not adopted")
	}
	w.step(time.Second, 1, 1) // spread over a second; startup is over
	if got := w.tries(); !slices.Equal(got, []string{"1/ready"}) {
		t.Errorf("tried %q", got)
	}
	w.runs(pod, "2")
	if w.manager.Started(uid, spec, "2") || w.manager.Ready(uid, spec, "2") {
		t.Error("another container got the old one's results")
	}
}

// Tries under way are cut off and say nothing.
func TestEnds(t *testing.T) {
	pod := podOf(corev1.Container{LivenessProbe: probe("live", func(p *corev1.Probe) { p.FailureThreshold = 1 })})
	for name, end := range map[string]func(*world){
		"Forget":        func(w *world) { w.manager.Forget(uid) },
		"new container": func(w *world) { w.runs(pod, "2") },
		"no container":  func(w *world) { w.manager.Sync(pod, "10.0.0.1", nil) },
		"the manager":   func(w *world) { w.cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.locked(func() { w.block = true })
			w.runs(pod, "1")
			w.step(0, 1, 0)
			end(w)
			w.eventually("the try is cut off", func() (cut bool) { w.locked(func() { cut = w.cut == 1 }); return cut })
			timers := 0
			if name == "new container" {
				timers = 1
			}
			w.eventually("no timer is left", func() bool { return w.clock.Waiters() == timers })
			if got := w.said(); len(got) > 0 || w.manager.Unhealthy(uid, "c", "1") != nil {
				t.Errorf("it said %q", got)
			}
		})
	}
}

// A pod that is being deleted is not restarted, but still as ready as it is.
func TestDeletedPod(t *testing.T) {
	w := newWorld(t)
	pod := podOf(corev1.Container{LivenessProbe: probe("live", nil), ReadinessProbe: probe("ready", nil)})
	w.runs(pod, "1")
	w.step(0, 2, 2)
	pod = pod.DeepCopy()
	pod.DeletionTimestamp = &metav1.Time{Time: w.clock.Now()}
	w.runs(pod, "1")
	w.step(10*time.Second, 1, 1)
	if got := w.tries(); !strings.HasSuffix(got[len(got)-1], "/ready") {
		t.Errorf("tried %q", got)
	}
}

// Without an address nothing is sent, least of all to the node itself.
func TestNoAddressYet(t *testing.T) {
	w := newWorld(t)
	p := probe("", func(p *corev1.Probe) {
		p.FailureThreshold = 1
		p.ProbeHandler = corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{}}
		p.TCPSocket.Port.IntVal = 1
	})
	pod := podOf(corev1.Container{LivenessProbe: p})
	now := map[string]Running{"c": {ID: "1", StartedAt: w.clock.Now()}}
	w.manager.Sync(pod, "", now)
	w.step(0, 0, 1)
	w.step(10*time.Second, 0, 1)
	if got := w.said(); len(got) > 0 {
		t.Errorf("it said %q", got)
	}
	w.manager.Sync(pod, "127.0.0.1", now)
	w.step(10*time.Second, 0, 0) // the address is used as soon as it is known
	w.eventually("unhealthy", func() bool { return w.manager.Unhealthy(uid, "c", "1") != nil })
}
