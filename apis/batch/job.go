package batch

import (
	"context"
	"math"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skiff-project/skiff/apis/core"
	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/defaulting"
)

// The labels that jobs had before labels got the prefix batch.kubernetes.io/.
// Both are still set.
const (
	legacyJobNameLabel       = "job-name"
	legacyControllerUIDLabel = "controller-uid"
)

func jobResource() resource.Resource {
	return resource.Define[batchv1.Job, batchv1.JobList](resource.Definition[batchv1.Job]{
		Names: resource.Names{
			Kind:       batchv1.SchemeGroupVersion.WithKind("Job"),
			Plural:     "jobs",
			Categories: []string{"all"},
			// Clients older than the garbage collector expect the pods to stay.
			DefaultGC: metav1.DeletePropagationOrphan,
		},
		PrepareForCreate: func(_ context.Context, job *batchv1.Job) {
			generateSelector(job)
			job.Spec.Scheduling = nil // alpha, and off
		},
		PrepareForUpdate: func(_ context.Context, job, _ *batchv1.Job) {
			job.Spec.Scheduling = nil
		},
		Validate:             ValidateJob,
		ValidateUpdate:       ValidateJobUpdate,
		ValidateStatusUpdate: ValidateJobStatusUpdate,
		Warnings:             warnJob,
		WarningsOnDelete:     warnOfOrphans,
		Columns:              jobColumns(),
		Fields: []resource.TypedField[batchv1.Job]{
			{Path: "status.successful", Value: func(job *batchv1.Job) string { return strconv.Itoa(int(job.Status.Succeeded)) }},
		},
	})
}

// warnOfOrphans warns whoever leaves open what becomes of a job's pods.
func warnOfOrphans(_ context.Context, options *metav1.DeleteOptions) []string {
	if options == nil || options.PropagationPolicy != nil || options.OrphanDependents != nil {
		return nil
	}
	return []string{"child pods are preserved by default when jobs are deleted; " +
		"set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning"}
}

// SetDefaultsJob makes a job run one pod to completion.
func SetDefaultsJob(job *batchv1.Job) {
	spec := &job.Spec
	core.SetDefaultsPodTemplateSpec(&spec.Template)
	if spec.Completions == nil && spec.Parallelism == nil {
		defaulting.Pointer(&spec.Completions, 1)
	}
	defaulting.Pointer(&spec.Parallelism, 1)
	if spec.BackoffLimitPerIndex != nil {
		defaulting.Pointer(&spec.BackoffLimit, math.MaxInt32) // only the limit of each index counts
	} else {
		defaulting.Pointer(&spec.BackoffLimit, 6)
	}
	if len(job.Labels) == 0 && len(spec.Template.Labels) > 0 {
		job.Labels = copyOf(spec.Template.Labels)
	}
	defaulting.Pointer(&spec.CompletionMode, batchv1.NonIndexedCompletion)
	defaulting.Pointer(&spec.Suspend, false)
	defaulting.Pointer(&spec.ManualSelector, false)
	if spec.PodFailurePolicy != nil {
		for i := range spec.PodFailurePolicy.Rules {
			conditions := spec.PodFailurePolicy.Rules[i].OnPodConditions
			for j := range conditions {
				defaulting.Value(&conditions[j].Status, corev1.ConditionTrue)
			}
		}
		defaulting.Pointer(&spec.PodReplacementPolicy, batchv1.Failed)
	}
	defaulting.Pointer(&spec.PodReplacementPolicy, batchv1.TerminatingOrFailed)
}

func copyOf(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for key, value := range m {
		out[key] = value
	}
	return out
}

// generateSelector lets the job select the pods with its UID, and gives its
// template the labels for it. Labels that are there already stay: validation
// refuses them if they are wrong.
func generateSelector(job *batchv1.Job) {
	if manualSelector(job) {
		return
	}
	template := copyOf(job.Spec.Template.Labels)
	for key, value := range generatedLabels(job) {
		if _, there := template[key]; !there {
			template[key] = value
		}
	}
	job.Spec.Template.Labels = template

	selector := &metav1.LabelSelector{}
	if job.Spec.Selector != nil {
		selector = job.Spec.Selector.DeepCopy()
	}
	if selector.MatchLabels == nil {
		selector.MatchLabels = map[string]string{}
	}
	if _, there := selector.MatchLabels[batchv1.ControllerUidLabel]; !there {
		selector.MatchLabels[batchv1.ControllerUidLabel] = string(job.UID)
	}
	job.Spec.Selector = selector
}

func manualSelector(job *batchv1.Job) bool {
	return job.Spec.ManualSelector != nil && *job.Spec.ManualSelector
}

// generatedLabels returns the labels of the pods of a job with a generated
// selector.
func generatedLabels(job *batchv1.Job) map[string]string {
	return map[string]string{
		legacyJobNameLabel:         job.Name,
		batchv1.JobNameLabel:       job.Name,
		legacyControllerUIDLabel:   string(job.UID),
		batchv1.ControllerUidLabel: string(job.UID),
	}
}
