package bootstrappolicy

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestGolden(t *testing.T) {
	p := New()
	var out bytes.Buffer
	for _, o := range p.ClusterRoles {
		fmt.Fprintf(&out, "ClusterRole %s%s\n%s", o.Name, labels(o.Labels), rules(o.Rules))
		if o.AggregationRule != nil {
			for _, selector := range o.AggregationRule.ClusterRoleSelectors {
				fmt.Fprintf(&out, "  aggregates%s\n", labels(selector.MatchLabels))
			}
		}
	}
	for _, o := range p.ClusterRoleBindings {
		fmt.Fprintf(&out, "ClusterRoleBinding %s -> %s %s%s\n", o.Name, o.RoleRef.Kind, o.RoleRef.Name, subjectNames(o.Subjects))
	}
	for _, o := range p.Roles {
		fmt.Fprintf(&out, "Role %s/%s\n%s", o.Namespace, o.Name, rules(o.Rules))
	}
	for _, o := range p.RoleBindings {
		fmt.Fprintf(&out, "RoleBinding %s/%s -> %s %s%s\n", o.Namespace, o.Name, o.RoleRef.Kind, o.RoleRef.Name, subjectNames(o.Subjects))
	}
	golden := filepath.Join("testdata", "policy.txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("the policy changed; if that is meant, run with -update:\n%s", diff)
	}
}

// labels returns the labels that say more than that this is bootstrap policy.
func labels(all map[string]string) string {
	out := ""
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if key != bootstrappingLabel {
			out += " " + key + "=" + all[key]
		}
	}
	return out
}

func rules(list []rbacv1.PolicyRule) string {
	out := ""
	for _, r := range list {
		out += fmt.Sprintf("  %s", strings.Join(r.Verbs, ","))
		if len(r.Resources) > 0 {
			out += fmt.Sprintf(" %q %s", r.APIGroups, strings.Join(r.Resources, ","))
		}
		if len(r.ResourceNames) > 0 {
			out += " named " + strings.Join(r.ResourceNames, ",")
		}
		if len(r.NonResourceURLs) > 0 {
			out += " " + strings.Join(r.NonResourceURLs, " ")
		}
		out += "\n"
	}
	return out
}

func subjectNames(list []rbacv1.Subject) string {
	out := ""
	for _, s := range list {
		out += fmt.Sprintf("\n  %s %s", s.Kind, s.Name)
		if s.Namespace != "" {
			out += " in " + s.Namespace
		}
	}
	return out
}

func TestPolicyIsSound(t *testing.T) {
	p := New()
	known := map[string]bool{}
	for _, role := range p.ClusterRoles {
		if known[role.Name] {
			t.Errorf("cluster role %s twice", role.Name)
		}
		known[role.Name] = true
		if len(role.Rules) == 0 {
			t.Errorf("cluster role %s allows nothing", role.Name)
		}
	}
	for _, role := range p.Roles {
		known[role.Namespace+"/"+role.Name] = true
	}
	for _, b := range p.ClusterRoleBindings {
		if !known[b.RoleRef.Name] || len(b.Subjects) == 0 {
			t.Errorf("binding %s: role %s known=%v, %d subjects", b.Name, b.RoleRef.Name, known[b.RoleRef.Name], len(b.Subjects))
		}
	}
	for _, b := range p.RoleBindings {
		if !known[b.Namespace+"/"+b.RoleRef.Name] {
			t.Errorf("binding %s: unknown role %s", b.Name, b.RoleRef.Name)
		}
	}
	// Nobody but the administrators' groups is cluster-admin.
	for _, b := range p.ClusterRoleBindings {
		for _, s := range b.Subjects {
			if b.RoleRef.Name == "cluster-admin" && !slices.Contains([]string{"system:masters", "skiff:cluster-admins"}, s.Name) {
				t.Errorf("%s %s is cluster-admin", s.Kind, s.Name)
			}
		}
	}
}

