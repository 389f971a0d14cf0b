package apps

import (
	"context"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/skiff-project/skiff/apis/core"
	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/defaulting"
)

func daemonSetResource() resource.Resource {
	return resource.Define[appsv1.DaemonSet, appsv1.DaemonSetList](resource.Definition[appsv1.DaemonSet]{
		Names: resource.Names{
			Kind:       appsv1.SchemeGroupVersion.WithKind("DaemonSet"),
			Plural:     "daemonsets",
			ShortNames: []string{"ds"},
			Categories: []string{"all"},
		},
		PrepareForCreate: func(_ context.Context, ds *appsv1.DaemonSet) {
			setTemplateGeneration(ds, max(templateGeneration(ds), 1))
		},
		PrepareForUpdate:     prepareDaemonSetForUpdate,
		Validate:             ValidateDaemonSet,
		ValidateUpdate:       ValidateDaemonSetUpdate,
		ValidateStatusUpdate: ValidateDaemonSetStatusUpdate,
		Warnings: func(_ context.Context, ds, old *appsv1.DaemonSet) []string {
			if old == nil {
				return warnTemplate(&ds.Spec.Template, nil)
			}
			return warnTemplate(&ds.Spec.Template, &old.Spec.Template)
		},
		Columns: daemonSetColumns(),
	})
}

// prepareDaemonSetForUpdate counts the changes of the template. Users cannot set
// the count.
func prepareDaemonSetForUpdate(_ context.Context, ds, old *appsv1.DaemonSet) {
	generation := templateGeneration(old)
	if !equality.Semantic.DeepEqual(ds.Spec.Template, old.Spec.Template) {
		generation++
	}
	setTemplateGeneration(ds, generation)
}

// templateGeneration returns the count of template changes, which apps/v1 keeps
// in an annotation; 0 if there is none.
func templateGeneration(ds *appsv1.DaemonSet) int64 {
	n, err := strconv.ParseInt(ds.Annotations[appsv1.DeprecatedTemplateGeneration], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func setTemplateGeneration(ds *appsv1.DaemonSet, generation int64) {
	annotations := make(map[string]string, len(ds.Annotations)+1)
	for key, value := range ds.Annotations {
		annotations[key] = value
	}
	annotations[appsv1.DeprecatedTemplateGeneration] = strconv.FormatInt(generation, 10)
	ds.Annotations = annotations
}

// SetDefaultsDaemonSet lets pods be updated one by one.
func SetDefaultsDaemonSet(ds *appsv1.DaemonSet) {
	core.SetDefaultsPodTemplateSpec(&ds.Spec.Template)
	strategy := &ds.Spec.UpdateStrategy
	defaulting.Value(&strategy.Type, appsv1.RollingUpdateDaemonSetStrategyType)
	if strategy.Type == appsv1.RollingUpdateDaemonSetStrategyType {
		defaulting.Pointer(&strategy.RollingUpdate, appsv1.RollingUpdateDaemonSet{})
		defaulting.Pointer(&strategy.RollingUpdate.MaxUnavailable, intstr.FromInt32(1))
		defaulting.Pointer(&strategy.RollingUpdate.MaxSurge, intstr.FromInt32(0))
	}
	defaulting.Pointer(&ds.Spec.RevisionHistoryLimit, 10)
}
