package auth_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/e2e/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// as returns a client of the user, without any group but the automatic ones.
func as(t *testing.T, env *testenv.Env, user string, groups ...string) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(env.ConfigFor(user, groups...))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// withToken returns a client that comes through the socket with nothing but the
// token.
func withToken(t *testing.T, env *testenv.Env, token string) kubernetes.Interface {
	t.Helper()
	config := rest.AnonymousClientConfig(env.SocketConfigFor(t, "nobody"))
	config.BearerToken = token
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func eventually(t *testing.T, what string, condition func(ctx context.Context) (bool, error)) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 10*time.Second, true, condition); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// grant lets user do the rule in the namespace and waits until that holds.
func grant(t *testing.T, env *testenv.Env, namespace, name, user string, rule rbacv1.PolicyRule) {
	t.Helper()
	ctx, api := t.Context(), env.Client.RbacV1()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{rule}}
	if _, err := api.Roles(namespace).Create(ctx, role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	}
	if _, err := api.RoleBindings(namespace).Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, user+" may "+rule.String(), func(ctx context.Context) (bool, error) {
		return canI(ctx, as(t, env, user), namespace, rule.Verbs[0], rule.APIGroups[0], rule.Resources[0])
	})
}

func canI(ctx context.Context, client kubernetes.Interface, namespace, verb, group, resource string) (bool, error) {
	review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: verb, Group: group, Resource: resource,
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
}

// Conformance: "SubjectReview should support SubjectReview API operations".
func TestRolesTakeEffect(t *testing.T) {
	env := testenv.Shared(t)
	namespace, ctx := env.Namespace(t), t.Context()
	ann := as(t, env, "ann")
	_, err := ann.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	want := `pods is forbidden: User "ann" cannot list resource "pods" in API group "" in the namespace "` + namespace + `"`
	if err == nil || !apierrors.IsForbidden(err) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	grant(t, env, namespace, "reader", "ann", rbacv1.PolicyRule{Verbs: []string{"list", "get"}, APIGroups: []string{""}, Resources: []string{"pods"}})
	if _, err := ann.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := ann.CoreV1().Pods("default").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("in another namespace: %v", err)
	}

	review, err := env.Client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{User: "ann", ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: "get", Resource: "pods", Name: "x",
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	reason := `RBAC: allowed by RoleBinding "reader/` + namespace + `" of Role "reader" to User "ann"`
	if !review.Status.Allowed || review.Status.Reason != reason {
		t.Errorf("got %+v, want %s", review.Status, reason)
	}

	rules, err := ann.AuthorizationV1().SelfSubjectRulesReviews().Create(ctx, &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, r := range rules.Status.ResourceRules {
		found = found || cmp.Equal(r, authorizationv1.ResourceRule{Verbs: []string{"list", "get"}, APIGroups: []string{""}, Resources: []string{"pods"}})
	}
	if !found || rules.Status.Incomplete {
		t.Errorf("rules: %+v", rules.Status)
	}
}

func TestNobodyGrantsMoreThanHeHas(t *testing.T) {
	env := testenv.Shared(t)
	namespace, ctx := env.Namespace(t), t.Context()
	grant(t, env, namespace, "role-writer", "eve", rbacv1.PolicyRule{
		Verbs: []string{"create", "patch"}, APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles", "rolebindings"},
	})
	eve := as(t, env, "eve")
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "mine"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"secrets"}}}}
	_, err := eve.RbacV1().Roles(namespace).Create(ctx, role, metav1.CreateOptions{})
	want := `roles.rbac.authorization.k8s.io "mine" is forbidden: user "eve" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:
{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "mine"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "eve"}},
	}
	if _, err := eve.RbacV1().RoleBindings(namespace).Create(ctx, binding, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("binding cluster-admin: %v", err)
	}
	patch := []byte(`{"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]}`)
	if _, err := eve.RbacV1().Roles(namespace).Patch(ctx, "role-writer", "application/merge-patch+json", patch, metav1.PatchOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("widening a role: %v", err)
	}
	// A change that grants nothing is hers to make.
	if _, err := eve.RbacV1().Roles(namespace).Patch(ctx, "role-writer", "application/merge-patch+json", []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{}); err != nil {
		t.Errorf("labelling a role: %v", err)
	}
}

