package apps

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/core"
	"github.com/skiff-project/skiff/apis/resource"
	"github.com/skiff-project/skiff/apis/resource/defaulting"
	"github.com/skiff-project/skiff/apis/resource/rules"
)

func replicaSetResource() resource.Resource {
	return resource.Define[appsv1.ReplicaSet, appsv1.ReplicaSetList](resource.Definition[appsv1.ReplicaSet]{
		Names: resource.Names{
			Kind:         appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
			Plural:       "replicasets",
			ShortNames:   []string{"rs"},
			Categories:   []string{"all"},
			Subresources: []string{"scale"},
		},
		Validate:             ValidateReplicaSet,
		ValidateUpdate:       ValidateReplicaSetUpdate,
		ValidateStatusUpdate: ValidateReplicaSetStatusUpdate,
		Warnings: func(_ context.Context, rs, old *appsv1.ReplicaSet) []string {
			if old == nil {
				return append(warnName(rs.Name), warnTemplate(&rs.Spec.Template, nil)...)
			}
			return warnTemplate(&rs.Spec.Template, &old.Spec.Template)
		},
		Columns: replicaSetColumns(),
	})
}

// SetDefaultsReplicaSet asks for one replica.
func SetDefaultsReplicaSet(rs *appsv1.ReplicaSet) {
	core.SetDefaultsPodTemplateSpec(&rs.Spec.Template)
	defaulting.Pointer(&rs.Spec.Replicas, 1)
}

// ValidateReplicaSet returns what is wrong with a new replica set.
func ValidateReplicaSet(_ context.Context, rs *appsv1.ReplicaSet) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&rs.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, rules.Metadata)
	return append(errs, checkReplicaSetSpec(&rs.Spec)...)
}

// ValidateReplicaSetUpdate returns what is wrong with a change of a replica set.
func ValidateReplicaSetUpdate(_ context.Context, rs, old *appsv1.ReplicaSet) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&rs.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, checkReplicaSetSpec(&rs.Spec)...)
	return append(errs, rules.Immutable(rs.Spec.Selector, old.Spec.Selector, selectorPath)...)
}

func checkReplicaSetSpec(spec *appsv1.ReplicaSetSpec) field.ErrorList {
	errs := rules.NonNegativeIfSet(spec.Replicas, rules.Spec.Child("replicas"))
	errs = append(errs, rules.NonNegative(spec.MinReadySeconds, rules.Spec.Child("minReadySeconds"))...)
	errs = append(errs, checkSelector(spec.Selector, "deployment")...) // kube's own words
	return append(errs, checkReplicaTemplate(spec.Selector, &spec.Template)...)
}

// ValidateReplicaSetStatusUpdate returns what is wrong with a new status.
func ValidateReplicaSetStatusUpdate(_ context.Context, rs, old *appsv1.ReplicaSet) field.ErrorList {
	s := &rs.Status
	labeled, ready := counter{"fullyLabeledReplicas", s.FullyLabeledReplicas}, counter{"readyReplicas", s.ReadyReplicas}
	available := counter{"availableReplicas", s.AvailableReplicas}

	errs := apivalidation.ValidateObjectMetaUpdate(&rs.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, checkCounters(s.ObservedGeneration, counter{"replicas", s.Replicas}, labeled, ready, available)...)
	errs = append(errs, rules.NonNegativeIfSet(s.TerminatingReplicas, rules.Status.Child("terminatingReplicas"))...)
	errs = append(errs, checkAtMost(s.Replicas, "status.replicas", labeled, ready, available)...)
	return append(errs, checkAtMost(s.ReadyReplicas, "readyReplicas", available)...)
}
