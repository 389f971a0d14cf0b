package batch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // time zones must not depend on the machine

	"github.com/robfig/cron/v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/core"
	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/defaulting"
	"github.com/skiff-project/skiff/apis/resource/rules"
)

// maxCronJobName leaves room for what the controller appends to make the names
// of jobs.
const maxCronJobName = 52

var jobTemplatePath = rules.Spec.Child("jobTemplate")

func cronJobResource() resource.Resource {
	return resource.Define[batchv1.CronJob, batchv1.CronJobList](resource.Definition[batchv1.CronJob]{
		Names: resource.Names{
			Kind:       batchv1.SchemeGroupVersion.WithKind("CronJob"),
			Plural:     "cronjobs",
			ShortNames: []string{"cj"},
			Categories: []string{"all"},
		},
		PrepareForCreate: func(_ context.Context, cj *batchv1.CronJob) { cj.Spec.JobTemplate.Spec.Scheduling = nil },
		PrepareForUpdate: func(_ context.Context, cj, _ *batchv1.CronJob) { cj.Spec.JobTemplate.Spec.Scheduling = nil },
		Validate:         ValidateCronJob,
		ValidateUpdate:   ValidateCronJobUpdate,
		ValidateStatusUpdate: func(_ context.Context, cj, old *batchv1.CronJob) field.ErrorList {
			return apivalidation.ValidateObjectMetaUpdate(&cj.ObjectMeta, &old.ObjectMeta, rules.Metadata)
		},
		Warnings: warnCronJob,
		Columns:  cronJobColumns(),
	})
}

// SetDefaultsCronJob lets jobs overlap and keeps some of those that ended. The
// job template gets its defaults when a job is made of it.
func SetDefaultsCronJob(cj *batchv1.CronJob) {
	core.SetDefaultsPodTemplateSpec(&cj.Spec.JobTemplate.Spec.Template)
	defaulting.Value(&cj.Spec.ConcurrencyPolicy, batchv1.AllowConcurrent)
	defaulting.Pointer(&cj.Spec.Suspend, false)
	defaulting.Pointer(&cj.Spec.SuccessfulJobsHistoryLimit, 3)
	defaulting.Pointer(&cj.Spec.FailedJobsHistoryLimit, 1)
}

// ParseSchedule returns the schedule that text describes in the crontab format,
// with names like @daily.
func ParseSchedule(text string) (cron.Schedule, error) {
	if inZone(text) && !strings.Contains(text, " ") {
		return nil, errors.New("missing a schedule after the time zone") // the parser would panic
	}
	return cron.ParseStandard(text)
}

// inZone reports whether the schedule itself starts with a time zone, which was
// never documented and works for old CronJobs only.
func inZone(schedule string) bool {
	return strings.HasPrefix(schedule, "TZ=") || strings.HasPrefix(schedule, "CRON_TZ=")
}

// ValidateCronJob returns what is wrong with a new CronJob.
func ValidateCronJob(_ context.Context, cj *batchv1.CronJob) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&cj.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, rules.Metadata)
	errs = append(errs, checkCronJobSpec(&cj.Spec, nil)...)
	if len(cj.Name) > maxCronJobName {
		errs = append(errs, field.Invalid(rules.Metadata.Child("name"), cj.Name, fmt.Sprintf("must be no more than %d characters", maxCronJobName)))
	}
	return errs
}

// ValidateCronJobUpdate returns what is wrong with a change of a CronJob.
func ValidateCronJobUpdate(_ context.Context, cj, old *batchv1.CronJob) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&cj.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	return append(errs, checkCronJobSpec(&cj.Spec, &old.Spec)...)
}

