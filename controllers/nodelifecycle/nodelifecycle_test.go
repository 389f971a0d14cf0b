package nodelifecycle

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func node(ready corev1.ConditionStatus, taints ...corev1.Taint) *corev1.Node {
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "n", CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))},
		Spec:       corev1.NodeSpec{Taints: taints},
	}
	if ready != "" {
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready, LastHeartbeatTime: metav1.NewTime(now)}}
	}
	return n
}

func TestSilence(t *testing.T) {
	g := graces{running: 50 * time.Second, startup: time.Minute}
	if got := silentAt(node(corev1.ConditionTrue), now, g); !got.Equal(now.Add(50 * time.Second)) {
		t.Errorf("running: %s", got)
	}
	if got := silentAt(node(""), now, g); !got.Equal(now.Add(-59 * time.Minute)) {
		t.Errorf("never reported: %s", got)
	}

	n := node(corev1.ConditionTrue)
	n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionFalse})
	got, changed := silenced(n, now)
	var texts []string
	for _, c := range got {
		texts = append(texts, fmt.Sprintf("%s %s %s %s", c.Type, c.Status, c.Reason, c.Message))
	}
	want := []string{
		"Ready Unknown NodeStatusUnknown Kubelet stopped posting node status.",
		"NetworkUnavailable False  ",
		"MemoryPressure Unknown NodeStatusNeverUpdated Kubelet never posted node status.",
		"DiskPressure Unknown NodeStatusNeverUpdated Kubelet never posted node status.",
		"PIDPressure Unknown NodeStatusNeverUpdated Kubelet never posted node status.",
	}
	if diff := cmp.Diff(want, texts); diff != "" || !changed {
		t.Error(changed, diff)
	}
	if n.Status.Conditions[0].Status != corev1.ConditionTrue {
		t.Error("the node itself was changed")
	}
	n.Status.Conditions = got
	if _, changed := silenced(n, now.Add(time.Minute)); changed {
		t.Error("silenced twice")
	}
}

