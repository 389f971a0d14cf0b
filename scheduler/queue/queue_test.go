package queue

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/scheduler/plugins/prioritysort"
	"github.com/skiff-project/skiff/scheduler/plugins/schedulinggates"
)

var (
	nodeAdded  = fwk.ClusterEvent{Resource: fwk.Node, ActionType: fwk.Add}
	podDeleted = fwk.ClusterEvent{Resource: fwk.AssignedPod, ActionType: fwk.Delete}
	nodeLabel  = fwk.ClusterEvent{Resource: fwk.Node, ActionType: fwk.UpdateNodeLabel}
)

// newTestQueue knows two plugins: Fit is helped by pods that go and by new nodes
// unless the hint says "small"; Label by new labels of nodes.
func newTestQueue(t *testing.T) (*Queue, *clocktesting.FakeClock) {
	t.Helper()
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	hint := func(_ klog.Logger, _ *corev1.Pod, _, newObj any) (fwk.QueueingHint, error) {
		if newObj == "small" {
			return fwk.QueueSkip, nil
		}
		return fwk.Queue, nil
	}
	gates := schedulinggates.Plugin{}
	return New(Config{
		Less:  prioritysort.Plugin{}.Less,
		Clock: clock,
		PreEnqueue: func(ctx context.Context, pod *corev1.Pod) *fwk.Status {
			if status := gates.PreEnqueue(ctx, pod); !status.IsSuccess() {
				return status.WithPlugin(gates.Name())
			}
			return nil
		},
		Events: map[string][]fwk.ClusterEventWithHint{
			"Fit":   {{Event: podDeleted}, {Event: nodeAdded, QueueingHintFn: hint}},
			"Label": {{Event: fwk.ClusterEvent{Resource: fwk.Node, ActionType: fwk.UpdateNodeLabel}}},
		},
	}), clock
}

func newPod(name string, priority int32) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)},
		Spec:       corev1.PodSpec{Priority: ptr.To(priority)},
	}
}

// mustPop returns the next pod, which must be there already.
func mustPop(t *testing.T, q *Queue, want string) *Pod {
	t.Helper()
	p, _ := q.tryPop(t.Context())
	if p == nil {
		t.Fatalf("no pod is active, want %s", want)
	}
	if p.Pod.Name != want {
		t.Fatalf("popped %s, want %s", p.Pod.Name, want)
	}
	return p
}

func mustBeEmpty(t *testing.T, q *Queue) {
	t.Helper()
	if p, _ := q.tryPop(t.Context()); p != nil {
		t.Fatalf("%s is active, want none", p.Pod.Name)
	}
}

func TestOrder(t *testing.T) {
	q, clock := newTestQueue(t)
	q.Add(t.Context(), newPod("first", 0))
	clock.Step(time.Second)
	q.Add(t.Context(), newPod("second", 0))
	q.Add(t.Context(), newPod("urgent", 10))
	for _, want := range []string{"urgent", "first", "second"} {
		q.Done(mustPop(t, q, want))
	}
	mustBeEmpty(t, q)
}

func TestOnlyHelpfulEventsWake(t *testing.T) {
	for name, test := range map[string]struct {
		rejectedBy string
		event      fwk.ClusterEvent
		newObj     any
		wakes      bool
	}{
		"registered":              {"Fit", podDeleted, nil, true},
		"of another plugin":       {"Fit", nodeLabel, nil, false},
		"the hint says yes":       {"Fit", nodeAdded, "big", true},
		"the hint says no":        {"Fit", nodeAdded, "small", false},
		"of the plugin":           {"Label", nodeLabel, nil, true},
		"a plugin without events": {"Unknown", nodeLabel, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			q, clock := newTestQueue(t)
			q.Add(t.Context(), newPod("p", 0))
			p := mustPop(t, q, "p")
			q.Reject(t.Context(), p, p.Pod, sets.New(test.rejectedBy))
			clock.Step(time.Minute) // the back-off is over
			q.Notify(t.Context(), test.event, nil, test.newObj)
			if test.wakes {
				mustPop(t, q, "p")
			} else {
				mustBeEmpty(t, q)
			}
		})
	}
}

