package bootstrappolicy

import (
	"reflect"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Policy is all bootstrap objects, each list sorted by namespace and name.
type Policy struct {
	ClusterRoles        []*rbacv1.ClusterRole
	ClusterRoleBindings []*rbacv1.ClusterRoleBinding
	Roles               []*rbacv1.Role
	RoleBindings        []*rbacv1.RoleBinding
}

// New returns the policy. The caller may change what it gets.
func New() Policy {
	var p Policy
	for _, row := range append(clusterRoles(), controllerRoles()...) {
		p.ClusterRoles = append(p.ClusterRoles, &rbacv1.ClusterRole{
			ObjectMeta:      meta("", row.name, row.labels...),
			Rules:           row.rules,
			AggregationRule: aggregation(row.aggregates),
		})
	}
	fillAggregated(p.ClusterRoles)
	for _, row := range append(clusterRoleBindings(), controllerBindings()...) {
		p.ClusterRoleBindings = append(p.ClusterRoleBindings, &rbacv1.ClusterRoleBinding{
			ObjectMeta: meta("", row.name),
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: row.role},
			Subjects:   subjects(row.subjects),
		})
	}
	for _, row := range roles() {
		p.Roles = append(p.Roles, &rbacv1.Role{ObjectMeta: meta(row.namespace, row.name), Rules: row.rules})
	}
	for _, row := range roleBindings() {
		p.RoleBindings = append(p.RoleBindings, &rbacv1.RoleBinding{
			ObjectMeta: meta(row.namespace, row.name),
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: row.role},
			Subjects:   subjects(row.subjects),
		})
	}
	byName(p.ClusterRoles)
	byName(p.ClusterRoleBindings)
	byName(p.Roles)
	byName(p.RoleBindings)
	return p
}

// role is a row of a role or cluster role.
type role struct {
	namespace, name string
	rules           []rbacv1.PolicyRule
	// labels are aggregate-to labels that this role carries.
	labels []string
	// aggregates are aggregate-to labels that this role collects.
	aggregates []string
}

// binding is a row of a binding. Subjects are "user:NAME", "group:NAME" or
// "sa:NAMESPACE/NAME".
type binding struct {
	namespace, name, role string
	subjects              []string
}

const (
	toAdmin = "rbac.authorization.k8s.io/aggregate-to-admin"
	toEdit  = "rbac.authorization.k8s.io/aggregate-to-edit"
	toView  = "rbac.authorization.k8s.io/aggregate-to-view"

	// bootstrappingLabel marks the objects of this policy.
	bootstrappingLabel = "kubernetes.io/bootstrapping"
)

func meta(namespace, name string, labels ...string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{
		Namespace:   namespace,
		Name:        name,
		Labels:      map[string]string{bootstrappingLabel: "rbac-defaults"},
		Annotations: map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"},
	}
	for _, label := range labels {
		m.Labels[label] = "true"
	}
	return m
}

func aggregation(labels []string) *rbacv1.AggregationRule {
	if len(labels) == 0 {
		return nil
	}
	rule := &rbacv1.AggregationRule{}
	for _, label := range labels {
		rule.ClusterRoleSelectors = append(rule.ClusterRoleSelectors, metav1.LabelSelector{MatchLabels: map[string]string{label: "true"}})
	}
	return rule
}

// fillAggregated gives admin, edit and view the rules that the bootstrap roles
// aggregate to, so that they mean something from the first second and also while
// no controller aggregates the roles that users add.
func fillAggregated(roles []*rbacv1.ClusterRole) {
	// view is part of edit and edit of admin: as many rounds as there are levels.
	for range 3 {
		for _, into := range roles {
			if into.AggregationRule == nil {
				continue
			}
			for _, selector := range into.AggregationRule.ClusterRoleSelectors {
				for _, from := range roles {
					if from != into && hasLabels(from, selector.MatchLabels) {
						into.Rules = union(into.Rules, from.Rules)
					}
				}
			}
		}
	}
}

func hasLabels(role *rbacv1.ClusterRole, want map[string]string) bool {
	for key, value := range want {
		if role.Labels[key] != value {
			return false
		}
	}
	return true
}

func union(rules, more []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	for _, rule := range more {
		if !slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool { return reflect.DeepEqual(r, rule) }) {
			rules = append(rules, rule)
		}
	}
	return rules
}

// can is a rule for resources. The arguments are words separated by spaces; the
// group without a name is called "core".
func can(verbs, groups, resources string) rbacv1.PolicyRule {
	rule := rbacv1.PolicyRule{Verbs: strings.Fields(verbs), APIGroups: strings.Fields(groups), Resources: strings.Fields(resources)}
	for i, group := range rule.APIGroups {
		if group == "core" {
			rule.APIGroups[i] = ""
		}
	}
	slices.Sort(rule.Verbs)
	slices.Sort(rule.Resources)
	return rule
}

// named restricts a rule to objects of these names.
func named(rule rbacv1.PolicyRule, names ...string) rbacv1.PolicyRule {
	rule.ResourceNames = names
	return rule
}

// path is a rule for URLs that are not API resources.
func path(verbs, urls string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: strings.Fields(verbs), NonResourceURLs: strings.Fields(urls)}
}

func subjects(rows []string) []rbacv1.Subject {
	var out []rbacv1.Subject
	for _, row := range rows {
		kind, name, _ := strings.Cut(row, ":")
		switch kind {
		case "user":
			out = append(out, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name})
		case "group":
			out = append(out, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: name})
		case "sa":
			namespace, account, _ := strings.Cut(name, "/")
			out = append(out, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account})
		}
	}
	return out
}

func byName[T metav1.Object](list []T) {
	slices.SortFunc(list, func(a, b T) int {
		if c := strings.Compare(a.GetNamespace(), b.GetNamespace()); c != 0 {
			return c
		}
		return strings.Compare(a.GetName(), b.GetName())
	})
}
