package rbac

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/component-helpers/auth/rbac/validation"
)

// Escalation keeps users from granting through roles and bindings what they do
// not have. It is an admission validator so that one place sees every way of
// writing an object (create, update, patch, apply), but it belongs to RBAC: it
// cannot be switched off by admission flags, and it runs after all of them.
type Escalation struct {
	*admission.Handler
	authorizer authorizer.UnconditionalAuthorizer
	rbac       *Authorizer
}

var _ admission.ValidationInterface = &Escalation{}

// NewEscalation returns the check. all is the whole chain of authorizers, which
// is asked for the verbs escalate and bind.
func NewEscalation(all authorizer.UnconditionalAuthorizer, rbac *Authorizer) *Escalation {
	return &Escalation{Handler: admission.NewHandler(admission.Create, admission.Update), authorizer: all, rbac: rbac}
}

// Validate refuses a role or binding that grants more than the writer has.
func (e *Escalation) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().Group != rbacv1.GroupName || a.GetSubresource() != "" || isPrivileged(a.GetUserInfo()) {
		return nil
	}
	var err error
	switch obj := a.GetObject().(type) {
	case *rbacv1.Role:
		err = e.role(ctx, a, obj)
	case *rbacv1.ClusterRole:
		err = e.clusterRole(ctx, a, obj)
	case *rbacv1.RoleBinding:
		err = e.binding(ctx, a, obj.RoleRef, obj.Subjects)
	case *rbacv1.ClusterRoleBinding:
		err = e.binding(ctx, a, obj.RoleRef, obj.Subjects)
	}
	if err != nil {
		return admission.NewForbidden(a, err)
	}
	return nil
}

func isPrivileged(u user.Info) bool {
	return slices.Contains(u.GetGroups(), user.SystemPrivilegedGroup)
}

func (e *Escalation) role(ctx context.Context, a admission.Attributes, role *rbacv1.Role) error {
	if old, ok := oldOf[*rbacv1.Role](a); ok && equality.Semantic.DeepEqual(old.Rules, role.Rules) {
		return nil
	}
	if e.allowed(ctx, a, "escalate", a.GetResource().Resource, role.Name) {
		return nil
	}
	return e.covered(a, role.Rules)
}

func (e *Escalation) clusterRole(ctx context.Context, a admission.Attributes, role *rbacv1.ClusterRole) error {
	if old, ok := oldOf[*rbacv1.ClusterRole](a); ok &&
		equality.Semantic.DeepEqual(old.Rules, role.Rules) &&
		equality.Semantic.DeepEqual(old.AggregationRule, role.AggregationRule) {
		return nil
	}
	if e.allowed(ctx, a, "escalate", a.GetResource().Resource, role.Name) {
		return nil
	}
	// An aggregated role can come to mean anything, so it takes full rights.
	if role.AggregationRule != nil && len(role.AggregationRule.ClusterRoleSelectors) > 0 {
		if err := e.covered(a, everything); err != nil {
			return errors.New("must have cluster-admin privileges to use an aggregationRule")
		}
	}
	return e.covered(a, role.Rules)
}

var everything = []rbacv1.PolicyRule{
	{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}},
	{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}},
}

func (e *Escalation) binding(ctx context.Context, a admission.Attributes, ref rbacv1.RoleRef, subjects []rbacv1.Subject) error {
	if oldRef, oldSubjects, ok := oldBinding(a); ok && oldRef == ref && equality.Semantic.DeepEqual(oldSubjects, subjects) {
		return nil
	}
	resource := "clusterroles"
	if ref.Kind == "Role" {
		resource = "roles"
	}
	if e.allowed(ctx, a, "bind", resource, ref.Name) {
		return nil
	}
	rules, err := e.rbac.store.rulesOf(ref, a.GetNamespace())
	if err != nil {
		return err
	}
	return e.covered(a, rules)
}

// allowed asks whether the writer has a verb that overrides the check.
func (e *Escalation) allowed(ctx context.Context, a admission.Attributes, verb, resource, name string) bool {
	decision, _, err := e.authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: a.GetUserInfo(), Verb: verb, Namespace: a.GetNamespace(),
		APIGroup: rbacv1.GroupName, APIVersion: "*", Resource: resource, Name: name,
		ResourceRequest: true,
	})
	return err == nil && decision == authorizer.DecisionAllow
}

// covered returns an error that names the rules which the writer lacks.
func (e *Escalation) covered(a admission.Attributes, rules []rbacv1.PolicyRule) error {
	u := a.GetUserInfo()
	// Errors resolving the writer's own rules only lessen what is held.
	held, resolveErr := e.rbac.PolicyRulesFor(u, a.GetNamespace())
	ok, missing := validation.Covers(held, rules)
	if ok {
		return nil
	}
	text := fmt.Sprintf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s",
		u.GetName(), u.GetGroups(), strings.Join(describeRules(missing), "\n"))
	if resolveErr != nil {
		text += fmt.Sprintf("; resolution errors: %v", []error{resolveErr})
	}
	return errors.New(text)
}

func oldOf[T runtime.Object](a admission.Attributes) (T, bool) {
	old, ok := a.GetOldObject().(T)
	return old, ok && a.GetOperation() == admission.Update
}

func oldBinding(a admission.Attributes) (rbacv1.RoleRef, []rbacv1.Subject, bool) {
	if old, ok := oldOf[*rbacv1.RoleBinding](a); ok {
		return old.RoleRef, old.Subjects, true
	}
	if old, ok := oldOf[*rbacv1.ClusterRoleBinding](a); ok {
		return old.RoleRef, old.Subjects, true
	}
	return rbacv1.RoleRef{}, nil, false
}

// describeRules returns one line per rule, verbs on the same resource joined,
// sorted.
func describeRules(rules []rbacv1.PolicyRule) []string {
	joined := map[string]int{}
	var compact []rbacv1.PolicyRule
	for _, rule := range rules {
		key := fmt.Sprintf("%q %q %q %q", rule.APIGroups, rule.Resources, rule.ResourceNames, rule.NonResourceURLs)
		if i, ok := joined[key]; ok {
			for _, verb := range rule.Verbs {
				if !slices.Contains(compact[i].Verbs, verb) {
					compact[i].Verbs = append(slices.Clone(compact[i].Verbs), verb)
				}
			}
			continue
		}
		joined[key] = len(compact)
		compact = append(compact, rule)
	}
	lines := make([]string, 0, len(compact))
	for _, rule := range compact {
		lines = append(lines, describeRule(rule))
	}
	slices.Sort(lines)
	return lines
}

func describeRule(rule rbacv1.PolicyRule) string {
	var parts []string
	add := func(name string, values []string) {
		if len(values) > 0 {
			parts = append(parts, fmt.Sprintf("%s:%q", name, values))
		}
	}
	add("APIGroups", rule.APIGroups)
	add("Resources", rule.Resources)
	add("NonResourceURLs", rule.NonResourceURLs)
	add("ResourceNames", rule.ResourceNames)
	add("Verbs", rule.Verbs)
	return "{" + strings.Join(parts, ", ") + "}"
}
