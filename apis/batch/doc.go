// Package batch declares the kinds of the API group batch (v1): Job and CronJob.
//
// # Model
//
// Both are rows (see Resources). A job's rules are in job_validation.go, those
// of its policies in policy_validation.go, and what may change of it in
// job_update_validation.go. ParseSchedule is how everyone reads a CronJob's
// schedule.
package batch

import (
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/defaulting"
)

// AddToScheme registers the kinds of the group batch and their defaults.
func AddToScheme(s *runtime.Scheme) error {
	if err := resource.AddHub(s, batchv1.SchemeGroupVersion, batchv1.AddToScheme); err != nil {
		return err
	}
	defaulting.Kind(s, SetDefaultsJob, func(l *batchv1.JobList) []batchv1.Job { return l.Items })
	defaulting.Kind(s, SetDefaultsCronJob, func(l *batchv1.CronJobList) []batchv1.CronJob { return l.Items })
	return nil
}

// Resources returns the rows of the group batch.
func Resources() []resource.Resource {
	return []resource.Resource{cronJobResource(), jobResource()}
}
