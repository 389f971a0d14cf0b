package batch

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

const (
	maxFailureRules          = 20
	maxFailureExitCodes      = 255
	maxFailureConditions     = 20
	maxSuccessRules          = 20
	maxSucceededIndexesBytes = 64 * 1024
)

func checkPodReplacementPolicy(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	if spec.PodFailurePolicy != nil {
		// A pod that still terminates has no exit code that the policy could judge.
		return rules.Enum(*spec.PodReplacementPolicy, path, batchv1.Failed)
	}
	return rules.Enum(*spec.PodReplacementPolicy, path, batchv1.Failed, batchv1.TerminatingOrFailed)
}

// checkPodFailurePolicy checks the policy of KEP-3329.
func checkPodFailurePolicy(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if policy := spec.Template.Spec.RestartPolicy; policy != corev1.RestartPolicyNever {
		errs = append(errs, field.Invalid(path.Root().Child("template", "spec", "restartPolicy"), policy,
			fmt.Sprintf("only %q is supported when podFailurePolicy is specified", corev1.RestartPolicyNever)))
	}
	containers := sets.New[string]()
	for _, list := range [][]corev1.Container{spec.Template.Spec.Containers, spec.Template.Spec.InitContainers} {
		for _, c := range list {
			containers.Insert(c.Name)
		}
	}
	at := path.Child("rules")
	if n := len(spec.PodFailurePolicy.Rules); n > maxFailureRules {
		errs = append(errs, field.TooMany(at, n, maxFailureRules))
	}
	for i := range spec.PodFailurePolicy.Rules {
		errs = append(errs, checkFailureRule(spec, &spec.PodFailurePolicy.Rules[i], at.Index(i), containers)...)
	}
	return errs
}

func checkFailureRule(spec *batchv1.JobSpec, rule *batchv1.PodFailurePolicyRule, path *field.Path, containers sets.Set[string]) field.ErrorList {
	errs := rules.RequiredEnum(rule.Action, path.Child("action"), batchv1.PodFailurePolicyActionCount,
		batchv1.PodFailurePolicyActionFailIndex, batchv1.PodFailurePolicyActionFailJob, batchv1.PodFailurePolicyActionIgnore)
	if rule.Action == batchv1.PodFailurePolicyActionFailIndex && spec.BackoffLimitPerIndex == nil {
		errs = append(errs, field.Invalid(path.Child("action"), rule.Action,
			"requires the backoffLimitPerIndex to be set when action is FailIndex"))
	}
	if rule.OnExitCodes != nil {
		errs = append(errs, checkExitCodes(rule.OnExitCodes, path.Child("onExitCodes"), containers)...)
	}
	if n := len(rule.OnPodConditions); n > maxFailureConditions {
		errs = append(errs, field.TooMany(path.Child("onPodConditions"), n, maxFailureConditions))
	}
	for i, c := range rule.OnPodConditions {
		at := path.Child("onPodConditions").Index(i)
		errs = append(errs, rules.Invalid(at.Child("type"), c.Type, validation.IsQualifiedName(string(c.Type))...)...)
		errs = append(errs, rules.RequiredEnum(c.Status, at.Child("status"), corev1.ConditionFalse, corev1.ConditionTrue, corev1.ConditionUnknown)...)
	}
	switch {
	case rule.OnExitCodes != nil && len(rule.OnPodConditions) > 0:
		errs = append(errs, field.Invalid(path, field.OmitValueType{}, "specifying both OnExitCodes and OnPodConditions is not supported"))
	case rule.OnExitCodes == nil && len(rule.OnPodConditions) == 0:
		errs = append(errs, field.Invalid(path, field.OmitValueType{}, "specifying one of OnExitCodes and OnPodConditions is required"))
	}
	return errs
}

