package rbac

import (
	"context"
	"fmt"

	rbacv1 "k8s.io/api/rbac/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// Authorizer decides by RBAC. It implements authorizer.Authorizer and
// authorizer.RuleResolver.
type Authorizer struct {
	store *Store
}

var (
	_ authorizer.Authorizer   = &Authorizer{}
	_ authorizer.RuleResolver = &Authorizer{}
)

// New returns an Authorizer on the store.
func New(store *Store) *Authorizer { return &Authorizer{store: store} }

// Authorize allows what a rule allows and has no opinion on all else.
func (r *Authorizer) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	u := a.GetUser()
	if u == nil {
		return authorizer.DecisionNoOpinion, "", nil
	}
	var errs []error
	var reason string
	r.visit(u, a.GetNamespace(), func(g grant, rule *rbacv1.PolicyRule, err error) bool {
		switch {
		case err != nil:
			errs = append(errs, err)
		case ruleAllows(a, rule):
			reason = "RBAC: allowed by " + g.String()
			return false
		}
		return true
	})
	if reason != "" {
		return authorizer.DecisionAllow, reason, nil
	}
	if len(errs) > 0 {
		reason = fmt.Sprintf("RBAC: %v", utilerrors.NewAggregate(errs))
	}
	return authorizer.DecisionNoOpinion, reason, nil
}

// ConditionsAwareAuthorize is Authorize; RBAC knows no conditions.
func (r *Authorizer) ConditionsAwareAuthorize(ctx context.Context, a authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return authorizer.ConditionsAwareDecisionFromParts(r.Authorize(ctx, a))
}

// EvaluateConditions refuses: this authorizer never gives a conditional answer.
func (r *Authorizer) EvaluateConditions(context.Context, authorizer.ConditionsAwareDecision, authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return authorizer.DecisionDeny, "", authorizer.ErrorConditionEvaluationNotSupported
}

// RulesFor returns all rules that the user has in the namespace, those that hold
// in the whole cluster included. It serves SelfSubjectRulesReview.
func (r *Authorizer) RulesFor(_ context.Context, u user.Info, namespace string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	rules, err := r.PolicyRulesFor(u, namespace)
	var resources []authorizer.ResourceRuleInfo
	var paths []authorizer.NonResourceRuleInfo
	for _, rule := range rules {
		if len(rule.Resources) > 0 {
			resources = append(resources, &authorizer.DefaultResourceRuleInfo{
				Verbs: rule.Verbs, APIGroups: rule.APIGroups, Resources: rule.Resources, ResourceNames: rule.ResourceNames,
			})
		}
		if len(rule.NonResourceURLs) > 0 {
			paths = append(paths, &authorizer.DefaultNonResourceRuleInfo{Verbs: rule.Verbs, NonResourceURLs: rule.NonResourceURLs})
		}
	}
	return resources, paths, false, err
}

// PolicyRulesFor is RulesFor in RBAC's own type. It returns what it found along
// with an error about the rest.
func (r *Authorizer) PolicyRulesFor(u user.Info, namespace string) ([]rbacv1.PolicyRule, error) {
	var rules []rbacv1.PolicyRule
	var errs []error
	r.visit(u, namespace, func(_ grant, rule *rbacv1.PolicyRule, err error) bool {
		if err != nil {
			errs = append(errs, err)
		} else {
			rules = append(rules, *rule)
		}
		return true
	})
	return rules, utilerrors.NewAggregate(errs)
}

// visit calls f for each rule of the user, first those of the whole cluster and
// then those of the namespace, until f returns false. A binding whose role is
// missing gives a call with an error.
func (r *Authorizer) visit(u user.Info, namespace string, f func(grant, *rbacv1.PolicyRule, error) bool) {
	keys := keysOf(u)
	seen := map[string]bool{}
	for _, key := range keys {
		found, err := r.store.clusterRoleBindings.ByIndex(bySubject, key)
		if err != nil && !f(grant{}, nil, err) {
			return
		}
		for _, obj := range found {
			b := obj.(*rbacv1.ClusterRoleBinding)
			// A user can be in several subjects of one binding.
			if seen[b.Name] {
				continue
			}
			seen[b.Name] = true
			if !r.visitRole(grant{name: b.Name, ref: b.RoleRef, subjects: b.Subjects, key: key}, f) {
				return
			}
		}
	}
	if namespace == "" {
		return
	}
	clear(seen)
	for _, key := range keys {
		found, err := r.store.roleBindings.ByIndex(bySubject, namespace+"|"+key)
		if err != nil && !f(grant{}, nil, err) {
			return
		}
		for _, obj := range found {
			b := obj.(*rbacv1.RoleBinding)
			if seen[b.Name] {
				continue
			}
			seen[b.Name] = true
			if !r.visitRole(grant{name: b.Name, namespace: namespace, ref: b.RoleRef, subjects: b.Subjects, key: key}, f) {
				return
			}
		}
	}
}

func (r *Authorizer) visitRole(g grant, f func(grant, *rbacv1.PolicyRule, error) bool) bool {
	rules, err := r.store.rulesOf(g.ref, g.namespace)
	if err != nil {
		return f(g, nil, err)
	}
	for i := range rules {
		if !f(g, &rules[i], nil) {
			return false
		}
	}
	return true
}

// grant is a binding as seen by one of its subjects.
type grant struct {
	name, namespace string
	ref             rbacv1.RoleRef
	subjects        []rbacv1.Subject
	key             string
}

// String describes the binding, its role and the subject that matched.
func (g grant) String() string {
	subject := ""
	for _, s := range g.subjects {
		if subjectKey(s, g.namespace) == g.key {
			subject = describeSubject(s, g.namespace)
			break
		}
	}
	if g.namespace == "" {
		return fmt.Sprintf("ClusterRoleBinding %q of %s %q to %s", g.name, g.ref.Kind, g.ref.Name, subject)
	}
	return fmt.Sprintf("RoleBinding %q of %s %q to %s", g.name+"/"+g.namespace, g.ref.Kind, g.ref.Name, subject)
}

func describeSubject(s rbacv1.Subject, bindingNamespace string) string {
	if s.Kind != rbacv1.ServiceAccountKind {
		return fmt.Sprintf("%s %q", s.Kind, s.Name)
	}
	namespace := s.Namespace
	if namespace == "" {
		namespace = bindingNamespace
	}
	return fmt.Sprintf("%s %q", s.Kind, s.Name+"/"+namespace)
}
