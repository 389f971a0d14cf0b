package core

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilnet "k8s.io/utils/net"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// ValidateNode returns what is wrong with a new node.
func ValidateNode(_ context.Context, n *corev1.Node) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&n.ObjectMeta, false, apivalidation.NameIsDNSSubdomain, rules.Metadata)
	errs = append(errs, checkTaints(n.Spec.Taints, rules.Spec.Child("taints"))...)
	errs = append(errs, checkNodeResources(n)...)
	return append(errs, checkPodCIDRs(n.Spec.PodCIDRs, rules.Spec.Child("podCIDRs"))...)
}

// ValidateNodeUpdate returns what is wrong with a change of a node: its addresses
// for pods and its provider's name are given once.
func ValidateNodeUpdate(_ context.Context, n, old *corev1.Node) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&n.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, checkTaints(n.Spec.Taints, rules.Spec.Child("taints"))...)
	if len(old.Spec.PodCIDRs) == 0 {
		errs = append(errs, checkPodCIDRs(n.Spec.PodCIDRs, rules.Spec.Child("podCIDRs"))...)
	} else if strings.Join(n.Spec.PodCIDRs, ",") != strings.Join(old.Spec.PodCIDRs, ",") {
		errs = append(errs, field.Forbidden(rules.Spec.Child("podCIDRs"), `node updates may not change podCIDR except from "" to valid`))
	}
	if old.Spec.ProviderID != "" && n.Spec.ProviderID != old.Spec.ProviderID {
		errs = append(errs, field.Forbidden(rules.Spec.Child("providerID"), `node updates may not change providerID except from "" to valid`))
	}
	if n.Spec.DoNotUseExternalID != old.Spec.DoNotUseExternalID {
		errs = append(errs, field.Forbidden(rules.Spec.Child("externalID"), "may not be updated"))
	}
	return errs
}

// ValidateNodeStatusUpdate returns what is wrong with a write of a node's status.
func ValidateNodeStatusUpdate(_ context.Context, n, old *corev1.Node) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&n.ObjectMeta, &old.ObjectMeta, rules.Metadata)
	errs = append(errs, checkNodeResources(n)...)
	seen := sets.New[corev1.NodeAddress]()
	for i, address := range n.Status.Addresses {
		if seen.Has(address) {
			errs = append(errs, field.Duplicate(rules.Status.Child("addresses").Index(i), address))
		}
		seen.Insert(address)
	}
	return errs
}

func checkNodeResources(n *corev1.Node) field.ErrorList {
	var errs field.ErrorList
	check := func(list corev1.ResourceList, path *field.Path) {
		for _, name := range sets.List(sets.KeySet(list)) {
			errs = append(errs, checkResourceName(name, path.Key(string(name)))...)
			errs = append(errs, checkQuantity(name, list[name], path.Key(string(name)))...)
		}
	}
	check(n.Status.Capacity, rules.Status.Child("capacity"))
	check(n.Status.Allocatable, rules.Status.Child("allocatable"))
	return errs
}

func checkTaints(taints []corev1.Taint, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, taint := range taints {
		at := path.Index(i)
		errs = append(errs, metavalidation.ValidateLabelName(taint.Key, at.Child("key"))...)
		if messages := validation.IsValidLabelValue(taint.Value); len(messages) > 0 {
			errs = append(errs, field.Invalid(at.Child("value"), taint.Value, strings.Join(messages, ";")))
		}
		errs = append(errs, checkTaintEffect(taint.Effect, at.Child("effect"))...)
		key := fmt.Sprintf("%s:%s", taint.Key, taint.Effect)
		if seen.Has(key) {
			duplicate := field.Duplicate(at, taint)
			duplicate.Detail = "taints must be unique by key and effect pair"
			errs = append(errs, duplicate)
		}
		seen.Insert(key)
	}
	return errs
}

func checkPodCIDRs(cidrs []string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i, cidr := range cidrs {
		errs = append(errs, validation.IsValidCIDR(path.Index(i), cidr)...)
		if seen.Has(cidr) {
			errs = append(errs, field.Duplicate(path.Index(i), cidr))
		}
		seen.Insert(cidr)
	}
	if len(errs) == 0 && len(cidrs) > 1 {
		if dual, err := utilnet.IsDualStackCIDRStrings(cidrs); err == nil && (!dual || len(cidrs) > 2) {
			errs = append(errs, field.Invalid(path, cidrs, "may specify no more than one CIDR for each IP family"))
		}
	}
	return errs
}
