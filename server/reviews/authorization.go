package reviews

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
)

func reviewAccess(ctx context.Context, cfg Config, obj runtime.Object) error {
	review, ok := obj.(*authorizationv1.SubjectAccessReview)
	if !ok {
		return badKind(obj)
	}
	if errs := validateSpec(&review.Spec); len(errs) > 0 {
		return invalid("SubjectAccessReview", errs)
	}
	review.Status = decide(ctx, cfg, attributesOf(subjectOf(&review.Spec), review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes))
	return nil
}

func reviewLocalAccess(ctx context.Context, cfg Config, obj runtime.Object) error {
	review, ok := obj.(*authorizationv1.LocalSubjectAccessReview)
	if !ok {
		return badKind(obj)
	}
	errs := validateSpec(&review.Spec)
	if review.Spec.NonResourceAttributes != nil {
		errs = append(errs, field.Invalid(field.NewPath("spec", "nonResourceAttributes"), review.Spec.NonResourceAttributes, "disallowed on this kind of request"))
	}
	if len(errs) > 0 {
		return invalid("LocalSubjectAccessReview", errs)
	}
	namespace := request.NamespaceValue(ctx)
	if r := review.Spec.ResourceAttributes; r != nil && r.Namespace != namespace {
		return apierrors.NewBadRequest(fmt.Sprintf("spec.resourceAttributes.namespace must match namespace: %v", namespace))
	}
	review.Status = decide(ctx, cfg, attributesOf(subjectOf(&review.Spec), review.Spec.ResourceAttributes, nil))
	return nil
}

func reviewSelfAccess(ctx context.Context, cfg Config, obj runtime.Object) error {
	review, ok := obj.(*authorizationv1.SelfSubjectAccessReview)
	if !ok {
		return badKind(obj)
	}
	who, ok := request.UserFrom(ctx)
	if !ok {
		return apierrors.NewBadRequest("no user present on request")
	}
	if errs := validateAttributes(review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes); len(errs) > 0 {
		return invalid("SelfSubjectAccessReview", errs)
	}
	review.Status = decide(ctx, cfg, attributesOf(who, review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes))
	return nil
}

func reviewSelfRules(ctx context.Context, cfg Config, obj runtime.Object) error {
	review, ok := obj.(*authorizationv1.SelfSubjectRulesReview)
	if !ok {
		return badKind(obj)
	}
	who, ok := request.UserFrom(ctx)
	if !ok {
		return apierrors.NewBadRequest("no user present on request")
	}
	namespace := review.Spec.Namespace
	if namespace == "" {
		return apierrors.NewBadRequest("no namespace on request")
	}
	resources, paths, incomplete, err := cfg.RuleResolver.RulesFor(ctx, who, namespace)
	review.Status = authorizationv1.SubjectRulesReviewStatus{
		ResourceRules:    []authorizationv1.ResourceRule{},
		NonResourceRules: []authorizationv1.NonResourceRule{},
		Incomplete:       incomplete,
	}
	if err != nil {
		review.Status.EvaluationError = err.Error()
	}
	for _, r := range resources {
		review.Status.ResourceRules = append(review.Status.ResourceRules, authorizationv1.ResourceRule{
			Verbs: r.GetVerbs(), APIGroups: r.GetAPIGroups(), Resources: r.GetResources(), ResourceNames: r.GetResourceNames(),
		})
	}
	for _, r := range paths {
		review.Status.NonResourceRules = append(review.Status.NonResourceRules, authorizationv1.NonResourceRule{
			Verbs: r.GetVerbs(), NonResourceURLs: r.GetNonResourceURLs(),
		})
	}
	return nil
}

func decide(ctx context.Context, cfg Config, attributes authorizer.AttributesRecord) authorizationv1.SubjectAccessReviewStatus {
	decision, reason, err := cfg.Authorizer.Authorize(ctx, attributes)
	status := authorizationv1.SubjectAccessReviewStatus{
		Allowed: decision == authorizer.DecisionAllow,
		Denied:  decision == authorizer.DecisionDeny,
		Reason:  reason,
	}
	if err != nil {
		status.EvaluationError = err.Error()
	}
	return status
}

func subjectOf(spec *authorizationv1.SubjectAccessReviewSpec) user.Info {
	info := &user.DefaultInfo{Name: spec.User, UID: spec.UID, Groups: spec.Groups}
	for key, values := range spec.Extra {
		if info.Extra == nil {
			info.Extra = map[string][]string{}
		}
		info.Extra[key] = values
	}
	return info
}

