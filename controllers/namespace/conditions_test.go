package namespace

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestConditions(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	texts := func(list []corev1.NamespaceCondition) map[corev1.NamespaceConditionType]string {
		out := make(map[corev1.NamespaceConditionType]string)
		for _, c := range list {
			out[c.Type] = string(c.Status) + " " + c.Reason + ": " + c.Message
		}
		return out
	}
	fine := map[corev1.NamespaceConditionType]string{
		corev1.NamespaceDeletionDiscoveryFailure: "False ResourcesDiscovered: All resources successfully discovered",
		corev1.NamespaceDeletionGVParsingFailure: "False ParsedGroupVersions: All legacy kube types successfully parsed",
		corev1.NamespaceDeletionContentFailure:   "False ContentDeleted: All content successfully deleted, may be waiting on finalization",
		corev1.NamespaceContentRemaining:         "False ContentRemoved: All content successfully removed",
		corev1.NamespaceFinalizersRemaining:      "False ContentHasNoFinalizers: All content-preserving finalizers finished",
	}
	got, changed := conditions(nil, pass{}, now)
	if diff := cmp.Diff(fine, texts(got)); diff != "" || !changed {
		t.Error(changed, diff)
	}
	if _, changed := conditions(got, pass{}, now.Add(time.Hour)); changed {
		t.Error("the same conditions count as a change")
	}

	bad := pass{
		discoveryErr: errors.New("metrics is down"), contentErr: errors.New("deleting pods: no"),
		left: leftover{
			objects:    map[schema.GroupVersionResource]int{{Version: "v1", Resource: "pods"}: 3, {Group: "apps", Version: "v1", Resource: "deployments"}: 1},
			finalizers: map[string]int{"b.io/x": 1, "a.io/y": 3},
		},
	}
	other := corev1.NamespaceCondition{Type: "Custom", Status: corev1.ConditionTrue}
	got, changed = conditions(append(got, other), bad, now.Add(time.Minute))
	want := map[corev1.NamespaceConditionType]string{
		"Custom":                                 "True : ",
		corev1.NamespaceDeletionDiscoveryFailure: "True DiscoveryFailed: Discovery failed for some groups, metrics is down",
		corev1.NamespaceDeletionGVParsingFailure: fine[corev1.NamespaceDeletionGVParsingFailure],
		corev1.NamespaceDeletionContentFailure:   "True ContentDeletionFailed: Failed to delete all resource types, deleting pods: no",
		corev1.NamespaceContentRemaining:         "True SomeResourcesRemain: Some resources are remaining: deployments.apps has 1 resource instances, pods. has 3 resource instances",
		corev1.NamespaceFinalizersRemaining:      "True SomeFinalizersRemain: Some content in the namespace has finalizers remaining: a.io/y in 3 resource instances, b.io/x in 1 resource instances",
	}
	if diff := cmp.Diff(want, texts(got)); diff != "" || !changed {
		t.Error(changed, diff)
	}
}

func TestDeletable(t *testing.T) {
	all := metav1.Verbs{"create", "delete", "deletecollection", "get", "list", "watch"}
	got, err := deletable([]*metav1.APIResourceList{
		{GroupVersion: "v1", APIResources: []metav1.APIResource{
			{Name: "pods", Namespaced: true, Verbs: all},
			{Name: "pods/status", Namespaced: true, Verbs: all},
			{Name: "nodes", Verbs: all},
			{Name: "bindings", Namespaced: true, Verbs: metav1.Verbs{"create"}},
		}},
		{GroupVersion: "apps/v1", APIResources: []metav1.APIResource{{Name: "deployments", Namespaced: true, Verbs: metav1.Verbs{"list", "delete"}}}},
		{GroupVersion: "a/b/c"},
	})
	want := []resource{
		{gvr: schema.GroupVersionResource{Version: "v1", Resource: "pods"}, deleteCollection: true},
		{gvr: schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(resource{})); diff != "" {
		t.Error(diff)
	}
	if err == nil {
		t.Error("a group version that cannot be read goes unnoticed")
	}
}

func TestNextPass(t *testing.T) {
	for age, want := range map[time.Duration]time.Duration{0: 100 * time.Millisecond, 4 * time.Second: time.Second, time.Hour: 15 * time.Second} {
		if got := nextPass(age); got != want {
			t.Errorf("after %s: %s, want %s", age, got, want)
		}
	}
}
