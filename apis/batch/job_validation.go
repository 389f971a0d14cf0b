package batch

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/core"
	"github.com/skiff-project/skiff/apis/resource/rules"
)

const (
	// maxIndexedParallelism and maxFailedIndexes keep the lists of indexes in a
	// job's status small enough.
	maxIndexedParallelism = 100_000
	maxFailedIndexes      = 100_000
	// Jobs of more completions than this have to limit their failures more.
	manyCompletions         = 100_000
	maxParallelismForMany   = 10_000
	maxFailedIndexesForMany = 10_000
	maxManagedByLength      = 63
)

// ValidateJob returns what is wrong with a new job.
func ValidateJob(_ context.Context, job *batchv1.Job) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&job.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, rules.Metadata)
	errs = append(errs, checkGeneratedSelector(job)...)
	errs = append(errs, checkJobSpec(&job.Spec, rules.Spec)...)
	errs = append(errs, checkSelector(&job.Spec)...)
	return append(errs, checkIndexedNames(job)...)
}

// checkIndexedNames checks that the name of the last pod of an indexed job, which
// becomes its host name, is not too long.
func checkIndexedNames(job *batchv1.Job) field.ErrorList {
	completions := job.Spec.Completions
	if !indexed(&job.Spec) || completions == nil || *completions <= 0 {
		return nil
	}
	hostname := fmt.Sprintf("%s-%d", job.Name, *completions-1)
	if len(validation.IsDNS1123Label(hostname)) == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(rules.Metadata.Child("name"), job.Name,
		fmt.Sprintf("will not able to create pod with invalid DNS label: %s", hostname))}
}

func indexed(spec *batchv1.JobSpec) bool {
	return spec.CompletionMode != nil && *spec.CompletionMode == batchv1.IndexedCompletion
}

// checkGeneratedSelector checks that a selector that was to be generated is the
// generated one, and that the template has its labels.
func checkGeneratedSelector(job *batchv1.Job) field.ErrorList {
	if manualSelector(job) || job.Spec.Selector == nil {
		return nil
	}
	var errs field.ErrorList
	if job.UID == "" {
		errs = append(errs, field.Required(rules.Metadata.Child("uid"), ""))
	}
	expected := generatedLabels(job)
	path := rules.Template.Child("metadata", "labels")
	for _, key := range sets.List(sets.KeySet(expected)) {
		message := fmt.Sprintf("must be '%s'", expected[key])
		switch value, there := job.Spec.Template.Labels[key]; {
		case !there:
			errs = append(errs, field.Required(path.Key(key), message))
		case value != expected[key]:
			errs = append(errs, field.Invalid(path.Key(key), job.Spec.Template.Labels, message))
		}
	}
	if selector, err := metav1.LabelSelectorAsSelector(job.Spec.Selector); err == nil && !selector.Matches(labels.Set(expected)) {
		errs = append(errs, field.Invalid(rules.Spec.Child("selector"), job.Spec.Selector, "`selector` not auto-generated"))
	}
	return errs
}

func checkSelector(spec *batchv1.JobSpec) field.ErrorList {
	path := rules.Spec.Child("selector")
	if spec.Selector == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	errs := metavalidation.ValidateLabelSelector(spec.Selector, metavalidation.LabelSelectorValidationOptions{}, path)
	if selector, err := metav1.LabelSelectorAsSelector(spec.Selector); err == nil && !selector.Matches(labels.Set(spec.Template.Labels)) {
		errs = append(errs, field.Invalid(rules.Template.Child("metadata", "labels"), spec.Template.Labels,
			"`selector` does not match template `labels`"))
	}
	return errs
}

// checkJobSpec checks a job's spec, also one inside a CronJob, but its selector.
func checkJobSpec(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	errs := rules.NonNegativeIfSet(spec.Parallelism, path.Child("parallelism"))
	errs = append(errs, rules.NonNegativeIfSet(spec.Completions, path.Child("completions"))...)
	errs = append(errs, rules.NonNegativeIfSet(spec.ActiveDeadlineSeconds, path.Child("activeDeadlineSeconds"))...)
	errs = append(errs, rules.NonNegativeIfSet(spec.BackoffLimit, path.Child("backoffLimit"))...)
	errs = append(errs, rules.NonNegativeIfSet(spec.TTLSecondsAfterFinished, path.Child("ttlSecondsAfterFinished"))...)
	errs = append(errs, rules.NonNegativeIfSet(spec.BackoffLimitPerIndex, path.Child("backoffLimitPerIndex"))...)
	errs = append(errs, rules.NonNegativeIfSet(spec.MaxFailedIndexes, path.Child("maxFailedIndexes"))...)
	errs = append(errs, checkFailureLimits(spec, path)...)
	if mode := spec.CompletionMode; mode != nil {
		errs = append(errs, rules.Enum(*mode, path.Child("completionMode"), batchv1.NonIndexedCompletion, batchv1.IndexedCompletion)...)
		if *mode == batchv1.IndexedCompletion {
			errs = append(errs, checkIndexed(spec, path)...)
		}
	}
	if spec.PodFailurePolicy != nil {
		errs = append(errs, checkPodFailurePolicy(spec, path.Child("podFailurePolicy"))...)
	}
	if spec.SuccessPolicy != nil {
		errs = append(errs, checkSuccessPolicy(spec, path.Child("successPolicy"))...)
	}
	if spec.PodReplacementPolicy != nil {
		errs = append(errs, checkPodReplacementPolicy(spec, path.Child("podReplacementPolicy"))...)
	}
	if spec.ManagedBy != nil {
		errs = append(errs, checkManagedBy(*spec.ManagedBy, path.Child("managedBy"))...)
	}
	return append(errs, checkTemplate(spec, path.Child("template"))...)
}

