package garbagecollector

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// journal notes what monitors tell it.
type journal []string

func (j *journal) observed(o object)   { *j = append(*j, "+"+string(o.UID)) }
func (j *journal) removed(id identity) { *j = append(*j, "-"+string(id.UID)) }

// After a gap in the watch, an object that went and its namesake that came are
// one update; the dependents of the first are garbage all the same.
func TestNamesakeAfterWatchGap(t *testing.T) {
	var seen journal
	m := newMonitors(nil, nil, nil, &seen)
	h := m.handler(corev1.SchemeGroupVersion.WithResource("pods"), corev1.SchemeGroupVersion.WithKind("Pod"))
	pod := func(uid types.UID) *metav1.PartialObjectMetadata {
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: uid}}
	}
	h.OnAdd(pod("1"), true)
	h.OnUpdate(pod("1"), pod("1"))
	h.OnUpdate(pod("1"), pod("2"))
	if want := []string{"+1", "+1", "-1", "+2"}; !slices.Equal(seen, want) {
		t.Errorf("told %v, want %v", seen, want)
	}
}
