package podcontrol

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// pod builds a running, ready pod on node n, an hour old, and changes it.
func pod(name string, change func(*corev1.Pod)) *corev1.Pod {
	old := metav1.NewTime(now.Add(-time.Hour))
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns", UID: types.UID(name), CreationTimestamp: old},
		Spec:       corev1.PodSpec{NodeName: "n"},
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: old}},
		},
	}
	if change != nil {
		change(p)
	}
	return p
}

func TestVictims(t *testing.T) {
	unready := func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }
	cost := func(c string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.PodDeletionCost: c} }
	}
	readyFor := func(d time.Duration) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Status.Conditions[0].LastTransitionTime = metav1.NewTime(now.Add(-d)) }
	}
	tests := []struct {
		name string
		pods []*corev1.Pod
		want []string // in order of deletion, all but the last pod
	}{
		{"unassigned first", []*corev1.Pod{pod("a", nil), pod("b", func(p *corev1.Pod) { p.Spec.NodeName = "" })}, []string{"b"}},
		{"then by phase", []*corev1.Pod{
			pod("running", unready),
			pod("unknown", func(p *corev1.Pod) { p.Status.Phase = corev1.PodUnknown; unready(p) }),
			pod("pending", func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending; unready(p) }),
		}, []string{"pending", "unknown"}},
		{"not ready before ready", []*corev1.Pod{pod("a", nil), pod("b", unready)}, []string{"b"}},
		{"ready beats a low cost", []*corev1.Pod{pod("a", cost("-100")), pod("b", unready)}, []string{"b"}},
		{"lower cost first", []*corev1.Pod{pod("a", cost("10")), pod("b", nil), pod("c", cost("-3"))}, []string{"c", "b"}},
		{"malformed costs count nothing", []*corev1.Pod{pod("a", cost("+5")), pod("b", cost("-1")), pod("c", cost("5"))}, []string{"b", "a"}},
		{"crowded node first", []*corev1.Pod{
			pod("alone", func(p *corev1.Pod) { p.Spec.NodeName = "m" }),
			pod("x", nil), pod("y", nil),
		}, []string{"x", "y"}},
		{"ready for a shorter time first", []*corev1.Pod{pod("long", readyFor(time.Hour)), pod("short", readyFor(time.Minute))}, []string{"short"}},
		{"of the same magnitude by UID", []*corev1.Pod{pod("b", readyFor(59*time.Minute)), pod("a", readyFor(60*time.Minute))}, []string{"a"}},
		{"more restarts first", []*corev1.Pod{
			pod("calm", nil),
			pod("restless", func(p *corev1.Pod) { p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 3}} }),
		}, []string{"restless"}},
		{"younger first", []*corev1.Pod{
			pod("old", unready),
			pod("young", func(p *corev1.Pod) { unready(p); p.CreationTimestamp = metav1.NewTime(now.Add(-time.Second)) }),
		}, []string{"young"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, p := range Victims(test.pods, test.pods, len(test.pods)-1, now) {
				got = append(got, p.Name)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestClassify(t *testing.T) {
	owner := &corev1.ReplicationController{ObjectMeta: metav1.ObjectMeta{Name: "rc", UID: "me"}}
	deleted := owner.DeepCopy()
	deleted.DeletionTimestamp = &metav1.Time{Time: now}
	labelled := func(name, app string, controller types.UID) *corev1.Pod {
		return pod(name, func(p *corev1.Pod) {
			p.Labels = map[string]string{"app": app}
			if controller != "" {
				p.OwnerReferences = []metav1.OwnerReference{{UID: controller, Controller: ptr.To(true)}}
			}
		})
	}
	dying := labelled("dying", "web", "")
	dying.DeletionTimestamp = &metav1.Time{Time: now}
	pods := []*corev1.Pod{
		labelled("mine", "web", "me"), labelled("strayed", "other", "me"), labelled("free", "web", ""),
		labelled("foreign", "web", "you"), labelled("unrelated", "other", ""), dying,
	}
	names := func(pods []*corev1.Pod) []string {
		var out []string
		for _, p := range pods {
			out = append(out, p.Name)
		}
		return out
	}
	selector := labels.SelectorFromSet(labels.Set{"app": "web"})
	got := Classify(owner, selector, pods)
	if o, a, r := names(got.Owned), names(got.Adopt), names(got.Release); !slices.Equal(o, []string{"mine"}) || !slices.Equal(a, []string{"free"}) || !slices.Equal(r, []string{"strayed"}) {
		t.Errorf("owned %v, adopt %v, release %v", o, a, r)
	}
	got = Classify(deleted, selector, pods)
	if o, a, r := names(got.Owned), names(got.Adopt), names(got.Release); !slices.Equal(o, []string{"mine"}) || a != nil || r != nil {
		t.Errorf("while being deleted: owned %v, adopt %v, release %v", o, a, r)
	}
}

func TestSlowStart(t *testing.T) {
	run := func(n, failFrom int) (calls, ok int, err error) {
		var mu sync.Mutex
		ok, err = SlowStart(n, func(i int) error {
			mu.Lock()
			defer mu.Unlock()
			calls++
			if i >= failFrom {
				return errors.New("refused")
			}
			return nil
		})
		return calls, ok, err
	}
	for _, test := range []struct{ n, failFrom, calls, ok int }{
		{10, 10, 10, 10},
		{1000, 0, 1, 0},
		{1000, 1, 3, 1},
		{1000, 5, 7, 5},
		{0, 0, 0, 0},
	} {
		calls, ok, err := run(test.n, test.failFrom)
		if calls != test.calls || ok != test.ok || (err != nil) != (test.failFrom < test.n) {
			t.Errorf("%d calls failing from %d: %d calls, %d ok, %v; want %d and %d", test.n, test.failFrom, calls, ok, err, test.calls, test.ok)
		}
	}
}

// memory is a Store.
type memory struct {
	version string
	pods    map[string]*corev1.Pod
}

func (m *memory) GetByKey(key string) (any, bool, error) { p, ok := m.pods[key]; return p, ok, nil }
func (m *memory) LastStoreSyncResourceVersion() string   { return m.version }

func TestPending(t *testing.T) {
	store := &memory{version: "100", pods: map[string]*corev1.Pod{"ns/victim": pod("victim", nil)}}
	clock := clocktesting.NewFakePassiveClock(now)
	p := NewPending(store, clock)
	settled := func(want bool, when string) {
		t.Helper()
		if got := p.Settled("rs"); got != want {
			t.Fatalf("%s: settled %t", when, got)
		}
	}
	settled(true, "at first")

	p.Created("rs", pod("new", func(p *corev1.Pod) { p.ResourceVersion = "105" }))
	p.Created("rs", pod("new2", func(p *corev1.Pod) { p.ResourceVersion = "103" }))
	settled(false, "after a creation")
	store.version = "104"
	settled(false, "when the cache shows a part")
	if !p.Settled("other") {
		t.Error("another owner waits for pods that are not its own")
	}
	store.version = "105"
	settled(true, "when the cache shows all")

	p.Deleted("rs", pod("victim", nil))
	settled(false, "after a deletion")
	store.pods["ns/victim"] = pod("victim", func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: now} })
	settled(true, "when the pod terminates")

	p.Deleted("rs", pod("victim", func(p *corev1.Pod) { p.UID = "earlier" }))
	settled(true, "when the name belongs to another pod")

	p.Created("rs", pod("lost", func(p *corev1.Pod) { p.ResourceVersion = "999" }))
	clock.SetTime(now.Add(4 * time.Minute))
	settled(false, "while there is hope")
	clock.SetTime(now.Add(6 * time.Minute))
	settled(true, "when the cache will never show it")

	p.Created("rs", pod("x", func(p *corev1.Pod) { p.ResourceVersion = "1000" }))
	p.Forget("rs")
	settled(true, "after the owner is gone")
}

func TestAvailability(t *testing.T) {
	ready := pod("p", func(p *corev1.Pod) {
		p.Status.Conditions[0].LastTransitionTime = metav1.NewTime(now.Add(-10 * time.Second))
	})
	unready := pod("u", func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse })
	if !Available(ready, 0, now) || !Available(ready, 10, now) || Available(ready, 11, now) || Available(unready, 0, now) {
		t.Error("availability is off")
	}
	if got := NextAvailable([]*corev1.Pod{ready, unready}, 15, now); got != 5*time.Second {
		t.Errorf("next in %s, want 5s", got)
	}
	if got := NextAvailable([]*corev1.Pod{ready}, 5, now); got != 0 {
		t.Errorf("next in %s although all are available", got)
	}
}
