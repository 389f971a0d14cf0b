package rbac

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/informers"
)

func rule(verbs, groups, resources string, names ...string) rbacv1.PolicyRule {
	split := func(s string) []string { return strings.Split(s, ",") }
	return rbacv1.PolicyRule{Verbs: split(verbs), APIGroups: split(groups), Resources: split(resources), ResourceNames: names}
}

func urls(verbs string, paths ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: strings.Split(verbs, ","), NonResourceURLs: paths}
}

// request makes attributes from "verb group/resource/subresource name" or
// "verb /path".
func request(who user.Info, namespace, text string) authorizer.AttributesRecord {
	words := strings.Fields(text)
	a := authorizer.AttributesRecord{User: who, Verb: words[0], Namespace: namespace}
	if strings.HasPrefix(words[1], "/") {
		a.Path = words[1]
		return a
	}
	parts := strings.SplitN(words[1], "/", 3)
	a.ResourceRequest, a.Resource = true, parts[1]
	if parts[0] != "core" {
		a.APIGroup = parts[0]
	}
	if len(parts) == 3 {
		a.Subresource = parts[2]
	}
	if len(words) > 2 {
		a.Name = words[2]
	}
	return a
}

func TestRuleAllows(t *testing.T) {
	for _, tc := range []struct {
		rule  rbacv1.PolicyRule
		yes   []string
		never []string
	}{
		{rule("get,list", "", "pods"), []string{"get core/pods x", "list core/pods"}, []string{"watch core/pods", "get core/pods/log x", "get apps/pods x", "get core/secrets x", "get /pods"}},
		{rule("*", "*", "*"), []string{"frobnicate core/pods/log x", "get apps/deployments x"}, []string{"get /healthz"}},
		{rule("get", "", "pods/log"), []string{"get core/pods/log x"}, []string{"get core/pods x", "get core/pods/exec x"}},
		{rule("update", "*", "*/scale"), []string{"update apps/deployments/scale x", "update core/replicationcontrollers/scale x"}, []string{"update apps/deployments x", "update apps/deployments/status x"}},
		{rule("get", "", "configmaps", "a", "b"), []string{"get core/configmaps a"}, []string{"get core/configmaps c", "get core/configmaps"}},
		{rule("get", "", "*/"), nil, []string{"get core/pods x"}},
		{urls("get", "/healthz", "/healthz/*", "/apis*"), []string{"get /healthz", "get /healthz/etcd", "get /apis", "get /apis/apps"}, []string{"get /livez", "post /healthz", "get core/healthz"}},
		{urls("*", "*"), []string{"post /anything"}, []string{"get core/pods x"}},
	} {
		for _, text := range tc.yes {
			if a := request(nil, "", text); !ruleAllows(a, &tc.rule) {
				t.Errorf("%s does not allow %q", describeRule(tc.rule), text)
			}
		}
		for _, text := range tc.never {
			if a := request(nil, "", text); ruleAllows(a, &tc.rule) {
				t.Errorf("%s allows %q", describeRule(tc.rule), text)
			}
		}
	}
}

// storeOf returns a store that holds the objects.
func storeOf(t testing.TB, objects ...any) *Store {
	t.Helper()
	api := informers.NewSharedInformerFactory(nil, 0).Rbac().V1()
	store, err := NewStore(api)
	if err != nil {
		t.Fatal(err)
	}
	for _, obj := range objects {
		indexer := api.Roles().Informer().GetIndexer()
		switch obj.(type) {
		case *rbacv1.ClusterRole:
			indexer = api.ClusterRoles().Informer().GetIndexer()
		case *rbacv1.RoleBinding:
			indexer = api.RoleBindings().Informer().GetIndexer()
		case *rbacv1.ClusterRoleBinding:
			indexer = api.ClusterRoleBindings().Informer().GetIndexer()
		}
		if err := indexer.Add(obj); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: named("", name), Rules: rules}
}

