package batch

import (
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/apis/resource"
)

// AddToScheme registers the kinds of the group batch.
func AddToScheme(s *runtime.Scheme) error {
	return resource.AddHub(s, batchv1.SchemeGroupVersion, batchv1.AddToScheme)
}

// Resources returns the rows of the group batch.
func Resources() []resource.Resource {
	return []resource.Resource{
		jobResource(),
		cronJobResource(),
	}
}

func jobResource() resource.Resource {
	return resource.Define[batchv1.Job, batchv1.JobList](resource.Definition[batchv1.Job]{
		Names: resource.Names{
			Kind:       batchv1.SchemeGroupVersion.WithKind("Job"),
			Plural:     "jobs",
			Categories: []string{"all"},
		},
	})
}

func cronJobResource() resource.Resource {
	return resource.Define[batchv1.CronJob, batchv1.CronJobList](resource.Definition[batchv1.CronJob]{
		Names: resource.Names{
			Kind:       batchv1.SchemeGroupVersion.WithKind("CronJob"),
			Plural:     "cronjobs",
			ShortNames: []string{"cj"},
			Categories: []string{"all"},
		},
	})
}
