package core

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// checkGatedPlacement checks changes of where a pod behind scheduling gates may
// run (KEP-3838): they may only narrow it. What is lawful, or is reported here,
// is put back to the old value in spec.
func checkGatedPlacement(spec, old *corev1.PodSpec) field.ErrorList {
	var errs field.ErrorList
	for key, value := range old.NodeSelector {
		if spec.NodeSelector[key] != value {
			errs = append(errs, field.Invalid(rules.Spec.Child("nodeSelector"), spec.NodeSelector, "only additions to spec.nodeSelector are allowed (no mutations or deletions)"))
			break
		}
	}
	spec.NodeSelector = old.NodeSelector

	is, was := requiredNodeTerms(spec), requiredNodeTerms(old)
	path := rules.Spec.Child("affinity", "nodeAffinity", required)
	switch {
	case len(was) == 0: // anything is narrower than nothing
	case len(is) != len(was):
		errs = append(errs, field.Invalid(path.Child("nodeSelectorTerms"), is, "no additions/deletions to non-empty NodeSelectorTerms list are allowed"))
	default:
		for i := range was {
			if !startsWith(is[i].MatchExpressions, was[i].MatchExpressions) || !startsWith(is[i].MatchFields, was[i].MatchFields) {
				errs = append(errs, field.Invalid(path.Child("nodeSelectorTerms").Index(i), is[i], "only additions are allowed (no mutations or deletions)"))
			}
		}
	}
	restoreNodeAffinity(spec, old)
	return errs
}

func requiredNodeTerms(spec *corev1.PodSpec) []corev1.NodeSelectorTerm {
	if a := spec.Affinity; a != nil && a.NodeAffinity != nil && a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		return a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	}
	return nil
}

func startsWith(list, prefix []corev1.NodeSelectorRequirement) bool {
	return len(list) >= len(prefix) && reflect.DeepEqual(list[:len(prefix):len(prefix)], prefix[:len(prefix):len(prefix)])
}

// restoreNodeAffinity gives spec the old node affinity, which a gated pod may
// change as long as it gets narrower; preferences may change freely.
func restoreNodeAffinity(spec, old *corev1.PodSpec) {
	if old.Affinity == nil {
		if spec.Affinity != nil && spec.Affinity.PodAffinity == nil && spec.Affinity.PodAntiAffinity == nil {
			spec.Affinity = nil
		} else if spec.Affinity != nil {
			spec.Affinity.NodeAffinity = nil
		}
		return
	}
	if spec.Affinity == nil {
		spec.Affinity = &corev1.Affinity{}
	}
	spec.Affinity.NodeAffinity = old.Affinity.NodeAffinity
}
