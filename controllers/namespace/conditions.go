package namespace

import (
	"fmt"
	"sort"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pass is what one pass over a terminating namespace found.
type pass struct {
	discoveryErr, parseErr, contentErr error
	left                               leftover
}

// Conditions of a terminating namespace: what each says when it is false, and
// when it is true.
var healthy = []corev1.NamespaceCondition{
	{Type: corev1.NamespaceDeletionDiscoveryFailure, Reason: "ResourcesDiscovered", Message: "All resources successfully discovered"},
	{Type: corev1.NamespaceDeletionGVParsingFailure, Reason: "ParsedGroupVersions", Message: "All legacy kube types successfully parsed"},
	{Type: corev1.NamespaceDeletionContentFailure, Reason: "ContentDeleted", Message: "All content successfully deleted, may be waiting on finalization"},
	{Type: corev1.NamespaceContentRemaining, Reason: "ContentRemoved", Message: "All content successfully removed"},
	{Type: corev1.NamespaceFinalizersRemaining, Reason: "ContentHasNoFinalizers", Message: "All content-preserving finalizers finished"},
}

// conditions returns the namespace's conditions after a pass, and whether they
// changed. Conditions of other types are kept.
func conditions(current []corev1.NamespaceCondition, p pass, now time.Time) ([]corev1.NamespaceCondition, bool) {
	out := append([]corev1.NamespaceCondition(nil), current...)
	changed := false
	for _, ok := range healthy {
		wanted := ok
		wanted.Status = corev1.ConditionFalse
		if reason, message := p.problem(ok.Type); reason != "" {
			wanted.Status, wanted.Reason, wanted.Message = corev1.ConditionTrue, reason, message
		}
		changed = put(&out, wanted, now) || changed
	}
	return out, changed
}

func put(list *[]corev1.NamespaceCondition, wanted corev1.NamespaceCondition, now time.Time) bool {
	wanted.LastTransitionTime = metav1.NewTime(now)
	for i := range *list {
		c := &(*list)[i]
		if c.Type != wanted.Type {
			continue
		}
		if c.Status == wanted.Status && c.Reason == wanted.Reason && c.Message == wanted.Message {
			return false
		}
		if c.Status == wanted.Status {
			wanted.LastTransitionTime = c.LastTransitionTime
		}
		*c = wanted
		return true
	}
	*list = append(*list, wanted)
	return true
}

// problem returns the reason and message of a condition that is true.
func (p pass) problem(kind corev1.NamespaceConditionType) (reason, message string) {
	switch kind {
	case corev1.NamespaceDeletionDiscoveryFailure:
		if p.discoveryErr != nil {
			return "DiscoveryFailed", "Discovery failed for some groups, " + p.discoveryErr.Error()
		}
	case corev1.NamespaceDeletionGVParsingFailure:
		if p.parseErr != nil {
			return "GroupVersionParsingFailed", p.parseErr.Error()
		}
	case corev1.NamespaceDeletionContentFailure:
		if p.contentErr != nil {
			return "ContentDeletionFailed", "Failed to delete all resource types, " + p.contentErr.Error()
		}
	case corev1.NamespaceContentRemaining:
		var parts []string
		for gvr, n := range p.left.objects {
			parts = append(parts, fmt.Sprintf("%s.%s has %d resource instances", gvr.Resource, gvr.Group, n))
		}
		return join(parts, "SomeResourcesRemain", "Some resources are remaining: ")
	case corev1.NamespaceFinalizersRemaining:
		var parts []string
		for finalizer, n := range p.left.finalizers {
			parts = append(parts, fmt.Sprintf("%s in %d resource instances", finalizer, n))
		}
		return join(parts, "SomeFinalizersRemain", "Some content in the namespace has finalizers remaining: ")
	}
	return "", ""
}

func join(parts []string, reason, prefix string) (string, string) {
	if len(parts) == 0 {
		return "", ""
	}
	sort.Strings(parts)
	return reason, prefix + strings.Join(parts, ", ")
}