func attributesOf(who user.Info, r *authorizationv1.ResourceAttributes, n *authorizationv1.NonResourceAttributes) authorizer.AttributesRecord {
	if r == nil {
		record := authorizer.AttributesRecord{User: who}
		if n != nil {
			record.Path, record.Verb = n.Path, n.Verb
		}
		return record
	}
	record := authorizer.AttributesRecord{
		User:            who,
		Verb:            r.Verb,
		Namespace:       r.Namespace,
		APIGroup:        r.Group,
		APIVersion:      orStar(r.Version),
		Resource:        r.Resource,
		Subresource:     r.Subresource,
		Name:            r.Name,
		ResourceRequest: true,
	}
	if r.FieldSelector != nil {
		record.FieldSelectorRequirements, record.FieldSelectorParsingErr = fieldRequirements(r.FieldSelector)
	}
	if r.LabelSelector != nil {
		record.LabelSelectorRequirements, record.LabelSelectorParsingErr = labelRequirements(r.LabelSelector)
	}
	return record
}

// orStar: a question that names no version is about all of them.
func orStar(version string) string {
	if version == "" {
		return "*"
	}
	return version
}

func fieldRequirements(s *authorizationv1.FieldSelectorAttributes) (fields.Requirements, error) {
	if s.RawSelector != "" {
		selector, err := fields.ParseSelector(s.RawSelector)
		if err != nil {
			return nil, fmt.Errorf("parsing the field selector: %w", err)
		}
		return selector.Requirements(), nil
	}
	var out fields.Requirements
	for _, r := range s.Requirements {
		switch {
		case r.Operator == metav1.FieldSelectorOpIn && len(r.Values) == 1:
			out = append(out, fields.Requirement{Operator: selection.Equals, Field: r.Key, Value: r.Values[0]})
		case r.Operator == metav1.FieldSelectorOpNotIn && len(r.Values) == 1:
			out = append(out, fields.Requirement{Operator: selection.NotEquals, Field: r.Key, Value: r.Values[0]})
		default:
			// Leaving out a requirement widens the question, which only makes the
			// answer stricter.
			return out, fmt.Errorf("unsupported field requirement %q on %q with %d values", r.Operator, r.Key, len(r.Values))
		}
	}
	return out, nil
}

func labelRequirements(s *authorizationv1.LabelSelectorAttributes) (labels.Requirements, error) {
	if s.RawSelector != "" {
		selector, err := labels.Parse(s.RawSelector)
		if err != nil {
			return nil, fmt.Errorf("parsing the label selector: %w", err)
		}
		requirements, _ := selector.Requirements()
		return requirements, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(&metav1.LabelSelector{MatchExpressions: s.Requirements})
	if err != nil {
		return nil, fmt.Errorf("reading the label selector: %w", err)
	}
	requirements, _ := selector.Requirements()
	return requirements, nil
}

func invalid(kind string, errs field.ErrorList) error {
	return apierrors.NewInvalid(schema.GroupKind{Group: authorizationv1.GroupName, Kind: kind}, "", errs)
}

func validateSpec(spec *authorizationv1.SubjectAccessReviewSpec) field.ErrorList {
	errs := validateAttributes(spec.ResourceAttributes, spec.NonResourceAttributes)
	if spec.User == "" && len(spec.Groups) == 0 {
		errs = append(errs, field.Invalid(field.NewPath("spec", "user"), spec.User, "at least one of user or group must be specified"))
	}
	return errs
}

func validateAttributes(r *authorizationv1.ResourceAttributes, n *authorizationv1.NonResourceAttributes) field.ErrorList {
	path := field.NewPath("spec")
	switch {
	case r != nil && n != nil:
		return field.ErrorList{field.Invalid(path.Child("nonResourceAttributes"), n, "cannot be specified in combination with resourceAttributes")}
	case r == nil && n == nil:
		return field.ErrorList{field.Invalid(path.Child("resourceAttributes"), r, "exactly one of nonResourceAttributes or resourceAttributes must be specified")}
	case r == nil:
		return nil
	}
	var errs field.ErrorList
	path = path.Child("resourceAttributes")
	if s := r.FieldSelector; s != nil {
		errs = append(errs, oneOf(s.RawSelector, len(s.Requirements), path.Child("fieldSelector"))...)
	}
	if s := r.LabelSelector; s != nil {
		errs = append(errs, oneOf(s.RawSelector, len(s.Requirements), path.Child("labelSelector"))...)
		for i, requirement := range s.Requirements {
			errs = append(errs, metav1validation.ValidateLabelSelectorRequirement(requirement, metav1validation.LabelSelectorValidationOptions{},
				path.Child("labelSelector", "requirements").Index(i))...)
		}
	}
	return errs
}

func oneOf(raw string, requirements int, path *field.Path) field.ErrorList {
	switch {
	case raw != "" && requirements > 0:
		return field.ErrorList{field.Invalid(path.Child("rawSelector"), raw, "may not specified at the same time as requirements")}
	case raw == "" && requirements == 0:
		return field.ErrorList{field.Required(path.Child("requirements"), "when rawSelector is not specified")}
	}
	return nil
}
