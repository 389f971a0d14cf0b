package clusterroleaggregation

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestRules(t *testing.T) {
	rule := func(resource string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{resource}}
	}
	role := func(name, key string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
		return rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{key: "true"}}, Rules: rules}
	}
	view := role("view", "aggregate-to-view", rule("stale"))
	view.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{
		{MatchLabels: map[string]string{"aggregate-to-view": "true"}},
		{MatchLabels: map[string]string{"also": "true"}},
	}}
	got, err := Rules(&view, []rbacv1.ClusterRole{
		role("z", "aggregate-to-view", rule("pods"), rule("services")), view,
		role("a", "aggregate-to-view", rule("pods")), role("b", "also", rule("jobs")), role("c", "other", rule("secrets")),
	})
	if diff := cmp.Diff([]rbacv1.PolicyRule{rule("pods"), rule("services"), rule("jobs")}, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
}
