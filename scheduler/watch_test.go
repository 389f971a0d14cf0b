package scheduler

import (
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
)

// After a gap in the watch, a pod that went and its namesake that came are one
// update. The room of the first must not stay taken.
func TestNamesakeAfterWatchGap(t *testing.T) {
	pod := func(uid types.UID, node string) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: uid},
			Spec:       corev1.PodSpec{NodeName: node, SchedulerName: corev1.DefaultSchedulerName},
		}
	}
	for name, test := range map[string]struct {
		old, current *corev1.Pod
		counted      map[types.UID]string
		active       int
	}{
		"placed, then new":     {pod("1", "a"), pod("2", ""), map[types.UID]string{}, 1},
		"placed, then placed":  {pod("1", "a"), pod("2", "b"), map[types.UID]string{"2": "b"}, 0},
		"waiting, then new":    {pod("1", ""), pod("2", ""), map[types.UID]string{}, 1},
		"waiting, then placed": {pod("1", ""), pod("2", "b"), map[types.UID]string{"2": "b"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New(Config{RESTConfig: &rest.Config{}})
			if err != nil {
				t.Fatal(err)
			}
			s.podChanged(t.Context(), nil, test.old)
			s.podChanged(t.Context(), test.old, test.current)
			if got := s.cache.Dump(); !maps.Equal(got, test.counted) {
				t.Errorf("counted on nodes: %v, want %v", got, test.counted)
			}
			if active, backingOff, unschedulable := s.queue.Lengths(); active != test.active || backingOff+unschedulable != 0 {
				t.Errorf("%d active, %d backing off, %d unschedulable; want %d active", active, backingOff, unschedulable, test.active)
			}
		})
	}
}
