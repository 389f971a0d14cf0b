package podgc

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPlan(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	pod := func(name, node string, phase corev1.PodPhase, age time.Duration, change func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(now.Add(-age))},
			Spec:       corev1.PodSpec{NodeName: node}, Status: corev1.PodStatus{Phase: phase},
		}
		if change != nil {
			change(p)
		}
		return p
	}
	deleted := func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: now} }
	evicted := func(p *corev1.Pod) { p.Status.Reason = "Evicted" }
	nodes := map[string]*corev1.Node{
		"good": {},
		"out":  {Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: corev1.TaintNodeOutOfService, Effect: corev1.TaintEffectNoExecute}}}},
	}
	pods := []*corev1.Pod{
		pod("running", "good", corev1.PodRunning, time.Hour, nil),
		pod("pending", "", corev1.PodPending, time.Hour, nil),
		pod("unscheduled-deleted", "", corev1.PodPending, time.Hour, deleted),
		pod("terminating", "good", corev1.PodRunning, time.Hour, deleted),
		pod("orphan", "gone", corev1.PodRunning, time.Hour, nil),
		pod("quarantined", "missing", corev1.PodRunning, time.Hour, nil),
		pod("stuck", "out", corev1.PodRunning, time.Hour, deleted),
		pod("stays", "out", corev1.PodRunning, time.Hour, nil),
		pod("done-old", "good", corev1.PodSucceeded, 3*time.Hour, nil),
		pod("done-new", "good", corev1.PodFailed, time.Hour, nil),
		pod("done-evicted", "good", corev1.PodFailed, time.Minute, evicted),
	}
	c := cluster{pods: pods, nodes: nodes, missing: map[string]time.Time{"gone": now.Add(-time.Minute), "missing": now.Add(-30 * time.Second)}}
	names := func(threshold int) []string {
		removals, next := plan(c, threshold, now)
		if next != 10*time.Second {
			t.Errorf("quarantine ends in %s, want 10s", next)
		}
		var out []string
		for _, r := range removals {
			out = append(out, r.pod.Name)
			if (r.pod.Name == "orphan") != (r.node == "gone" && r.message == "PodGC: node no longer exists") {
				t.Errorf("%s: %+v", r.pod.Name, r)
			}
		}
		return out
	}
	always := []string{"unscheduled-deleted", "orphan", "stuck"}
	for threshold, more := range map[int][]string{
		-1: nil, 3: nil, 2: {"done-evicted"}, 1: {"done-evicted", "done-old"}, 0: {"done-evicted", "done-old", "done-new"},
	} {
		if got, want := names(threshold), append(slices.Clone(always), more...); !slices.Equal(got, want) {
			t.Errorf("threshold %d: %v, want %v", threshold, got, want)
		}
	}
}
