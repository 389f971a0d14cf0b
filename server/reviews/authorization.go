package reviews

import (
	"context"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

func reviewAccess(ctx context.Context, cfg Config, review *authorizationv1.SubjectAccessReview) error {
	review.Status = decide(ctx, cfg, attributesOf(subjectOf(&review.Spec), review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes))
	return nil
}

func reviewLocalAccess(ctx context.Context, cfg Config, review *authorizationv1.LocalSubjectAccessReview) error {
	review.Status = decide(ctx, cfg, attributesOf(subjectOf(&review.Spec), review.Spec.ResourceAttributes, nil))
	return nil
}

func reviewSelfAccess(ctx context.Context, cfg Config, review *authorizationv1.SelfSubjectAccessReview) error {
	who, err := asker(ctx)
	if err != nil {
		return err
	}
	review.Status = decide(ctx, cfg, attributesOf(who, review.Spec.ResourceAttributes, review.Spec.NonResourceAttributes))
	return nil
}

func reviewSelfRules(ctx context.Context, cfg Config, review *authorizationv1.SelfSubjectRulesReview) error {
	who, err := asker(ctx)
	if err != nil {
		return err
	}
	resources, paths, incomplete, err := cfg.RuleResolver.RulesFor(ctx, who, review.Spec.Namespace)
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
