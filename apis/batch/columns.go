package batch

import (
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/columns"
)

func jobColumns() []resource.TypedColumn[batchv1.Job] {
	spec, status := batchv1.JobSpec{}.SwaggerDoc(), batchv1.JobStatus{}.SwaggerDoc()
	cols := []resource.TypedColumn[batchv1.Job]{
		columns.Name[batchv1.Job](),
		columns.Text("Status", "Status of the job.", jobStatus),
		columns.Text("Completions", status["succeeded"], completions),
		columns.Text("Duration", "Time required to complete the job.", runTime),
		columns.Age[batchv1.Job](),
	}
	cols = append(cols, columns.Containers(func(job *batchv1.Job) *corev1.PodTemplateSpec { return &job.Spec.Template })...)
	return append(cols, columns.Wide(columns.Text("Selector", spec["selector"], func(job *batchv1.Job) string {
		return columns.Selector(job.Spec.Selector)
	})))
}

// jobStatus returns the state of a job in one word; the first that applies.
func jobStatus(job *batchv1.Job) string {
	switch {
	case hasCondition(job, batchv1.JobComplete):
		return "Complete"
	case hasCondition(job, batchv1.JobFailed):
		return "Failed"
	case job.DeletionTimestamp != nil:
		return "Terminating"
	case hasCondition(job, batchv1.JobSuspended):
		return "Suspended"
	case hasCondition(job, batchv1.JobFailureTarget):
		return "FailureTarget"
	case hasCondition(job, batchv1.JobSuccessCriteriaMet):
		return "SuccessCriteriaMet"
	}
	return "Running"
}

func completions(job *batchv1.Job) string {
	if job.Spec.Completions != nil {
		return fmt.Sprintf("%d/%d", job.Status.Succeeded, *job.Spec.Completions)
	}
	if parallelism := columns.Deref(job.Spec.Parallelism); parallelism > 1 {
		return fmt.Sprintf("%d/1 of %d", job.Status.Succeeded, parallelism)
	}
	return fmt.Sprintf("%d/1", job.Status.Succeeded)
}

func runTime(job *batchv1.Job) string {
	switch start, end := job.Status.StartTime, job.Status.CompletionTime; {
	case start == nil:
		return ""
	case end == nil:
		return duration.HumanDuration(time.Since(start.Time))
	default:
		return duration.HumanDuration(end.Sub(start.Time))
	}
}

func cronJobColumns() []resource.TypedColumn[batchv1.CronJob] {
	spec, status := batchv1.CronJobSpec{}.SwaggerDoc(), batchv1.CronJobStatus{}.SwaggerDoc()
	cols := []resource.TypedColumn[batchv1.CronJob]{
		columns.Name[batchv1.CronJob](),
		columns.Text("Schedule", spec["schedule"], func(cj *batchv1.CronJob) string { return cj.Spec.Schedule }),
		columns.Text("Timezone", spec["timeZone"], func(cj *batchv1.CronJob) string { return columns.OrNone(columns.Deref(cj.Spec.TimeZone)) }),
		{Name: "Suspend", Type: "boolean", Description: spec["suspend"], Value: suspended},
		columns.Number("Active", status["active"], func(cj *batchv1.CronJob) int { return len(cj.Status.Active) }),
		columns.Text("Last Schedule", status["lastScheduleTime"], func(cj *batchv1.CronJob) string {
			if cj.Status.LastScheduleTime == nil {
				return columns.None
			}
			return columns.Since(*cj.Status.LastScheduleTime)
		}),
		columns.Age[batchv1.CronJob](),
	}
	cols = append(cols, columns.Containers(func(cj *batchv1.CronJob) *corev1.PodTemplateSpec { return &cj.Spec.JobTemplate.Spec.Template })...)
	return append(cols, columns.Wide(columns.Text("Selector", batchv1.JobSpec{}.SwaggerDoc()["selector"], func(cj *batchv1.CronJob) string {
		return columns.Selector(cj.Spec.JobTemplate.Spec.Selector)
	})))
}

// suspended returns the word that kubectl shows: True, False or <unset>.
func suspended(cj *batchv1.CronJob) any {
	switch {
	case cj.Spec.Suspend == nil:
		return columns.Unset
	case *cj.Spec.Suspend:
		return "True"
	}
	return "False"
}