func clusterBinding(name, role string, subjects ...rbacv1.Subject) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{ObjectMeta: named("", name), Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}}
}

func nsBinding(namespace, name, kind, role string, subjects ...rbacv1.Subject) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{ObjectMeta: named(namespace, name), Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role}}
}

func userSubject(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: name}
}
func groupSubject(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "Group", Name: name}
}
func accountSubject(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: "ServiceAccount", Namespace: namespace, Name: name}
}

func someStore(t testing.TB) *Store {
	return storeOf(t,
		clusterRole("everything", rule("*", "*", "*"), urls("*", "*")),
		clusterRole("reader", rule("get,list,watch", "", "pods")),
		&rbacv1.Role{ObjectMeta: named("a", "writer"), Rules: []rbacv1.PolicyRule{rule("create", "", "pods")}},
		clusterBinding("root", "everything", groupSubject("admins")),
		clusterBinding("readers", "reader", userSubject("ann"), accountSubject("a", "robot")),
		clusterBinding("dangling", "none", userSubject("dan")),
		nsBinding("a", "writers", "Role", "writer", userSubject("ann"), rbacv1.Subject{Kind: "ServiceAccount", Name: "robot"}),
		nsBinding("b", "readers", "ClusterRole", "reader", userSubject("bob")),
	)
}

func TestAuthorize(t *testing.T) {
	r := New(someStore(t))
	who := func(name string, groups ...string) user.Info { return &user.DefaultInfo{Name: name, Groups: groups} }
	robot := who("system:serviceaccount:a:robot")
	for _, tc := range []struct {
		user      user.Info
		namespace string
		request   string
		want      authorizer.Decision
		reason    string
	}{
		{who("x", "staff", "admins"), "", "delete apps/deployments x", authorizer.DecisionAllow, `RBAC: allowed by ClusterRoleBinding "root" of ClusterRole "everything" to Group "admins"`},
		{who("x", "admins"), "", "get /metrics", authorizer.DecisionAllow, `RBAC: allowed by ClusterRoleBinding "root" of ClusterRole "everything" to Group "admins"`},
		{who("ann"), "z", "list core/pods", authorizer.DecisionAllow, `RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to User "ann"`},
		{who("ann"), "a", "create core/pods", authorizer.DecisionAllow, `RBAC: allowed by RoleBinding "writers/a" of Role "writer" to User "ann"`},
		{who("ann"), "b", "create core/pods", authorizer.DecisionNoOpinion, ""},
		{robot, "b", "get core/pods x", authorizer.DecisionAllow, `RBAC: allowed by ClusterRoleBinding "readers" of ClusterRole "reader" to ServiceAccount "robot/a"`},
		{robot, "a", "create core/pods", authorizer.DecisionAllow, `RBAC: allowed by RoleBinding "writers/a" of Role "writer" to ServiceAccount "robot/a"`},
		{who("system:serviceaccount:b:robot"), "a", "create core/pods", authorizer.DecisionNoOpinion, ""},
		{who("bob"), "b", "get core/pods x", authorizer.DecisionAllow, `RBAC: allowed by RoleBinding "readers/b" of ClusterRole "reader" to User "bob"`},
		// A cluster role through a role binding holds in its namespace only.
		{who("bob"), "a", "get core/pods x", authorizer.DecisionNoOpinion, ""},
		{who("bob"), "", "list core/pods", authorizer.DecisionNoOpinion, ""},
		{who("dan"), "a", "get core/pods x", authorizer.DecisionNoOpinion, `RBAC: clusterrole.rbac.authorization.k8s.io "none" not found`},
		// A user is not a group of the same name.
		{who("admins"), "", "get core/pods x", authorizer.DecisionNoOpinion, ""},
		{who("nobody", "ann"), "a", "create core/pods", authorizer.DecisionNoOpinion, ""},
	} {
		t.Run(fmt.Sprintf("%s %s in %q", tc.user.GetName(), tc.request, tc.namespace), func(t *testing.T) {
			got, reason, err := r.Authorize(context.Background(), request(tc.user, tc.namespace, tc.request))
			if err != nil || got != tc.want || reason != tc.reason {
				t.Errorf("got %v %q %v, want %v %q", got, reason, err, tc.want, tc.reason)
			}
		})
	}
}