func checkExitCodes(r *batchv1.PodFailurePolicyOnExitCodesRequirement, path *field.Path, containers sets.Set[string]) field.ErrorList {
	errs := rules.RequiredEnum(r.Operator, path.Child("operator"), batchv1.PodFailurePolicyOnExitCodesOpIn, batchv1.PodFailurePolicyOnExitCodesOpNotIn)
	if r.ContainerName != nil && !containers.Has(*r.ContainerName) {
		errs = append(errs, field.Invalid(path.Child("containerName"), *r.ContainerName, "must be one of the container or initContainer names in the pod template"))
	}
	at := path.Child("values")
	switch n := len(r.Values); {
	case n < 1:
		errs = append(errs, field.Invalid(at, r.Values, "at least one value is required"))
	case n > maxFailureExitCodes:
		errs = append(errs, field.TooMany(at, n, maxFailureExitCodes))
	}
	seen := sets.New[int32]()
	ordered := true
	for i, value := range r.Values {
		if r.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn && value == 0 {
			errs = append(errs, field.Invalid(at.Index(i), value, "must not be 0 for the In operator"))
		}
		if seen.Has(value) {
			errs = append(errs, field.Duplicate(at.Index(i), value))
		}
		seen.Insert(value)
		ordered = ordered && (i == 0 || r.Values[i-1] <= value)
	}
	if !ordered {
		errs = append(errs, field.Invalid(at, r.Values, "must be ordered"))
	}
	return errs
}

// checkSuccessPolicy checks the policy of KEP-3998.
func checkSuccessPolicy(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	if !indexed(spec) {
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, "requires indexed completion mode")}
	}
	var errs field.ErrorList
	at := path.Child("rules")
	switch n := len(spec.SuccessPolicy.Rules); {
	case n == 0:
		errs = append(errs, field.Required(at, "at least one rule is required"))
	case n > maxSuccessRules:
		errs = append(errs, field.TooMany(at, n, maxSuccessRules))
	}
	completions := int32(math.MaxInt32)
	if spec.Completions != nil {
		completions = *spec.Completions
	}
	for i, rule := range spec.SuccessPolicy.Rules {
		errs = append(errs, checkSuccessRule(rule, completions, at.Index(i))...)
	}
	return errs
}

func checkSuccessRule(rule batchv1.SuccessPolicyRule, completions int32, path *field.Path) field.ErrorList {
	if rule.SucceededCount == nil && rule.SucceededIndexes == nil {
		return field.ErrorList{field.Required(path, "at least one of succeededCount or succeededIndexes is required")}
	}
	var errs field.ErrorList
	total := completions
	if indexes := rule.SucceededIndexes; indexes != nil {
		at := path.Child("succeededIndexes")
		if len(*indexes) > maxSucceededIndexesBytes {
			errs = append(errs, field.TooLong(at, *indexes, maxSucceededIndexesBytes))
		}
		n, err := countIndexes(*indexes, completions)
		if err != nil {
			errs = append(errs, field.Invalid(at, *indexes, fmt.Sprintf("error parsing succeededIndexes: %s", err)))
		} else {
			total = n
		}
	}
	if count := rule.SucceededCount; count != nil {
		at := path.Child("succeededCount")
		errs = append(errs, rules.NonNegative(*count, at)...)
		if *count > completions {
			errs = append(errs, field.Invalid(at, *count, fmt.Sprintf("must be less than or equal to %d (the number of specified completions)", completions)))
		}
		if rule.SucceededIndexes != nil && *count > total {
			errs = append(errs, field.Invalid(at, *count,
				fmt.Sprintf("must be less than or equal to %d (the number of indexes in the specified succeededIndexes field)", total)))
		}
	}
	return errs
}

// countIndexes parses a list like "1,3-5" of growing indexes below limit, and
// returns how many there are.
func countIndexes(text string, limit int32) (int32, error) {
	if text == "" {
		return 0, nil
	}
	var total int32
	last := int32(-1)
	for _, part := range strings.Split(text, ",") {
		from, to, isRange := strings.Cut(part, "-")
		first, err := parseIndex(from, limit)
		if err != nil {
			return 0, err
		}
		end := first
		if isRange {
			if end, err = parseIndex(to, limit); err != nil {
				return 0, err
			}
			if end <= first {
				return 0, fmt.Errorf("non-increasing order, previous: %d, current: %d", first, end)
			}
		}
		if first <= last {
			return 0, fmt.Errorf("non-increasing order, previous: %d, current: %d", last, first)
		}
		total, last = total+end-first+1, end
	}
	return total, nil
}

func parseIndex(text string, limit int32) (int32, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("cannot convert string to integer for index: %q", text)
	}
	if int32(n) >= limit {
		return 0, fmt.Errorf("too large index: %q", text)
	}
	return int32(n), nil
}
