package authorization

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/skiff-project/skiff/apis/resource/rules"
)

var (
	resourcePath    = rules.Spec.Child("resourceAttributes")
	nonResourcePath = rules.Spec.Child("nonResourceAttributes")
)

// ValidateSubjectAccessReview returns what is wrong with the question.
func ValidateSubjectAccessReview(_ context.Context, r *authorizationv1.SubjectAccessReview) field.ErrorList {
	return append(checkSpec(&r.Spec), checkMetadata(r.ObjectMeta)...)
}

// ValidateSelfSubjectAccessReview returns what is wrong with the question.
func ValidateSelfSubjectAccessReview(_ context.Context, r *authorizationv1.SelfSubjectAccessReview) field.ErrorList {
	return append(checkAttributes(r.Spec.ResourceAttributes, r.Spec.NonResourceAttributes), checkMetadata(r.ObjectMeta)...)
}

// ValidateSelfSubjectRulesReview returns what is wrong with the question.
func ValidateSelfSubjectRulesReview(_ context.Context, r *authorizationv1.SelfSubjectRulesReview) field.ErrorList {
	if r.Spec.Namespace == "" {
		return field.ErrorList{field.Required(rules.Spec.Child("namespace"), "no namespace on request")}
	}
	return nil
}

// ValidateLocalSubjectAccessReview returns what is wrong with a question that may
// be about its own namespace only.
func ValidateLocalSubjectAccessReview(_ context.Context, r *authorizationv1.LocalSubjectAccessReview) field.ErrorList {
	errs := checkSpec(&r.Spec)
	meta := r.ObjectMeta
	meta.Namespace, meta.ManagedFields = "", nil
	if !equality.Semantic.DeepEqual(metav1.ObjectMeta{}, meta) {
		errs = append(errs, field.Invalid(rules.Metadata, r.ObjectMeta, "must be empty except for namespace"))
	}
	if attributes := r.Spec.ResourceAttributes; attributes != nil && attributes.Namespace != r.Namespace {
		errs = append(errs, field.Invalid(resourcePath.Child("namespace"), attributes.Namespace, "must match metadata.namespace"))
	}
	if r.Spec.NonResourceAttributes != nil {
		errs = append(errs, field.Invalid(nonResourcePath, r.Spec.NonResourceAttributes, "disallowed on this kind of request"))
	}
	return errs
}

func checkMetadata(meta metav1.ObjectMeta) field.ErrorList {
	bare := meta
	bare.ManagedFields = nil
	if !equality.Semantic.DeepEqual(metav1.ObjectMeta{}, bare) {
		return field.ErrorList{field.Invalid(rules.Metadata, meta, "must be empty")}
	}
	return nil
}

func checkSpec(spec *authorizationv1.SubjectAccessReviewSpec) field.ErrorList {
	errs := checkAttributes(spec.ResourceAttributes, spec.NonResourceAttributes)
	if spec.User == "" && len(spec.Groups) == 0 {
		errs = append(errs, field.Invalid(rules.Spec.Child("user"), spec.User, "at least one of user or group must be specified"))
	}
	return errs
}

func checkAttributes(r *authorizationv1.ResourceAttributes, n *authorizationv1.NonResourceAttributes) field.ErrorList {
	var errs field.ErrorList
	switch {
	case r != nil && n != nil:
		errs = append(errs, field.Invalid(nonResourcePath, n, "cannot be specified in combination with resourceAttributes"))
	case r == nil && n == nil:
		errs = append(errs, field.Invalid(resourcePath, r, "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
	}
	if r == nil {
		return errs
	}
	if s := r.FieldSelector; s != nil {
		at := resourcePath.Child("fieldSelector")
		errs = append(errs, checkSelector(s.RawSelector, len(s.Requirements), at)...)
		for i, requirement := range s.Requirements {
			errs = append(errs, metavalidation.ValidateFieldSelectorRequirement(requirement,
				metavalidation.FieldSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}, at.Child("requirements").Index(i))...)
		}
	}
	if s := r.LabelSelector; s != nil {
		at := resourcePath.Child("labelSelector")
		errs = append(errs, checkSelector(s.RawSelector, len(s.Requirements), at)...)
		for i, requirement := range s.Requirements {
			errs = append(errs, metavalidation.ValidateLabelSelectorRequirement(requirement,
				metavalidation.LabelSelectorValidationOptions{AllowUnknownOperatorInRequirement: true}, at.Child("requirements").Index(i))...)
		}
	}
	return errs
}

// checkSelector checks that a selector is given in exactly one of its two forms.
func checkSelector(raw string, requirements int, at *field.Path) field.ErrorList {
	switch {
	case raw != "" && requirements > 0:
		return field.ErrorList{field.Invalid(at.Child("rawSelector"), raw, "may not specified at the same time as requirements")}
	case raw == "" && requirements == 0:
		return field.ErrorList{field.Required(at.Child("requirements"), "when "+at.String()+" is specified, requirements or rawSelector is required")}
	}
	return nil
}
