package deployment

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func rollingDeployment(replicas int32, surge, unavailable string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "ns", UID: "d"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: ptr.To(intstr.Parse(surge)), MaxUnavailable: ptr.To(intstr.Parse(unavailable))},
			},
			ProgressDeadlineSeconds: ptr.To[int32](60),
			Template:                corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}},
		},
	}
}

// rs builds a set of a certain age rank, with so many replicas wanted, of which
// some are available.
func rs(name string, rank int, replicas, availableNow int32) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: types.UID(name),
			CreationTimestamp: metav1.NewTime(now.Add(time.Duration(rank) * time.Minute)),
		},
		Spec:   appsv1.ReplicaSetSpec{Replicas: &replicas},
		Status: appsv1.ReplicaSetStatus{Replicas: replicas, AvailableReplicas: availableNow, ReadyReplicas: availableNow, TerminatingReplicas: ptr.To[int32](0)},
	}
}

func TestFenceposts(t *testing.T) {
	for _, test := range []struct {
		replicas           int32
		surge, unavailable string
		wantSurge, wantUn  int32
	}{
		{10, "25%", "25%", 3, 2},
		{10, "2", "3", 2, 3},
		{1, "25%", "25%", 1, 0},
		{10, "0", "0", 0, 1},
		{10, "0%", "1%", 0, 1},
		{2, "0", "10", 0, 2},
		{0, "25%", "25%", 0, 0},
	} {
		d := rollingDeployment(test.replicas, test.surge, test.unavailable)
		surge, unavailable := Fenceposts(d)
		if surge != test.wantSurge || unavailable != test.wantUn {
			t.Errorf("%d replicas, %s/%s: %d/%d, want %d/%d", test.replicas, test.surge, test.unavailable, surge, unavailable, test.wantSurge, test.wantUn)
		}
	}
}

