package core

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// ValidateServiceAccount returns what is wrong with a service account.
func ValidateServiceAccount(_ context.Context, sa *corev1.ServiceAccount) field.ErrorList {
	return apivalidation.ValidateObjectMeta(&sa.ObjectMeta, true, apivalidation.ValidateServiceAccountName, rules.Metadata)
}

// ValidateServiceAccountUpdate returns what is wrong with a change of a service
// account.
func ValidateServiceAccountUpdate(_ context.Context, sa, old *corev1.ServiceAccount) field.ErrorList {
	return apivalidation.ValidateObjectMetaUpdate(&sa.ObjectMeta, &old.ObjectMeta, rules.Metadata)
}

// ValidateNamespace returns what is wrong with a new namespace.
func ValidateNamespace(_ context.Context, ns *corev1.Namespace) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&ns.ObjectMeta, false, apivalidation.ValidateNamespaceName, rules.Metadata)
	return append(errs, checkNamespaceFinalizers(ns)...)
}

// ValidateNamespaceUpdate returns what is wrong with a change of a namespace.
func ValidateNamespaceUpdate(_ context.Context, ns, old *corev1.Namespace) field.ErrorList {
	return apivalidation.ValidateObjectMetaUpdate(&ns.ObjectMeta, &old.ObjectMeta, rules.Metadata)
}

// ValidateNamespaceFinalizeUpdate returns what is wrong with a write through
// /finalize.
func ValidateNamespaceFinalizeUpdate(_ context.Context, ns, old *corev1.Namespace) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&ns.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	return append(errs, checkNamespaceFinalizers(ns)...)
}

// ValidateNamespaceStatusUpdate returns what is wrong with a write of a
// namespace's status.
func ValidateNamespaceStatusUpdate(_ context.Context, ns, old *corev1.Namespace) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&ns.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	phase := rules.Status.Child("Phase")
	if ns.DeletionTimestamp.IsZero() {
		if ns.Status.Phase != corev1.NamespaceActive {
			errs = append(errs, field.Invalid(phase, ns.Status.Phase, "may only be 'Active' if `deletionTimestamp` is empty"))
		}
	} else if ns.Status.Phase != corev1.NamespaceTerminating {
		errs = append(errs, field.Invalid(phase, ns.Status.Phase, "may only be 'Terminating' if `deletionTimestamp` is not empty"))
	}
	return errs
}

func checkNamespaceFinalizers(ns *corev1.Namespace) field.ErrorList {
	var errs field.ErrorList
	for _, finalizer := range ns.Spec.Finalizers {
		at := rules.Spec.Child("finalizers")
		errs = append(errs, rules.Invalid(at, string(finalizer), validation.IsQualifiedName(string(finalizer))...)...)
		if !strings.Contains(string(finalizer), "/") && finalizer != corev1.FinalizerKubernetes {
			errs = append(errs, field.Invalid(at, string(finalizer), "name is neither a standard finalizer name nor is it fully qualified"))
		}
	}
	return errs
}

// ValidateReplicationController returns what is wrong with a controller.
func ValidateReplicationController(_ context.Context, rc *corev1.ReplicationController) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&rc.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, rules.Metadata)
	return append(errs, checkReplicationControllerSpec(&rc.Spec)...)
}

// ValidateReplicationControllerUpdate returns what is wrong with a change of a
// controller.
func ValidateReplicationControllerUpdate(_ context.Context, rc, old *corev1.ReplicationController) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&rc.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	return append(errs, checkReplicationControllerSpec(&rc.Spec)...)
}

func checkReplicationControllerSpec(spec *corev1.ReplicationControllerSpec) field.ErrorList {
	errs := apivalidation.ValidateNonnegativeField(int64(spec.MinReadySeconds), rules.Spec.Child("minReadySeconds"))
	if len(spec.Selector) == 0 {
		errs = append(errs, field.Required(rules.Spec.Child("selector"), ""))
	}
	if spec.Replicas == nil {
		errs = append(errs, field.Required(rules.Spec.Child("replicas"), ""))
	} else {
		errs = append(errs, apivalidation.ValidateNonnegativeField(int64(*spec.Replicas), rules.Spec.Child("replicas"))...)
	}
	if spec.Template == nil {
		return append(errs, field.Required(rules.Template, ""))
	}
	if len(spec.Selector) > 0 && !labels.SelectorFromSet(spec.Selector).Matches(labels.Set(spec.Template.Labels)) {
		errs = append(errs, field.Invalid(rules.Template.Child("metadata", "labels"), spec.Template.Labels,
			"`selector` does not match template `labels`"))
	}
	errs = append(errs, ValidatePodTemplateSpec(spec.Template, rules.Template)...)
	if spec.Template.Spec.RestartPolicy != corev1.RestartPolicyAlways {
		errs = append(errs, field.NotSupported(rules.Template.Child("spec", "restartPolicy"), spec.Template.Spec.RestartPolicy,
			[]corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if spec.Template.Spec.ActiveDeadlineSeconds != nil {
		errs = append(errs, field.Forbidden(rules.Template.Child("spec", "activeDeadlineSeconds"),
			"activeDeadlineSeconds in ReplicationController is not Supported"))
	}
	return errs
}

// ValidateReplicationControllerStatusUpdate returns what is wrong with a write of
// a controller's status.
func ValidateReplicationControllerStatusUpdate(_ context.Context, rc, old *corev1.ReplicationController) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&rc.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	s := &rc.Status
	errs = append(errs, nonNegative(rules.Status, map[string]int64{
		"replicas": int64(s.Replicas), "fullyLabeledReplicas": int64(s.FullyLabeledReplicas),
		"readyReplicas": int64(s.ReadyReplicas), "availableReplicas": int64(s.AvailableReplicas),
		"observedGeneration": s.ObservedGeneration,
	})...)
	const aboveReplicas = "cannot be greater than status.replicas"
	if s.FullyLabeledReplicas > s.Replicas {
		errs = append(errs, field.Invalid(rules.Status.Child("fullyLabeledReplicas"), s.FullyLabeledReplicas, aboveReplicas))
	}
	if s.ReadyReplicas > s.Replicas {
		errs = append(errs, field.Invalid(rules.Status.Child("readyReplicas"), s.ReadyReplicas, aboveReplicas))
	}
	if s.AvailableReplicas > s.Replicas {
		errs = append(errs, field.Invalid(rules.Status.Child("availableReplicas"), s.AvailableReplicas, aboveReplicas))
	}
	if s.AvailableReplicas > s.ReadyReplicas {
		errs = append(errs, field.Invalid(rules.Status.Child("availableReplicas"), s.AvailableReplicas, "cannot be greater than readyReplicas"))
	}
	return errs
}