// Each rejection doubles the wait, from 1 s up to 10 s.
func TestBackoff(t *testing.T) {
	q, clock := newTestQueue(t)
	q.Add(t.Context(), newPod("p", 0))
	for _, wait := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second} {
		p := mustPop(t, q, "p")
		q.Reject(t.Context(), p, p.Pod, sets.New("Fit"))
		q.Notify(t.Context(), podDeleted, nil, nil)
		clock.Step(wait - time.Millisecond)
		mustBeEmpty(t, q)
		clock.Step(time.Millisecond)
	}
	mustPop(t, q, "p")
}

// An event that comes while a pod is being worked on is not lost.
func TestEventDuringTheFlight(t *testing.T) {
	q, clock := newTestQueue(t)
	q.Add(t.Context(), newPod("p", 0))
	p := mustPop(t, q, "p")
	q.Notify(t.Context(), podDeleted, nil, nil)
	q.Reject(t.Context(), p, p.Pod, sets.New("Fit"))
	clock.Step(time.Second)
	p = mustPop(t, q, "p")
	// What happened before this flight does not count for it.
	q.Reject(t.Context(), p, p.Pod, sets.New("Fit"))
	clock.Step(time.Minute)
	mustBeEmpty(t, q)
	if q.log != nil {
		t.Errorf("%d events are kept though no pod is in flight", len(q.log))
	}
}

func TestGate(t *testing.T) {
	q, _ := newTestQueue(t)
	gated := newPod("p", 0)
	gated.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "wait"}}
	q.Add(t.Context(), gated)
	q.Notify(t.Context(), podDeleted, nil, nil)
	mustBeEmpty(t, q)
	q.Update(t.Context(), gated, newPod("p", 0), nil)
	mustPop(t, q, "p")
}

func TestStalePodsAreTriedAgain(t *testing.T) {
	q, clock := newTestQueue(t)
	q.Add(t.Context(), newPod("p", 0))
	p := mustPop(t, q, "p")
	q.Reject(t.Context(), p, p.Pod, sets.New("Fit"))
	clock.Step(5*time.Minute - time.Second)
	mustBeEmpty(t, q)
	clock.Step(time.Second)
	mustPop(t, q, "p")
}

func TestDelete(t *testing.T) {
	q, clock := newTestQueue(t)
	for _, name := range []string{"active", "waiting", "unschedulable"} {
		q.Add(t.Context(), newPod(name, 0))
		clock.Step(time.Millisecond) // so that their order is known
	}
	q.Done(mustPop(t, q, "active"))
	p := mustPop(t, q, "waiting")
	q.Retry(t.Context(), p, p.Pod)
	p = mustPop(t, q, "unschedulable")
	q.Reject(t.Context(), p, p.Pod, sets.New("Fit"))
	q.Add(t.Context(), newPod("active", 0))
	for _, name := range []types.UID{"active", "waiting", "unschedulable"} {
		q.Delete(name)
	}
	clock.Step(time.Hour)
	mustBeEmpty(t, q)
	if a, b, u := q.Lengths(); a+b+u != 0 {
		t.Errorf("lengths are %d, %d, %d", a, b, u)
	}
}

func TestPopWaits(t *testing.T) {
	q, _ := newTestQueue(t)
	popped := make(chan string)
	go func() {
		if p, err := q.Pop(t.Context()); err == nil {
			popped <- p.Pod.Name
		}
	}()
	q.Add(t.Context(), newPod("p", 0))
	if got := <-popped; got != "p" {
		t.Errorf("popped %s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Pop(ctx); err == nil {
		t.Error("Pop returned a pod after the end")
	}
}