func TestRulesFor(t *testing.T) {
	resources, paths, incomplete, err := New(someStore(t)).RulesFor(context.Background(), &user.DefaultInfo{Name: "ann", Groups: []string{"admins"}}, "a")
	if err != nil || incomplete {
		t.Fatalf("incomplete=%v err=%v", incomplete, err)
	}
	var got []string
	for _, r := range resources {
		got = append(got, strings.Join(r.GetVerbs(), ",")+" "+strings.Join(r.GetResources(), ","))
	}
	if diff := cmp.Diff([]string{"get,list,watch pods", "* *", "create pods"}, got); diff != "" {
		t.Error(diff)
	}
	if len(paths) != 1 || paths[0].GetNonResourceURLs()[0] != "*" {
		t.Errorf("paths: %v", paths)
	}
}

// Conformance: "ServiceAccounts ..." and all of sig-auth stand on this.
func TestEscalation(t *testing.T) {
	store := storeOf(t,
		clusterRole("reader", rule("get,list,watch", "", "pods")),
		clusterRole("root", rule("*", "*", "*"), urls("*", "*")),
		clusterRole("may-escalate", rule("escalate", rbacv1.GroupName, "roles,clusterroles")),
		clusterRole("may-bind", rule("bind", rbacv1.GroupName, "clusterroles", "root")),
		clusterBinding("1", "reader", userSubject("reader")),
		clusterBinding("2", "may-escalate", userSubject("escalator")),
		clusterBinding("3", "may-bind", userSubject("binder")),
		clusterBinding("4", "root", userSubject("root")),
		nsBinding("a", "local-root", "ClusterRole", "root", userSubject("local")),
	)
	byRoles := New(store)
	check := NewEscalation(byRoles, byRoles)

	readPods := &rbacv1.Role{ObjectMeta: named("a", "r"), Rules: []rbacv1.PolicyRule{rule("get,list", "", "pods")}}
	writePods := &rbacv1.Role{ObjectMeta: named("a", "r"), Rules: []rbacv1.PolicyRule{rule("get,create,delete", "", "pods")}}
	aggregated := &rbacv1.ClusterRole{ObjectMeta: named("", "agg"), AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{}}}}
	toReader := nsBinding("a", "b", "ClusterRole", "reader", userSubject("x"))
	toRoot := nsBinding("a", "b", "ClusterRole", "root", userSubject("x"))
	toRootToo := nsBinding("a", "b", "ClusterRole", "root", userSubject("x"), userSubject("y"))
	toNothing := nsBinding("a", "b", "ClusterRole", "none", userSubject("x"))
	everywhere := clusterBinding("b", "root", userSubject("x"))

	for _, tc := range []struct {
		name, user string
		obj, old   runtime.Object
		err        string
	}{
		{"role with what I have", "reader", readPods, nil, ""},
		{"role with more", "reader", writePods, nil, `roles.rbac.authorization.k8s.io "r" is forbidden: user "reader" (groups=["g"]) is attempting to grant RBAC permissions not currently held:
{APIGroups:[""], Resources:["pods"], Verbs:["create" "delete"]}`},
		{"role widened", "reader", writePods, readPods, "attempting to grant"},
		{"role with more, unchanged", "reader", writePods, writePods, ""},
		{"escalate verb", "escalator", writePods, nil, ""},
		{"all rights in the namespace", "local", writePods, nil, ""},
		{"all rights in the namespace, cluster role", "local", clusterRole("x", rule("get", "", "pods")), nil, "attempting to grant"},
		{"aggregation by a reader", "reader", aggregated, nil, `clusterroles.rbac.authorization.k8s.io "agg" is forbidden: must have cluster-admin privileges to use an aggregationRule`},
		{"aggregation by root", "root", aggregated, nil, ""},
		{"binding of what I have", "reader", toReader, nil, ""},
		{"binding of more", "reader", toRoot, nil, `rolebindings.rbac.authorization.k8s.io "b" is forbidden: user "reader" (groups=["g"]) is attempting to grant RBAC permissions not currently held:
{APIGroups:["*"], Resources:["*"], Verbs:["*"]}
{NonResourceURLs:["*"], Verbs:["*"]}`},
		{"binding widened", "reader", toRootToo, toRoot, "attempting to grant"},
		{"binding unchanged", "reader", toRoot, toRoot, ""},
		{"bind verb", "binder", toRoot, nil, ""},
		{"bind verb for another role", "binder", toReader, nil, "attempting to grant"},
		{"binding of nothing", "reader", toNothing, nil, `clusterrole.rbac.authorization.k8s.io "none" not found`},
		{"cluster binding by a namespace's root", "local", everywhere, nil, "attempting to grant"},
		{"other kinds", "reader", &metav1.Status{}, nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := check.Validate(context.Background(), attributes(tc.obj, tc.old, &user.DefaultInfo{Name: tc.user, Groups: []string{"g"}}), nil)
			switch {
			case tc.err == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.err != "" && (err == nil || !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), tc.err)):
				t.Errorf("got %v, want %q", err, tc.err)
			}
		})
	}
	masters := &user.DefaultInfo{Name: "x", Groups: []string{user.SystemPrivilegedGroup}}
	if err := check.Validate(context.Background(), attributes(everywhere, nil, masters), nil); err != nil {
		t.Errorf("system:masters: %v", err)
	}
}