func checkCronJobSpec(spec, old *batchv1.CronJobSpec) field.ErrorList {
	errs := checkSchedule(spec, old)
	errs = append(errs, rules.NonNegativeIfSet(spec.StartingDeadlineSeconds, rules.Spec.Child("startingDeadlineSeconds"))...)
	if spec.TimeZone != nil {
		// A zone that an older version accepted stays valid.
		if old == nil || old.TimeZone == nil || *old.TimeZone != *spec.TimeZone {
			errs = append(errs, checkTimeZone(*spec.TimeZone, rules.Spec.Child("timeZone"))...)
		}
	}
	errs = append(errs, rules.RequiredEnum(spec.ConcurrencyPolicy, rules.Spec.Child("concurrencyPolicy"),
		batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent)...)
	errs = append(errs, checkJobTemplate(&spec.JobTemplate)...)
	errs = append(errs, rules.NonNegativeIfSet(spec.SuccessfulJobsHistoryLimit, rules.Spec.Child("successfulJobsHistoryLimit"))...)
	return append(errs, rules.NonNegativeIfSet(spec.FailedJobsHistoryLimit, rules.Spec.Child("failedJobsHistoryLimit"))...)
}

func checkSchedule(spec, old *batchv1.CronJobSpec) field.ErrorList {
	path := rules.Spec.Child("schedule")
	if spec.Schedule == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	var errs field.ErrorList
	if _, err := ParseSchedule(spec.Schedule); err != nil {
		errs = append(errs, field.Invalid(path, spec.Schedule, err.Error()))
	}
	switch mentionsZone := strings.Contains(spec.Schedule, "TZ"); {
	case mentionsZone && spec.TimeZone != nil:
		errs = append(errs, field.Invalid(path, spec.Schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule"))
	case mentionsZone && (old == nil || old.Schedule != spec.Schedule):
		errs = append(errs, field.Invalid(path, spec.Schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"))
	}
	return errs
}

func checkTimeZone(zone string, path *field.Path) field.ErrorList {
	if zone == "" {
		return field.ErrorList{field.Invalid(path, zone, "timeZone must be nil or non-empty string")}
	}
	for _, r := range zone {
		if !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_+-", r) {
			return field.ErrorList{field.Invalid(path, zone, fmt.Sprintf("unknown time zone %s", zone))}
		}
	}
	if strings.EqualFold(zone, "Local") {
		return field.ErrorList{field.Invalid(path, zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones")}
	}
	if _, err := time.LoadLocation(zone); err != nil {
		return field.ErrorList{field.Invalid(path, zone, err.Error())}
	}
	return nil
}

// checkJobTemplate checks the template of the jobs, whose selectors are always
// generated.
func checkJobTemplate(template *batchv1.JobTemplateSpec) field.ErrorList {
	path := jobTemplatePath.Child("spec")
	errs := checkJobSpec(&template.Spec, path)
	if template.Spec.Selector != nil {
		errs = append(errs, field.Invalid(path.Child("selector"), template.Spec.Selector, "`selector` will be auto-generated"))
	}
	if manual := template.Spec.ManualSelector; manual != nil && *manual {
		errs = append(errs, field.NotSupported(path.Child("manualSelector"), *manual, []string{"nil", "false"}))
	}
	return errs
}

func warnCronJob(_ context.Context, cj, old *batchv1.CronJob) []string {
	var warnings []string
	var oldTemplate *corev1.PodTemplateSpec
	if old == nil {
		if msgs := validation.IsDNS1123Label(cj.Name); len(msgs) > 0 {
			warnings = append(warnings, fmt.Sprintf("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: %v", msgs))
		}
	} else {
		oldTemplate = &old.Spec.JobTemplate.Spec.Template
	}
	podTemplate := jobTemplatePath.Child("spec", "template")
	warnings = append(warnings, core.WarningsForPodTemplate(&cj.Spec.JobTemplate.Spec.Template, oldTemplate, podTemplate)...)
	warnings = append(warnings, warnJobSpec(&cj.Spec.JobTemplate.Spec, jobTemplatePath.Child("spec"))...)
	if strings.Contains(cj.Spec.Schedule, "TZ") {
		warnings = append(warnings, fmt.Sprintf("cannot use TZ or CRON_TZ in %s, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details",
			rules.Spec.Child("schedule")))
	}
	return warnings
}