func TestAggregatedRolesAreFilled(t *testing.T) {
	rules := map[string][]string{}
	for _, role := range New().ClusterRoles {
		for _, r := range role.Rules {
			for _, resource := range r.Resources {
				for _, verb := range r.Verbs {
					rules[role.Name] = append(rules[role.Name], verb+" "+resource)
				}
			}
		}
	}
	for _, tc := range []struct {
		role, can string
		want      bool
	}{
		{"view", "get pods", true}, {"view", "get secrets", false}, {"view", "create pods", false},
		{"edit", "get pods", true}, {"edit", "get secrets", true}, {"edit", "create pods", true}, {"edit", "create rolebindings", false},
		{"admin", "get pods", true}, {"admin", "create pods", true}, {"admin", "create rolebindings", true}, {"admin", "get nodes", false},
	} {
		if got := slices.Contains(rules[tc.role], tc.can); got != tc.want {
			t.Errorf("%s can %s: %v, want %v", tc.role, tc.can, got, tc.want)
		}
	}
}

func writes(client *fake.Clientset) []string {
	var out []string
	for _, a := range client.Actions() {
		if slices.Contains([]string{"create", "update", "delete", "patch"}, a.GetVerb()) {
			out = append(out, a.GetVerb()+" "+a.GetResource().Resource)
		}
	}
	return out
}

func TestReconcile(t *testing.T) {
	ctx := context.Background()
	client := fake.NewClientset()
	if err := Reconcile(ctx, client, New()); err != nil {
		t.Fatal(err)
	}
	p := New()
	created := 0
	for _, w := range writes(client) {
		if strings.HasPrefix(w, "create") && w != "create namespaces" {
			created++
		}
	}
	if want := len(p.ClusterRoles) + len(p.ClusterRoleBindings) + len(p.Roles) + len(p.RoleBindings); created != want {
		t.Errorf("created %d objects, want %d", created, want)
	}

	client.ClearActions()
	if err := Reconcile(ctx, client, New()); err != nil {
		t.Fatal(err)
	}
	if got := writes(client); len(got) != 0 {
		t.Errorf("a second run writes: %v", got)
	}
	if got := len(client.Actions()); got != 4 {
		t.Errorf("a second run makes %d requests, want the 4 lists", got)
	}
}

func TestReconcileRepairsAndRespects(t *testing.T) {
	ctx := context.Background()
	client := fake.NewClientset()
	if err := Reconcile(ctx, client, New()); err != nil {
		t.Fatal(err)
	}
	api := client.RbacV1()
	change := func(name string, f func(*rbacv1.ClusterRole)) {
		t.Helper()
		role, err := api.ClusterRoles().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		f(role)
		if _, err := api.ClusterRoles().Update(ctx, role, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	own := rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{"example.com"}, Resources: []string{"widgets"}}
	change("system:discovery", func(r *rbacv1.ClusterRole) { r.Rules = nil })
	change("system:basic-user", func(r *rbacv1.ClusterRole) { r.Rules = append(r.Rules, own) })
	change("system:monitoring", func(r *rbacv1.ClusterRole) {
		r.Rules = nil
		r.Annotations[rbacv1.AutoUpdateAnnotationKey] = "false"
	})
	if err := api.ClusterRoleBindings().Delete(ctx, "system:node", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := Reconcile(ctx, client, New()); err != nil {
		t.Fatal(err)
	}
	count := func(name string) int {
		role, err := api.ClusterRoles().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return len(role.Rules)
	}
	if count("system:discovery") == 0 {
		t.Error("rules that were taken away are not back")
	}
	if got := count("system:basic-user"); got != 3 {
		t.Errorf("system:basic-user has %d rules, want the 2 of the policy and the added one", got)
	}
	if count("system:monitoring") != 0 {
		t.Error("a role that opted out was changed")
	}
	if _, err := api.ClusterRoleBindings().Get(ctx, "system:node", metav1.GetOptions{}); err != nil {
		t.Errorf("a deleted binding is not back: %v", err)
	}
}

func TestReconcileReportsErrors(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("create", "clusterroles", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, fmt.Errorf("disk full")
	})
	if err := Reconcile(context.Background(), client, New()); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("got %v", err)
	}
}
