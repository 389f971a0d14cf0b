package batch

import (
	"context"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// ValidateJobUpdate returns what is wrong with a change of a job.
func ValidateJobUpdate(_ context.Context, job, old *batchv1.Job) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&job.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, checkJobSpec(&job.Spec, rules.Spec)...)
	errs = append(errs, checkSelector(&job.Spec)...)

	spec, was := &job.Spec, &old.Spec
	errs = append(errs, checkCompletionsUpdate(spec, was)...)
	errs = append(errs, rules.Immutable(spec.Selector, was.Selector, rules.Spec.Child("selector"))...)
	errs = append(errs, checkTemplateUpdate(job, old)...)
	errs = append(errs, rules.Immutable(spec.CompletionMode, was.CompletionMode, rules.Spec.Child("completionMode"))...)
	errs = append(errs, rules.Immutable(spec.PodFailurePolicy, was.PodFailurePolicy, rules.Spec.Child("podFailurePolicy"))...)
	errs = append(errs, rules.Immutable(spec.BackoffLimitPerIndex, was.BackoffLimitPerIndex, rules.Spec.Child("backoffLimitPerIndex"))...)
	errs = append(errs, rules.Immutable(spec.ManagedBy, was.ManagedBy, rules.Spec.Child("managedBy"))...)
	return append(errs, rules.Immutable(spec.SuccessPolicy, was.SuccessPolicy, rules.Spec.Child("successPolicy"))...)
}

// checkCompletionsUpdate lets the completions change only for an indexed job
// that runs all its indexes at once.
func checkCompletionsUpdate(spec, old *batchv1.JobSpec) field.ErrorList {
	path := rules.Spec.Child("completions")
	if !indexed(spec) {
		return rules.Immutable(spec.Completions, old.Completions, path)
	}
	if spec.Completions == nil || equality.Semantic.DeepEqual(spec.Completions, old.Completions) {
		return nil // that they are missing is said already
	}
	if spec.Parallelism == nil || *spec.Completions != *spec.Parallelism ||
		old.Completions == nil || old.Parallelism == nil || *old.Completions != *old.Parallelism {
		return field.ErrorList{field.Invalid(path, *spec.Completions, fmt.Sprintf("can only be modified in tandem with %s", rules.Spec.Child("parallelism")))}
	}
	return nil
}

// checkTemplateUpdate keeps the template as it is, but lets the scheduling
// directives of a suspended job change as long as none of its pods runs
// (KEP-2926).
func checkTemplateUpdate(job, old *batchv1.Job) field.ErrorList {
	was := old.Spec.Template.DeepCopy()
	if schedulingMutable(old) {
		now := &job.Spec.Template
		was.Annotations, was.Labels = now.Annotations, now.Labels
		was.Spec.NodeSelector, was.Spec.Tolerations = now.Spec.NodeSelector, now.Spec.Tolerations
		was.Spec.SchedulingGates = now.Spec.SchedulingGates
		was.Spec.Affinity = now.Spec.Affinity
		copyResources(was.Spec.Containers, now.Spec.Containers)
		copyResources(was.Spec.InitContainers, now.Spec.InitContainers)
	}
	return rules.Immutable(job.Spec.Template, *was, rules.Template)
}

// copyResources lets the resources of the containers change too, as those of a
// suspended job may (KEP-5440).
func copyResources(to, from []corev1.Container) {
	if len(to) != len(from) {
		return // refused as a change of the template
	}
	for i := range to {
		to[i].Resources = from[i].Resources
	}
}

func schedulingMutable(old *batchv1.Job) bool {
	suspended := old.Spec.Suspend != nil && *old.Spec.Suspend
	return suspended && (old.Status.StartTime == nil || old.Status.Active == 0 && hasCondition(old, batchv1.JobSuspended))
}

func hasCondition(job *batchv1.Job, t batchv1.JobConditionType) bool {
	return slices.ContainsFunc(job.Status.Conditions, func(c batchv1.JobCondition) bool {
		return c.Type == t && c.Status == corev1.ConditionTrue
	})
}

// ValidateJobStatusUpdate returns what is wrong with a new status.
func ValidateJobStatusUpdate(_ context.Context, job, old *batchv1.Job) field.ErrorList {
	s := &job.Status
	errs := apivalidation.ValidateObjectMetaUpdate(&job.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, rules.NonNegative(s.Active, rules.Status.Child("active"))...)
	errs = append(errs, rules.NonNegative(s.Succeeded, rules.Status.Child("succeeded"))...)
	errs = append(errs, rules.NonNegative(s.Failed, rules.Status.Child("failed"))...)
	errs = append(errs, rules.NonNegativeIfSet(s.Ready, rules.Status.Child("ready"))...)
	errs = append(errs, rules.NonNegativeIfSet(s.Terminating, rules.Status.Child("terminating"))...)
	errs = append(errs, checkFinishedConditions(job, old)...)
	if s.CompletionTime != nil {
		path := rules.Status.Child("completionTime")
		switch {
		case !hasCondition(job, batchv1.JobComplete):
			errs = append(errs, field.Invalid(path, s.CompletionTime, "cannot set completionTime when there is no Complete=True condition"))
		case s.StartTime != nil && s.CompletionTime.Before(s.StartTime):
			errs = append(errs, field.Invalid(path, s.CompletionTime, "completionTime cannot be set before startTime"))
		}
	} else if hasCondition(job, batchv1.JobComplete) {
		errs = append(errs, field.Required(rules.Status.Child("completionTime"), "completionTime is required for Complete jobs"))
	}
	if old.Status.StartTime != nil && s.StartTime == nil && !(job.Spec.Suspend != nil && *job.Spec.Suspend) {
		errs = append(errs, field.Required(rules.Status.Child("startTime"), "startTime cannot be removed for unsuspended job"))
	}
	return errs
}

// checkFinishedConditions keeps a job that ended as it ended.
func checkFinishedConditions(job, old *batchv1.Job) field.ErrorList {
	path := rules.Status.Child("conditions")
	var errs field.ErrorList
	for _, t := range []batchv1.JobConditionType{batchv1.JobComplete, batchv1.JobFailed, batchv1.JobFailureTarget, batchv1.JobSuccessCriteriaMet} {
		if hasCondition(old, t) && !hasCondition(job, t) {
			errs = append(errs, field.Invalid(path, field.OmitValueType{}, fmt.Sprintf("cannot disable %s=True condition", t)))
		}
	}
	for _, pair := range [][2]batchv1.JobConditionType{
		{batchv1.JobComplete, batchv1.JobFailed},
		{batchv1.JobComplete, batchv1.JobFailureTarget},
		{batchv1.JobFailed, batchv1.JobSuccessCriteriaMet},
		{batchv1.JobFailureTarget, batchv1.JobSuccessCriteriaMet},
	} {
		if hasCondition(job, pair[0]) && hasCondition(job, pair[1]) {
			errs = append(errs, field.Invalid(path, field.OmitValueType{}, fmt.Sprintf("cannot set %s=True and %s=True conditions", pair[0], pair[1])))
		}
	}
	return errs
}