func TestNewSize(t *testing.T) {
	for _, test := range []struct {
		name     string
		replicas int32
		surge    string
		current  int32
		old      int32
		want     int32
	}{
		{"first rollout", 10, "25%", 0, 0, 10},
		{"room for the surge", 10, "2", 0, 10, 2},
		{"no room", 10, "2", 2, 10, 2},
		{"as the old ones go", 10, "2", 4, 5, 7},
		{"never beyond the size", 10, "50%", 8, 1, 10},
		{"too big", 3, "1", 5, 0, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := rollingDeployment(test.replicas, test.surge, "0")
			current, old := rs("new", 1, test.current, 0), rs("old", 0, test.old, 0)
			if got := NewSize(d, []*appsv1.ReplicaSet{old, current}, current); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
	d := rollingDeployment(4, "1", "1")
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	if got := NewSize(d, nil, nil); got != 4 {
		t.Errorf("recreate: %d, want all 4 at once", got)
	}
}

func sizes(resizes []Resize) map[string]int32 {
	out := make(map[string]int32)
	for _, r := range resizes {
		out[r.Set.Name] = r.To
	}
	return out
}

func TestShrinkOld(t *testing.T) {
	for _, test := range []struct {
		name    string
		d       *appsv1.Deployment
		current *appsv1.ReplicaSet
		old     []*appsv1.ReplicaSet
		want    map[string]int32
	}{
		{"nothing old", rollingDeployment(10, "0", "2"), rs("new", 9, 10, 10), nil, map[string]int32{}},
		{"may miss two", rollingDeployment(10, "0", "2"), rs("new", 9, 0, 0), []*appsv1.ReplicaSet{rs("old", 0, 10, 10)}, map[string]int32{"old": 8}},
		{"must wait for new pods", rollingDeployment(10, "2", "0"), rs("new", 9, 2, 0), []*appsv1.ReplicaSet{rs("old", 0, 10, 10)}, map[string]int32{}},
		{"a new pod serves", rollingDeployment(10, "2", "0"), rs("new", 9, 2, 1), []*appsv1.ReplicaSet{rs("old", 0, 10, 10)}, map[string]int32{"old": 9}},
		{"unhealthy old pods go first", rollingDeployment(10, "0", "2"), rs("new", 9, 0, 0), []*appsv1.ReplicaSet{rs("older", 0, 5, 5), rs("old", 1, 5, 3)}, map[string]int32{"old": 3}},
		{"oldest first", rollingDeployment(10, "5", "0"), rs("new", 9, 5, 5), []*appsv1.ReplicaSet{rs("old", 1, 7, 7), rs("older", 0, 3, 3)}, map[string]int32{"older": 0, "old": 5}},
		{"a lagging status is not spent twice", rollingDeployment(4, "1", "1"), rs("new", 9, 2, 1), []*appsv1.ReplicaSet{rs("old", 0, 3, 4)}, map[string]int32{"old": 2}},
		{"rollout done", rollingDeployment(3, "1", "0"), rs("new", 9, 3, 3), []*appsv1.ReplicaSet{rs("old", 0, 1, 1)}, map[string]int32{"old": 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, sizes(ShrinkOld(test.d, test.current, test.old))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A rollout simulated over many sizes and strategies ends, and never leaves the
// bounds on its way.
func TestRolloutStaysWithinBounds(t *testing.T) {
	for _, replicas := range []int32{1, 2, 3, 7, 10, 33} {
		for _, strategy := range [][2]string{{"25%", "25%"}, {"1", "0"}, {"0", "1"}, {"100%", "0"}, {"0", "100%"}, {"3", "2"}} {
			t.Run(fmt.Sprint(replicas, strategy), func(t *testing.T) {
				d := rollingDeployment(replicas, strategy[0], strategy[1])
				surge, unavailable := Fenceposts(d)
				current, old := rs("new", 1, 0, 0), rs("old", 0, replicas, replicas)
				for step := 0; replicasOf(old) > 0 || current.Status.AvailableReplicas < replicas; step++ {
					if step > 1000 {
						t.Fatal("the rollout does not end")
					}
					if to := NewSize(d, []*appsv1.ReplicaSet{old, current}, current); to != replicasOf(current) {
						current.Spec.Replicas = &to
					} else if resizes := ShrinkOld(d, current, []*appsv1.ReplicaSet{old}); len(resizes) > 0 {
						old.Spec.Replicas = &resizes[0].To
						old.Status.AvailableReplicas = min(old.Status.AvailableReplicas, resizes[0].To)
					} else if current.Status.AvailableReplicas < replicasOf(current) {
						current.Status.AvailableReplicas++
					}
					if total := replicasOf(old) + replicasOf(current); total > replicas+surge {
						t.Fatalf("%d pods, at most %d are allowed", total, replicas+surge)
					}
					if serving := old.Status.AvailableReplicas + current.Status.AvailableReplicas; serving < replicas-unavailable {
						t.Fatalf("%d pods serve, at least %d must", serving, replicas-unavailable)
					}
				}
			})
		}
	}
}

// Conformance: "deployment should support proportional scaling" (the numbers of
// that test: 10 replicas with surge 3 and unavailability 2, in the middle of a
// rollout at 8 and 5, scaled to 30, become 20 and 13).
func TestProportional(t *testing.T) {
	noted := func(set *appsv1.ReplicaSet, size, maximum int32) *appsv1.ReplicaSet {
		set.Annotations, _ = annotateSize(nil, size, maximum)
		return set
	}
	for _, test := range []struct {
		name    string
		d       *appsv1.Deployment
		current *appsv1.ReplicaSet
		old     []*appsv1.ReplicaSet
		want    map[string]int32
	}{
		{"conformance", rollingDeployment(30, "3", "2"), noted(rs("new", 1, 5, 0), 10, 13), []*appsv1.ReplicaSet{noted(rs("old", 0, 8, 8), 10, 13)}, map[string]int32{"new": 13, "old": 20}},
		{"back again", rollingDeployment(10, "3", "2"), noted(rs("new", 1, 13, 0), 30, 33), []*appsv1.ReplicaSet{noted(rs("old", 0, 20, 20), 30, 33)}, map[string]int32{"new": 5, "old": 8}},
		{"to nothing", rollingDeployment(0, "3", "2"), noted(rs("new", 1, 5, 0), 10, 13), []*appsv1.ReplicaSet{noted(rs("old", 0, 8, 8), 10, 13)}, map[string]int32{"new": 0, "old": 0}},
		{"rounding goes to the biggest", rollingDeployment(11, "0", "1"), noted(rs("new", 1, 3, 3), 10, 10), []*appsv1.ReplicaSet{noted(rs("old", 0, 4, 4), 10, 10), noted(rs("older", -1, 3, 3), 10, 10)}, map[string]int32{"new": 3, "old": 5, "older": 3}},
		{"no change", rollingDeployment(10, "3", "2"), noted(rs("new", 1, 5, 0), 10, 13), []*appsv1.ReplicaSet{noted(rs("old", 0, 8, 8), 10, 13)}, map[string]int32{"new": 5, "old": 8}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, sizes(Proportional(test.d, test.current, test.old))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestScaledAndSaturated(t *testing.T) {
	d := rollingDeployment(3, "1", "0")
	set := rs("a", 0, 3, 3)
	set.Annotations, _ = annotateSize(nil, 3, 4)
	if Scaled(d, []*appsv1.ReplicaSet{set}) || !Saturated(d, set) {
		t.Error("a set of the right size counts as scaled, or not as saturated")
	}
	*d.Spec.Replicas = 5
	if !Scaled(d, []*appsv1.ReplicaSet{set}) || Saturated(d, set) {
		t.Error("a change of size goes unnoticed")
	}
}

func TestAnnotate(t *testing.T) {
	d := rollingDeployment(1, "1", "0")
	d.Annotations = map[string]string{
		"team": "blue", RevisionAnnotation: "7", corev1.LastAppliedConfigAnnotation: "{}", "kubernetes.io/change-cause": "fix",
	}
	got := annotate(d, nil, 1)
	if diff := cmp.Diff(map[string]string{"team": "blue", "kubernetes.io/change-cause": "fix", RevisionAnnotation: "1"}, got); diff != "" {
		t.Error(diff)
	}
	got = annotate(d, got, 4)
	if got[RevisionAnnotation] != "4" || got[RevisionHistoryAnnotation] != "1" {
		t.Errorf("rolled back to: %v", got)
	}
	got = annotate(d, got, 6)
	if got[RevisionHistoryAnnotation] != "1,4" {
		t.Errorf("twice: %v", got)
	}
	if again := annotate(d, got, 6); cmp.Diff(got, again) != "" {
		t.Errorf("not stable: %v", again)
	}
	long := appendHistory(strings.Repeat("1000000,", 300)+"1000000", "5")
	if len(long) > maxRevisionHistory || !strings.HasSuffix(long, ",5") {
		t.Errorf("history of %d characters", len(long))
	}
}

func TestTemplateHash(t *testing.T) {
	d := rollingDeployment(1, "1", "0")
	first, err := TemplateHash(&d.Spec.Template, nil)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := TemplateHash(d.Spec.Template.DeepCopy(), nil)
	collided, _ := TemplateHash(&d.Spec.Template, ptr.To[int32](1))
	d.Spec.Template.Labels["x"] = "y"
	changed, _ := TemplateHash(&d.Spec.Template, nil)
	if first == "" || first != again || first == collided || first == changed {
		t.Errorf("hashes %q %q %q %q", first, again, collided, changed)
	}
}

func TestSplit(t *testing.T) {
	d := rollingDeployment(1, "1", "0")
	withLabels := func(set *appsv1.ReplicaSet, labels map[string]string) *appsv1.ReplicaSet {
		set.Spec.Template.Labels = labels
		return set
	}
	same := withLabels(rs("same", 1, 1, 1), map[string]string{"app": "web", appsv1.DefaultDeploymentUniqueLabelKey: "x"})
	twin := withLabels(rs("twin", 2, 0, 0), map[string]string{"app": "web", appsv1.DefaultDeploymentUniqueLabelKey: "y"})
	other := withLabels(rs("other", 0, 1, 1), map[string]string{"app": "old"})
	current, old := Split(d, []*appsv1.ReplicaSet{twin, other, same})
	if current != same || len(old) != 2 {
		t.Errorf("current %v, old %v", current, old)
	}
}

func TestExpired(t *testing.T) {
	d := rollingDeployment(1, "1", "0")
	revision := func(set *appsv1.ReplicaSet, n int) *appsv1.ReplicaSet {
		set.Annotations = map[string]string{RevisionAnnotation: fmt.Sprint(n)}
		return set
	}
	busy := revision(rs("busy", 0, 1, 1), 1)
	old := []*appsv1.ReplicaSet{revision(rs("c", 1, 0, 0), 4), busy, revision(rs("a", 3, 0, 0), 2), revision(rs("b", 2, 0, 0), 3)}
	names := func() (out []string) {
		for _, set := range Expired(d, old) {
			out = append(out, set.Name)
		}
		return out
	}
	if got := names(); got != nil {
		t.Errorf("without a limit: %v", got)
	}
	d.Spec.RevisionHistoryLimit = ptr.To[int32](2)
	if got := names(); cmp.Diff([]string{"a"}, got) != "" {
		t.Errorf("limit 2 of 4, one busy: %v", got)
	}
	d.Spec.RevisionHistoryLimit = ptr.To[int32](0)
	if got := names(); cmp.Diff([]string{"a", "b", "c"}, got) != "" {
		t.Errorf("limit 0: %v", got)
	}
}

func TestRolloutStatus(t *testing.T) {
	reasonOf := func(s *appsv1.DeploymentStatus, kind appsv1.DeploymentConditionType) string {
		if c := condition(s, kind); c != nil {
			return fmt.Sprintf("%s %s %s", c.Status, c.Reason, c.Message)
		}
		return ""
	}
	d := rollingDeployment(2, "1", "0")
	set := rs("web-1", 0, 2, 0)
	d.Status.Conditions = []appsv1.DeploymentCondition{newCondition(appsv1.DeploymentProgressing, corev1.ConditionTrue, reasonSetCreated, "", now.Add(-30*time.Second))}

	status := RolloutStatus(d, set, nil, now)
	if got := reasonOf(&status, appsv1.DeploymentAvailable); got != "False MinimumReplicasUnavailable Deployment does not have minimum availability." {
		t.Error(got)
	}
	if got := reasonOf(&status, appsv1.DeploymentProgressing); got != `True ReplicaSetUpdated ReplicaSet "web-1" is progressing.` {
		t.Error(got)
	}
	d.Status = status
	if got := CheckAgain(d, &status, now); got != 61*time.Second {
		t.Errorf("deadline to be checked in %s", got)
	}

	// Nothing moves for longer than the deadline.
	status = RolloutStatus(d, set, nil, now.Add(61*time.Second))
	if got := reasonOf(&status, appsv1.DeploymentProgressing); got != `False ProgressDeadlineExceeded ReplicaSet "web-1" has timed out progressing.` {
		t.Error(got)
	}
	if got := CheckAgain(d, &status, now.Add(61*time.Second)); got != 0 {
		t.Errorf("a failed rollout is looked at again in %s", got)
	}

	// It comes to life after all.
	d.Status = status
	set.Status.AvailableReplicas, set.Status.ReadyReplicas = 2, 2
	status = RolloutStatus(d, set, nil, now.Add(90*time.Second))
	if got := reasonOf(&status, appsv1.DeploymentProgressing); got != `True NewReplicaSetAvailable ReplicaSet "web-1" has successfully progressed.` {
		t.Error(got)
	}
	if got := reasonOf(&status, appsv1.DeploymentAvailable); got != "True MinimumReplicasAvailable Deployment has minimum availability." {
		t.Error(got)
	}

	// Done stays done when a pod fails later; the set's failure shows.
	d.Status = status
	set.Status.AvailableReplicas, set.Status.ReadyReplicas = 1, 1
	set.Status.Conditions = []appsv1.ReplicaSetCondition{{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "exceeded quota"}}
	status = RolloutStatus(d, set, nil, now.Add(10*time.Minute))
	if got := reasonOf(&status, appsv1.DeploymentProgressing); !strings.Contains(got, "NewReplicaSetAvailable") {
		t.Error(got)
	}
	if got := reasonOf(&status, appsv1.DeploymentReplicaFailure); got != "True FailedCreate exceeded quota" {
		t.Error(got)
	}
}

func TestPaused(t *testing.T) {
	d := rollingDeployment(1, "1", "0")
	if _, changed := Paused(d, now); changed {
		t.Error("a running deployment is marked")
	}
	d.Spec.Paused = true
	status, changed := Paused(d, now)
	if c := condition(&status, appsv1.DeploymentProgressing); !changed || c.Status != corev1.ConditionUnknown || c.Reason != "DeploymentPaused" || c.Message != "Deployment is paused" {
		t.Errorf("paused: %v %v", changed, c)
	}
	d.Status = status
	if _, changed := Paused(d, now); changed {
		t.Error("marked twice")
	}
	d.Spec.Paused = false
	status, changed = Paused(d, now)
	if c := condition(&status, appsv1.DeploymentProgressing); !changed || c.Reason != "DeploymentResumed" {
		t.Errorf("resumed: %v %v", changed, c)
	}
}
