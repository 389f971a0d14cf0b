package rbac

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

// checkMetadata checks the metadata of a new object, or of a change if old is
// set. The names of RBAC's objects may have colons and capitals.
func checkMetadata(meta, old *metav1.ObjectMeta, namespaced bool) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(meta, namespaced, path.ValidatePathSegmentName, rules.Metadata)
	if old != nil {
		errs = append(errs, apivalidation.ValidateObjectMetaUpdate(meta, old, rules.Metadata)...)
	}
	return errs
}

// ValidateRole returns what is wrong with a new role.
func ValidateRole(_ context.Context, r *rbacv1.Role) field.ErrorList {
	return append(checkMetadata(&r.ObjectMeta, nil, true), checkRules(r.Rules, true)...)
}

// ValidateRoleUpdate returns what is wrong with a change of a role.
func ValidateRoleUpdate(_ context.Context, r, old *rbacv1.Role) field.ErrorList {
	return append(checkMetadata(&r.ObjectMeta, &old.ObjectMeta, true), checkRules(r.Rules, true)...)
}

// ValidateClusterRole returns what is wrong with a new cluster role.
func ValidateClusterRole(_ context.Context, r *rbacv1.ClusterRole) field.ErrorList {
	errs := append(checkMetadata(&r.ObjectMeta, nil, false), checkRules(r.Rules, false)...)
	return append(errs, checkAggregation(r.AggregationRule)...)
}

// ValidateClusterRoleUpdate returns what is wrong with a change.
func ValidateClusterRoleUpdate(_ context.Context, r, old *rbacv1.ClusterRole) field.ErrorList {
	errs := append(checkMetadata(&r.ObjectMeta, &old.ObjectMeta, false), checkRules(r.Rules, false)...)
	return append(errs, checkAggregation(r.AggregationRule)...)
}

func checkRules(list []rbacv1.PolicyRule, namespaced bool) field.ErrorList {
	var errs field.ErrorList
	for i := range list {
		errs = append(errs, checkRule(&list[i], namespaced, field.NewPath("rules").Index(i))...)
	}
	return errs
}