func TestTaints(t *testing.T) {
	taint := func(key string, effect corev1.TaintEffect) corev1.Taint {
		return corev1.Taint{Key: key, Effect: effect}
	}
	user := taint("dedicated", corev1.TaintEffectNoSchedule)
	cordoned := node(corev1.ConditionTrue)
	cordoned.Spec.Unschedulable = true
	pressed := node(corev1.ConditionTrue)
	for _, kind := range []corev1.NodeConditionType{corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeNetworkUnavailable} {
		pressed.Status.Conditions = append(pressed.Status.Conditions, corev1.NodeCondition{Type: kind, Status: corev1.ConditionTrue})
	}
	for _, test := range []struct {
		name     string
		node     *corev1.Node
		eviction Eviction
		want     []string
		changed  bool
	}{
		{"healthy", node(corev1.ConditionTrue, user), Evict, []string{"dedicated:NoSchedule"}, false},
		{"not ready", node(corev1.ConditionFalse, user), Evict, []string{"dedicated:NoSchedule", "node.kubernetes.io/not-ready:NoSchedule", "node.kubernetes.io/not-ready:NoExecute"}, true},
		{"unreachable", node(corev1.ConditionUnknown), Evict, []string{"node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"}, true},
		{"not its turn", node(corev1.ConditionUnknown), Hold, []string{"node.kubernetes.io/unreachable:NoSchedule"}, true},
		{"everything is lost", node(corev1.ConditionUnknown, taint(corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute)), Spare, []string{"node.kubernetes.io/unreachable:NoSchedule"}, true},
		{"what it had stays while it waits", node(corev1.ConditionUnknown, taint(corev1.TaintNodeUnreachable, corev1.TaintEffectNoSchedule), taint(corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute)), Hold,
			[]string{"node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute"}, false},
		{"answers, but is not ready", node(corev1.ConditionFalse, taint(corev1.TaintNodeUnreachable, corev1.TaintEffectNoSchedule), taint(corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute)), Evict,
			[]string{"node.kubernetes.io/not-ready:NoSchedule", "node.kubernetes.io/not-ready:NoExecute"}, true},
		{"recovered", node(corev1.ConditionTrue, user, taint(corev1.TaintNodeUnreachable, corev1.TaintEffectNoSchedule), taint(corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute)), Evict, []string{"dedicated:NoSchedule"}, true},
		{"cordoned", cordoned, Evict, []string{"node.kubernetes.io/unschedulable:NoSchedule"}, true},
		{"pressed", pressed, Evict, []string{"node.kubernetes.io/memory-pressure:NoSchedule", "node.kubernetes.io/disk-pressure:NoSchedule", "node.kubernetes.io/network-unavailable:NoSchedule", "node.kubernetes.io/pid-pressure:NoSchedule"}, true},
		{"never reported", node(""), Evict, []string{"node.kubernetes.io/not-ready:NoSchedule"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			taints, changed := Taints(test.node, test.eviction, now)
			var got []string
			for _, taint := range taints {
				got = append(got, taint.Key+":"+string(taint.Effect))
				isNew := !slices.ContainsFunc(test.node.Spec.Taints, func(old corev1.Taint) bool { return old.MatchTaint(&taint) })
				if isNew && (taint.TimeAdded == nil || !taint.TimeAdded.Time.Equal(now)) {
					t.Errorf("%s has no time", taint.Key)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" || changed != test.changed {
				t.Error(changed, diff)
			}
		})
	}
}

func TestZones(t *testing.T) {
	for _, test := range []struct {
		census census
		state  zoneState
		rate   float32
	}{
		{census{ready: 3}, zoneNormal, 0.1},
		{census{ready: 1, lost: 2}, zoneNormal, 0.1},
		{census{ready: 2, lost: 3}, zonePartial, 0},
		{census{ready: 30, lost: 70}, zonePartial, 0.01},
		{census{ready: 60, lost: 40}, zoneNormal, 0.1},
		{census{lost: 1}, zoneFull, 0.1},
		{census{}, zoneNormal, 0.1},
	} {
		if got := test.census.state(); got != test.state {
			t.Errorf("%+v: state %d, want %d", test.census, got, test.state)
		}
		if got := rate(test.census, 0.1); got != test.rate {
			t.Errorf("%+v: rate %v, want %v", test.census, got, test.rate)
		}
	}
	zoned := func(zone string, ready corev1.ConditionStatus) corev1.Node {
		n := node(ready)
		n.Labels = map[string]string{corev1.LabelTopologyZone: zone}
		return *n
	}
	zones := count([]corev1.Node{zoned("a", corev1.ConditionTrue), zoned("a", corev1.ConditionUnknown), zoned("b", corev1.ConditionFalse)})
	if len(zones) != 2 || allLost(zones) {
		t.Errorf("%v", zones)
	}
	if !allLost(count([]corev1.Node{zoned("a", corev1.ConditionUnknown), zoned("b", corev1.ConditionFalse)})) {
		t.Error("a lost cluster goes unnoticed")
	}
	if allLost(nil) {
		t.Error("an empty cluster is not a lost one")
	}

	var l limits
	if !l.take("a", 0.001) || l.take("a", 0.001) || !l.take("b", 0.001) || l.take("c", 0) {
		t.Error("one node of each zone at a time")
	}
}

func TestTracker(t *testing.T) {
	tr := newTracker()
	beat := func(n *corev1.Node, heartbeat time.Time) *corev1.Node {
		n.Status.Conditions[0].LastHeartbeatTime = metav1.NewTime(heartbeat)
		return n
	}
	at := func(s int) time.Time { return now.Add(time.Duration(s) * time.Second) }

	isNew, fell, last := tr.node(node(corev1.ConditionTrue), at(0))
	if !isNew || fell || !last.Equal(at(0)) {
		t.Fatalf("at first: %t %t %s", isNew, fell, last)
	}
	// Clocks of nodes may be anywhere; what counts is that they move.
	tr.lease("n", at(-5000), at(10))
	if isNew, _, last = tr.node(node(corev1.ConditionTrue), at(11)); isNew || !last.Equal(at(10)) {
		t.Errorf("after a lease: %t %s", isNew, last)
	}
	tr.lease("n", at(-5000), at(20))
	if _, _, last = tr.node(node(corev1.ConditionTrue), at(21)); !last.Equal(at(10)) {
		t.Errorf("an unchanged lease counts: %s", last)
	}
	if _, _, last = tr.node(beat(node(corev1.ConditionTrue), at(5)), at(30)); !last.Equal(at(30)) {
		t.Errorf("a heartbeat does not count: %s", last)
	}
	if _, fell, last = tr.node(beat(node(corev1.ConditionUnknown), at(5)), at(80)); !fell || !last.Equal(at(30)) || !tr.unmarked("n") {
		t.Errorf("our own verdict: %t %s", fell, last)
	}
	if _, fell, _ = tr.node(beat(node(corev1.ConditionUnknown), at(5)), at(81)); fell || !tr.unmarked("n") {
		t.Error("it falls once, and stays to be marked")
	}
	tr.marked("n")
	if tr.unmarked("n") {
		t.Error("marked is forgotten")
	}
	again := node(corev1.ConditionTrue)
	again.UID = "other"
	if isNew, _, _ = tr.node(again, at(90)); !isNew {
		t.Error("another node of the same name is new")
	}
	if uid, known := tr.forget("n"); uid != "other" || !known {
		t.Errorf("forget: %s %t", uid, known)
	}
	if _, known := tr.forget("n"); known {
		t.Error("forgotten twice")
	}
}