func newToken(t *testing.T, env *testenv.Env, namespace, account string, spec authenticationv1.TokenRequestSpec) *authenticationv1.TokenRequest {
	t.Helper()
	out, err := env.Client.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Conformance: "ServiceAccounts should mount an API token into pods".
func TestServiceAccountTokens(t *testing.T) {
	env := testenv.Shared(t)
	namespace, ctx := env.Namespace(t), t.Context()
	core := env.Client.CoreV1()
	if _, err := core.ServiceAccounts(namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod, err := core.Pods(namespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.PodSpec{ServiceAccountName: "robot", Containers: []corev1.Container{{Name: "c", Image: "x"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bound := authenticationv1.TokenRequestSpec{BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "web", UID: pod.UID}}

	issued := newToken(t, env, namespace, "robot", bound)
	me, err := withToken(t, env, issued.Status.Token).AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	user := me.Status.UserInfo
	if user.Username != "system:serviceaccount:"+namespace+":robot" || user.Extra["authentication.kubernetes.io/pod-name"][0] != "web" {
		t.Errorf("got %+v", user)
	}
	if diff := cmp.Diff([]string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"}, user.Groups); diff != "" {
		t.Error(diff)
	}

	review, err := env.Client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: issued.Status.Token}}, metav1.CreateOptions{})
	if err != nil || !review.Status.Authenticated || review.Status.User.Username != user.Username {
		t.Errorf("token review: %+v %v", review, err)
	}

	elsewhere := newToken(t, env, namespace, "robot", authenticationv1.TokenRequestSpec{Audiences: []string{"vault"}})
	if _, err := withToken(t, env, elsewhere.Status.Token).CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("a token for another audience: %v", err)
	}

	// A token dies with its pod. This one was never used, so nothing has cached it.
	unused := newToken(t, env, namespace, "robot", bound)
	if err := core.Pods(namespace).Delete(ctx, "web", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the token to be refused", func(ctx context.Context) (bool, error) {
		fresh := withToken(t, env, unused.Status.Token)
		_, err := fresh.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		return apierrors.IsUnauthorized(err), nil
	})

	_, err = core.ServiceAccounts(namespace).CreateToken(ctx, "robot", &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](60)}}, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "may not specify a duration less than 10 minutes") {
		t.Errorf("one minute: %v", err)
	}
}

func TestHTTPDoors(t *testing.T) {
	env := testenv.Shared(t)
	config := env.SocketConfigFor(t, "ann")
	withCert, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	without, err := rest.HTTPClientFor(rest.AnonymousClientConfig(config))
	if err != nil {
		t.Fatal(err)
	}
	spoof := http.Header{"X-Remote-User": {"kubernetes-admin"}, "X-Remote-Group": {"system:masters"}}
	impersonate := http.Header{"Impersonate-User": {"kubernetes-admin"}, "Impersonate-Group": {"system:masters"}}
	forged := http.Header{"Authorization": {"Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2t1YmVybmV0ZXMuZGVmYXVsdC5zdmMuY2x1c3Rlci5sb2NhbCJ9."}}
	for _, tc := range []struct {
		name   string
		client *http.Client
		path   string
		header http.Header
		want   int
	}{
		{"anonymous, healthz", without, "/healthz", nil, 200},
		{"anonymous, readyz", without, "/readyz", nil, 200},
		{"anonymous, version", without, "/version", nil, 401},
		{"anonymous, pods", without, "/api/v1/pods", nil, 401},
		{"anonymous, spoofed", without, "/api/v1/pods", spoof, 401},
		{"anonymous, impersonating", without, "/api/v1/pods", impersonate, 401},
		{"forged token", without, "/healthz", forged, 401},
		{"certificate, version", withCert, "/version", nil, 200},
		{"certificate, discovery", withCert, "/apis", nil, 200},
		{"certificate, pods", withCert, "/api/v1/pods", nil, 403},
		{"certificate, spoofed", withCert, "/api/v1/pods", spoof, 403},
		{"certificate, impersonating", withCert, "/api/v1/pods", impersonate, 403},
		{"certificate, metrics", withCert, "/metrics", nil, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, config.Host+tc.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			for k, v := range tc.header {
				request.Header[k] = v
			}
			response, err := tc.client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != tc.want {
				t.Errorf("got %d, want %d: %.200s", response.StatusCode, tc.want, body)
			}
		})
	}
}

// Conformance: "ServiceAccountIssuerDiscovery should support OIDC discovery of
// service account issuer".
func TestIssuerDiscovery(t *testing.T) {
	env := testenv.Shared(t)
	namespace, ctx := env.Namespace(t), t.Context()
	if _, err := env.Client.CoreV1().ServiceAccounts(namespace).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	robot := withToken(t, env, newToken(t, env, namespace, "robot", authenticationv1.TokenRequestSpec{}).Status.Token)
	for path, want := range map[string]string{"/.well-known/openid-configuration": `"jwks_uri"`, "/openid/v1/jwks": `"keys"`} {
		body, err := robot.Discovery().RESTClient().Get().AbsPath(path).DoRaw(ctx)
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s %v", path, body, err)
		}
	}
}

func TestBootstrapRolesAreThere(t *testing.T) {
	env := testenv.Shared(t)
	for _, name := range []string{"cluster-admin", "admin", "edit", "view", "system:node", "system:kube-scheduler", "system:controller:generic-garbage-collector"} {
		role, err := env.Client.RbacV1().ClusterRoles().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil || len(role.Rules) == 0 {
			t.Errorf("%s: %d rules, %v", name, len(role.Rules), err)
		}
	}
	if _, err := as(t, env, "kubernetes-admin", "skiff:cluster-admins").CoreV1().Secrets("kube-system").List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("the administrator: %v", err)
	}
}