func checkRule(rule *rbacv1.PolicyRule, namespaced bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(rule.Verbs) == 0 {
		errs = append(errs, field.Required(at.Child("verbs"), "verbs must contain at least one value"))
	}
	if len(rule.NonResourceURLs) > 0 {
		urls := at.Child("nonResourceURLs")
		if namespaced {
			errs = append(errs, field.Invalid(urls, rule.NonResourceURLs, "namespaced rules cannot apply to non-resource URLs"))
		}
		if len(rule.APIGroups)+len(rule.Resources)+len(rule.ResourceNames) > 0 {
			errs = append(errs, field.Invalid(urls, rule.NonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs"))
		}
		return errs
	}
	if len(rule.APIGroups) == 0 {
		errs = append(errs, field.Required(at.Child("apiGroups"), "resource rules must supply at least one api group"))
	}
	if len(rule.Resources) == 0 {
		errs = append(errs, field.Required(at.Child("resources"), "resource rules must supply at least one resource"))
	}
	return errs
}

func checkAggregation(rule *rbacv1.AggregationRule) field.ErrorList {
	if rule == nil {
		return nil
	}
	at := field.NewPath("aggregationRule", "clusterRoleSelectors")
	if len(rule.ClusterRoleSelectors) == 0 {
		return field.ErrorList{field.Required(at, "at least one clusterRoleSelector required if aggregationRule is non-nil")}
	}
	var errs field.ErrorList
	for i := range rule.ClusterRoleSelectors {
		selector, at := &rule.ClusterRoleSelectors[i], at.Index(i)
		errs = append(errs, metavalidation.ValidateLabelSelector(selector, metavalidation.LabelSelectorValidationOptions{}, at)...)
		if _, err := metav1.LabelSelectorAsSelector(selector); err != nil {
			errs = append(errs, field.Invalid(at, selector, "invalid label selector."))
		}
	}
	return errs
}

// ValidateRoleBinding returns what is wrong with a new binding.
func ValidateRoleBinding(_ context.Context, b *rbacv1.RoleBinding) field.ErrorList {
	errs := append(checkMetadata(&b.ObjectMeta, nil, true), checkRoleRef(b.RoleRef, "Role", "ClusterRole")...)
	return append(errs, checkSubjects(b.Subjects, true)...)
}

// ValidateRoleBindingUpdate returns what is wrong with a change of a binding.
func ValidateRoleBindingUpdate(_ context.Context, b, old *rbacv1.RoleBinding) field.ErrorList {
	errs := append(checkMetadata(&b.ObjectMeta, &old.ObjectMeta, true), checkRoleRef(b.RoleRef, "Role", "ClusterRole")...)
	errs = append(errs, checkSubjects(b.Subjects, true)...)
	return append(errs, checkSameRole(b.RoleRef, old.RoleRef)...)
}

// ValidateClusterRoleBinding returns what is wrong with a new binding.
func ValidateClusterRoleBinding(_ context.Context, b *rbacv1.ClusterRoleBinding) field.ErrorList {
	errs := append(checkMetadata(&b.ObjectMeta, nil, false), checkRoleRef(b.RoleRef, "ClusterRole")...)
	return append(errs, checkSubjects(b.Subjects, false)...)
}

// ValidateClusterRoleBindingUpdate returns what is wrong with a change.
func ValidateClusterRoleBindingUpdate(_ context.Context, b, old *rbacv1.ClusterRoleBinding) field.ErrorList {
	errs := append(checkMetadata(&b.ObjectMeta, &old.ObjectMeta, false), checkRoleRef(b.RoleRef, "ClusterRole")...)
	errs = append(errs, checkSubjects(b.Subjects, false)...)
	return append(errs, checkSameRole(b.RoleRef, old.RoleRef)...)
}

// checkSameRole keeps the role: who may bind one role may not turn the binding
// into one of another.
func checkSameRole(ref, old rbacv1.RoleRef) field.ErrorList {
	if ref != old {
		return field.ErrorList{field.Invalid(field.NewPath("roleRef"), ref, "cannot change roleRef")}
	}
	return nil
}

func checkRoleRef(ref rbacv1.RoleRef, kinds ...string) field.ErrorList {
	at := field.NewPath("roleRef")
	errs := rules.Enum(ref.APIGroup, at.Child("apiGroup"), rbacv1.GroupName)
	errs = append(errs, rules.Enum(ref.Kind, at.Child("kind"), kinds...)...)
	if ref.Name == "" {
		return append(errs, field.Required(at.Child("name"), ""))
	}
	return append(errs, rules.Invalid(at.Child("name"), ref.Name, path.ValidatePathSegmentName(ref.Name, false)...)...)
}

func checkSubjects(subjects []rbacv1.Subject, namespaced bool) field.ErrorList {
	var errs field.ErrorList
	for i, s := range subjects {
		errs = append(errs, checkSubject(s, namespaced, field.NewPath("subjects").Index(i))...)
	}
	return errs
}

func checkSubject(s rbacv1.Subject, namespaced bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if s.Name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	}
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		if s.Name != "" {
			errs = append(errs, rules.Invalid(at.Child("name"), s.Name, validation.IsDNS1123Subdomain(s.Name)...)...)
		}
		if s.APIGroup != "" {
			errs = append(errs, field.NotSupported(at.Child("apiGroup"), s.APIGroup, []string{""}))
		}
		if !namespaced && s.Namespace == "" {
			errs = append(errs, field.Required(at.Child("namespace"), ""))
		}
	case rbacv1.UserKind, rbacv1.GroupKind:
		errs = append(errs, rules.Enum(s.APIGroup, at.Child("apiGroup"), rbacv1.GroupName)...)
	default:
		errs = append(errs, field.NotSupported(at.Child("kind"), s.Kind, []string{rbacv1.ServiceAccountKind, rbacv1.UserKind, rbacv1.GroupKind}))
	}
	return errs
}
