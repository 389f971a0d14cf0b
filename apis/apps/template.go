package apps

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/core"
	"github.com/skiff-project/skiff/apis/resource/rules"
)

var selectorPath = rules.Spec.Child("selector")

// checkSelector checks the selector of a workload. noun is the kind in the text
// about empty selectors.
func checkSelector(selector *metav1.LabelSelector, noun string) field.ErrorList {
	if selector == nil {
		return field.ErrorList{field.Required(selectorPath, "")}
	}
	errs := metavalidation.ValidateLabelSelector(selector, metavalidation.LabelSelectorValidationOptions{}, selectorPath)
	if len(selector.MatchLabels)+len(selector.MatchExpressions) == 0 {
		errs = append(errs, field.Invalid(selectorPath, selector, "empty selector is invalid for "+noun))
	}
	return errs
}

// checkSelects checks that the selector selects the pods of the template. A
// missing selector selects nothing.
func checkSelects(selector *metav1.LabelSelector, template *corev1.PodTemplateSpec) field.ErrorList {
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return field.ErrorList{field.Invalid(selectorPath, selector, "invalid label selector")}
	}
	if s.Empty() || s.Matches(labels.Set(template.Labels)) {
		return nil
	}
	return field.ErrorList{field.Invalid(rules.Template.Child("metadata", "labels"), template.Labels,
		"`selector` does not match template `labels`")}
}

// checkRunsForever checks that the pods of the template may be restarted without
// end: their controller replaces those that stop.
func checkRunsForever(spec *corev1.PodSpec, kind string) field.ErrorList {
	path := rules.Template.Child("spec")
	var errs field.ErrorList
	if spec.RestartPolicy != corev1.RestartPolicyAlways {
		errs = append(errs, field.NotSupported(path.Child("restartPolicy"), spec.RestartPolicy,
			[]corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if spec.ActiveDeadlineSeconds != nil {
		errs = append(errs, field.Forbidden(path.Child("activeDeadlineSeconds"),
			fmt.Sprintf("activeDeadlineSeconds in %s is not Supported", kind)))
	}
	return errs
}

// checkReplicaTemplate checks the template of a ReplicaSet or of a Deployment's.
func checkReplicaTemplate(selector *metav1.LabelSelector, template *corev1.PodTemplateSpec) field.ErrorList {
	errs := checkSelects(selector, template)
	errs = append(errs, core.ValidatePodTemplateSpec(template, rules.Template)...)
	return append(errs, checkRunsForever(&template.Spec, "ReplicaSet")...)
}

// warnTemplate returns the warnings about a template; old is nil on create.
func warnTemplate(template, old *corev1.PodTemplateSpec) []string {
	return core.WarningsForPodTemplate(template, old, rules.Template)
}

// warnName warns of names that do not fit into the host names of the pods.
func warnName(name string) []string {
	if msgs := validation.IsDNS1123Label(name); len(msgs) > 0 {
		return []string{fmt.Sprintf("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: %v", msgs)}
	}
	return nil
}

// checkCollisionCount checks that the count only grows.
func checkCollisionCount(count, old *int32, path *field.Path) field.ErrorList {
	errs := rules.NonNegativeIfSet(count, path)
	if old == nil {
		return errs
	}
	var now int32
	if count != nil {
		now = *count
	}
	if now < *old {
		errs = append(errs, field.Invalid(path, now, "cannot be decremented"))
	}
	return errs
}

// counter is a number of pods in a status.
type counter struct {
	name  string
	value int32
}

// checkCounters checks that none of the counters is negative, nor the
// generation that the status tells of.
func checkCounters(observedGeneration int64, counters ...counter) field.ErrorList {
	errs := rules.NonNegative(observedGeneration, rules.Status.Child("observedGeneration"))
	for _, c := range counters {
		errs = append(errs, rules.NonNegative(c.value, rules.Status.Child(c.name))...)
	}
	return errs
}

// checkAtMost checks that none of the counters is greater than limit.
func checkAtMost(limit int32, limitName string, counters ...counter) field.ErrorList {
	var errs field.ErrorList
	for _, c := range counters {
		if c.value > limit {
			errs = append(errs, field.Invalid(rules.Status.Child(c.name), c.value, "cannot be greater than "+limitName))
		}
	}
	return errs
}