func attributes(obj, old runtime.Object, who user.Info) admission.Attributes {
	resource, namespace := "other", ""
	switch obj.(type) {
	case *rbacv1.Role:
		resource, namespace = "roles", "a"
	case *rbacv1.RoleBinding:
		resource, namespace = "rolebindings", "a"
	case *rbacv1.ClusterRole:
		resource = "clusterroles"
	case *rbacv1.ClusterRoleBinding:
		resource = "clusterrolebindings"
	}
	name := ""
	if m, ok := obj.(metav1.Object); ok {
		name = m.GetName()
	}
	operation := admission.Create
	if old != nil {
		operation = admission.Update
	}
	return admission.NewAttributesRecord(obj, old, schema.GroupVersionKind{}, namespace, name,
		rbacv1.SchemeGroupVersion.WithResource(resource), "", operation, nil, false, who)
}

func TestDescribeRulesJoinsVerbs(t *testing.T) {
	got := describeRules([]rbacv1.PolicyRule{
		rule("list", "", "pods"), rule("get", "", "pods"), rule("get", "apps", "deployments", "x"), urls("get", "/a"), rule("list", "", "pods"),
	})
	want := []string{
		`{APIGroups:[""], Resources:["pods"], Verbs:["list" "get"]}`,
		`{APIGroups:["apps"], Resources:["deployments"], ResourceNames:["x"], Verbs:["get"]}`,
		`{NonResourceURLs:["/a"], Verbs:["get"]}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func BenchmarkAuthorizeWithManyBindings(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			objects := []any{clusterRole("reader", rule("get", "", "pods"))}
			for i := range n {
				objects = append(objects, nsBinding("a", fmt.Sprint("b", i), "ClusterRole", "reader", userSubject(fmt.Sprint("u", i))))
			}
			r := New(storeOf(b, objects...))
			a := request(&user.DefaultInfo{Name: "u5", Groups: []string{"system:authenticated"}}, "a", "get core/pods x")
			for b.Loop() {
				if d, _, _ := r.Authorize(context.Background(), a); d != authorizer.DecisionAllow {
					b.Fatal("refused")
				}
			}
		})
	}
}
