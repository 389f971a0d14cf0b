package apps

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/skiff-project/skiff/apis/core"
	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/defaulting"
)

func statefulSetResource() resource.Resource {
	return resource.Define[appsv1.StatefulSet, appsv1.StatefulSetList](resource.Definition[appsv1.StatefulSet]{
		Names: resource.Names{
			Kind:         appsv1.SchemeGroupVersion.WithKind("StatefulSet"),
			Plural:       "statefulsets",
			ShortNames:   []string{"sts"},
			Categories:   []string{"all"},
			Subresources: []string{"scale"},
		},
		Validate:             ValidateStatefulSet,
		ValidateUpdate:       ValidateStatefulSetUpdate,
		ValidateStatusUpdate: ValidateStatefulSetStatusUpdate,
		Warnings: func(_ context.Context, sts, old *appsv1.StatefulSet) []string {
			var warnings []string
			if old == nil {
				warnings = warnTemplate(&sts.Spec.Template, nil)
			} else {
				warnings = warnTemplate(&sts.Spec.Template, &old.Spec.Template)
			}
			if limit := sts.Spec.RevisionHistoryLimit; limit != nil && *limit < 0 {
				warnings = append(warnings, "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended")
			}
			return warnings
		},
		Columns: statefulSetColumns(),
	})
}

// SetDefaultsStatefulSet asks for one replica, one pod after the other, and for
// claims that outlive their pods.
func SetDefaultsStatefulSet(sts *appsv1.StatefulSet) {
	spec := &sts.Spec
	core.SetDefaultsPodTemplateSpec(&spec.Template)
	defaulting.Value(&spec.PodManagementPolicy, appsv1.OrderedReadyPodManagement)
	if spec.UpdateStrategy.Type == "" {
		spec.UpdateStrategy.Type = appsv1.RollingUpdateStatefulSetStrategyType
		defaulting.Pointer(&spec.UpdateStrategy.RollingUpdate, appsv1.RollingUpdateStatefulSetStrategy{})
	}
	if r := spec.UpdateStrategy.RollingUpdate; r != nil && spec.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType {
		defaulting.Pointer(&r.Partition, 0)
		defaulting.Pointer(&r.MaxUnavailable, intstr.FromInt32(1))
	}
	defaulting.Pointer(&spec.PersistentVolumeClaimRetentionPolicy, appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{})
	defaulting.Value(&spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	defaulting.Value(&spec.PersistentVolumeClaimRetentionPolicy.WhenScaled, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	defaulting.Pointer(&spec.Replicas, 1)
	defaulting.Pointer(&spec.RevisionHistoryLimit, 10)
	for i := range spec.VolumeClaimTemplates {
		claim := &spec.VolumeClaimTemplates[i]
		// Clients have always been told the kind of these templates.
		claim.APIVersion, claim.Kind = "v1", "PersistentVolumeClaim"
		core.SetDefaultsPersistentVolumeClaim(claim)
	}
}