// checkFailureLimits checks the limits of failures of each index of a job.
func checkFailureLimits(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if limit := spec.BackoffLimitPerIndex; limit != nil && !indexed(spec) {
		errs = append(errs, field.Invalid(path.Child("backoffLimitPerIndex"), *limit, "requires indexed completion mode"))
	}
	limit := spec.MaxFailedIndexes
	if limit == nil {
		return errs
	}
	if spec.BackoffLimitPerIndex == nil {
		errs = append(errs, field.Required(path.Child("backoffLimitPerIndex"), "when maxFailedIndexes is specified"))
	}
	if spec.Completions != nil && *limit > *spec.Completions {
		errs = append(errs, field.Invalid(path.Child("maxFailedIndexes"), *limit, "must be less than or equal to completions"))
	}
	if *limit > maxFailedIndexes {
		errs = append(errs, field.Invalid(path.Child("maxFailedIndexes"), *limit, fmt.Sprintf("must be less than or equal to %d", maxFailedIndexes)))
	}
	return errs
}

// checkIndexed checks the sizes of an indexed job.
func checkIndexed(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.Completions == nil {
		errs = append(errs, field.Required(path.Child("completions"), fmt.Sprintf("when completion mode is %s", batchv1.IndexedCompletion)))
	}
	if p := spec.Parallelism; p != nil && *p > maxIndexedParallelism {
		errs = append(errs, field.Invalid(path.Child("parallelism"), *p,
			fmt.Sprintf("must be less than or equal to %d when completion mode is %s", maxIndexedParallelism, batchv1.IndexedCompletion)))
	}
	if spec.BackoffLimitPerIndex == nil || spec.Completions == nil || *spec.Completions <= manyCompletions {
		return errs
	}
	switch limit := spec.MaxFailedIndexes; {
	case limit == nil:
		errs = append(errs, field.Required(path.Child("maxFailedIndexes"), fmt.Sprintf("must be specified when completions is above %d", manyCompletions)))
	case *limit > maxFailedIndexesForMany:
		errs = append(errs, field.Invalid(path.Child("maxFailedIndexes"), *limit,
			fmt.Sprintf("must be less than or equal to %d when completions are above %d and used with backoff limit per index", maxFailedIndexesForMany, manyCompletions)))
	}
	if p := spec.Parallelism; p != nil && *p > maxParallelismForMany {
		errs = append(errs, field.Invalid(path.Child("parallelism"), *p,
			fmt.Sprintf("must be less than or equal to %d when completions are above %d and used with backoff limit per index", maxParallelismForMany, manyCompletions)))
	}
	return errs
}

func checkManagedBy(value string, path *field.Path) field.ErrorList {
	errs := validation.IsDomainPrefixedPath(path, value)
	if len(value) > maxManagedByLength {
		errs = append(errs, field.TooLong(path, value, maxManagedByLength))
	}
	return errs
}

// checkTemplate checks the template of the pods, which must be able to end.
func checkTemplate(spec *batchv1.JobSpec, path *field.Path) field.ErrorList {
	errs := core.ValidatePodTemplateSpec(&spec.Template, path)
	at := path.Child("spec", "restartPolicy")
	switch policy := spec.Template.Spec.RestartPolicy; policy {
	case corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever:
	case "", corev1.RestartPolicyAlways:
		errs = append(errs, field.Required(at, fmt.Sprintf("valid values: %q, %q", corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)))
	default:
		errs = append(errs, field.NotSupported(at, policy, []corev1.RestartPolicy{corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever}))
	}
	return errs
}

// warnJob warns of what may surprise about a job.
func warnJob(_ context.Context, job, old *batchv1.Job) []string {
	var warnings []string
	var oldTemplate *corev1.PodTemplateSpec
	if old == nil {
		if msgs := validation.IsDNS1123Label(job.Name); len(msgs) > 0 {
			warnings = append(warnings, fmt.Sprintf("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: %v", msgs))
		}
	} else {
		oldTemplate = &old.Spec.Template
	}
	return append(append(warnings, core.WarningsForPodTemplate(&job.Spec.Template, oldTemplate, rules.Template)...), warnJobSpec(&job.Spec, rules.Spec)...)
}

func warnJobSpec(spec *batchv1.JobSpec, path *field.Path) []string {
	if !indexed(spec) || spec.Completions == nil || spec.Parallelism == nil {
		return nil
	}
	if *spec.Completions > manyCompletions && *spec.Parallelism > maxParallelismForMany {
		return []string{fmt.Sprintf("%s: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completed indexes when a big number of indexes fail",
			path)}
	}
	return nil
}
