package auth

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"k8s.io/apiserver/pkg/authentication/token/tokenfile"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	"github.com/skiff-project/skiff/server/auth/bootstrappolicy"
)

const issuer = "https://kubernetes.default.svc.cluster.local"

func keyFile(t *testing.T) string {
	t.Helper()
	pem, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "sa.key")
	if err := os.WriteFile(path, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// selfSigned returns a certificate that is its own CA, and that CA as provider.
func selfSigned(t *testing.T, name string, groups ...string) (*x509.Certificate, dynamiccertificates.CAContentProvider) {
	t.Helper()
	pem, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	key, err := keyutil.ParsePrivateKeyPEM(pem)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cert.NewSelfSignedCACert(cert.Config{CommonName: name, Organization: groups}, key.(crypto.Signer))
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := cert.EncodeCertificates(c)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := dynamiccertificates.NewStaticCAContent(name, bundle)
	if err != nil {
		t.Fatal(err)
	}
	return c, provider
}

func TestAuthenticator(t *testing.T) {
	client, clientCA := selfSigned(t, "ann", "staff")
	proxy, proxyCA := selfSigned(t, "front-proxy")
	stranger, _ := selfSigned(t, "mallory", "system:masters")
	result, err := Build(context.Background(), Config{
		ClientCA: clientCA,
		RequestHeader: &authenticatorfactory.RequestHeaderConfig{
			CAContentProvider:   proxyCA,
			UsernameHeaders:     headerrequest.StaticStringSlice{"X-Remote-User"},
			UIDHeaders:          headerrequest.StaticStringSlice{},
			GroupHeaders:        headerrequest.StaticStringSlice{"X-Remote-Group"},
			ExtraHeaderPrefixes: headerrequest.StaticStringSlice{"X-Remote-Extra-"},
			AllowedClientNames:  headerrequest.StaticStringSlice{},
		},
		Tokens:         []authenticator.Token{tokenfile.New(map[string]*user.DefaultInfo{"inside": {Name: "system:kube-scheduler"}})},
		ServiceAccount: ServiceAccountConfig{Issuers: []string{issuer}, SigningKeyFile: keyFile(t)},
		Client:         fake.NewClientset(), Informers: informers.NewSharedInformerFactory(nil, 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.TokenIssuer == nil || result.Discovery != nil && result.DiscoveryError != nil {
		t.Errorf("issuer %v discovery %v %v", result.TokenIssuer, result.Discovery, result.DiscoveryError)
	}
	for _, tc := range []struct {
		name   string
		path   string
		cert   *x509.Certificate
		header map[string]string
		user   string
		groups []string
		fails  bool
	}{
		{name: "client certificate", cert: client, user: "ann", groups: []string{"staff", "system:authenticated"}},
		{name: "stranger's certificate", cert: stranger},
		{name: "stranger's certificate at a health endpoint", path: "/healthz", cert: stranger, fails: true},
		{name: "in-process token", header: map[string]string{"Authorization": "Bearer inside"}, user: "system:kube-scheduler", groups: []string{"system:authenticated"}},
		{name: "wrong token", header: map[string]string{"Authorization": "Bearer outside"}, fails: true},
		{name: "wrong token at a health endpoint", path: "/healthz", header: map[string]string{"Authorization": "Bearer outside"}, fails: true},
		{name: "front proxy", cert: proxy, header: map[string]string{"X-Remote-User": "bob", "X-Remote-Group": "dev"}, user: "bob", groups: []string{"dev", "system:authenticated"}},
		// Attack: the headers of the proxy from somebody who is not the proxy.
		{name: "spoofed front proxy", cert: client, header: map[string]string{"X-Remote-User": "root", "X-Remote-Group": "system:masters"}, user: "ann", groups: []string{"staff", "system:authenticated"}},
		{name: "spoofed without certificate", header: map[string]string{"X-Remote-User": "root"}},
		{name: "anonymous at a health endpoint", path: "/readyz", user: "system:anonymous", groups: []string{"system:unauthenticated"}},
		{name: "anonymous below a health endpoint", path: "/readyz/etcd"},
		{name: "anonymous elsewhere", path: "/api"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := tc.path
			if path == "" {
				path = "/api/v1/pods"
			}
			r := httptest.NewRequest(http.MethodGet, "https://x"+path, nil)
			if tc.cert != nil {
				r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{tc.cert}}
			}
			for k, v := range tc.header {
				r.Header.Set(k, v)
			}
			response, ok, err := result.Authenticator.AuthenticateRequest(r)
			if tc.user == "" {
				if ok {
					t.Errorf("accepted as %v", response.User)
				}
				if tc.fails && err == nil {
					t.Error("bad credentials must be an error, not nobody")
				}
				return
			}
			if err != nil || !ok {
				t.Fatalf("ok=%v err=%v", ok, err)
			}
			if response.User.GetName() != tc.user || !slices.Equal(response.User.GetGroups(), tc.groups) {
				t.Errorf("got %s %v", response.User.GetName(), response.User.GetGroups())
			}
		})
	}
}

func TestBuildChecksItsConfig(t *testing.T) {
	_, err := Build(context.Background(), Config{})
	for _, want := range []string{"Client", "Informers", "service-account-issuer", "service-account-signing-key-file"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	_, err = Build(context.Background(), Config{
		ServiceAccount:     ServiceAccountConfig{Issuers: []string{issuer}, SigningKeyFile: keyFile(t)},
		AuthorizationModes: []string{"Magic"},
		Client:             fake.NewClientset(), Informers: informers.NewSharedInformerFactory(nil, 0),
	})
	if err == nil || !strings.Contains(err.Error(), `unknown authorization mode "Magic"`) {
		t.Errorf("got %v", err)
	}
}

func TestValidateModes(t *testing.T) {
	for _, tc := range []struct {
		modes []string
		errs  int
	}{
		{[]string{"Node", "RBAC"}, 0}, {[]string{"AlwaysAllow"}, 0}, {nil, 1}, {[]string{"RBAC", "RBAC"}, 1}, {[]string{"rbac"}, 1},
	} {
		if got := ValidateModes(tc.modes); len(got) != tc.errs {
			t.Errorf("%v: %v", tc.modes, got)
		}
	}
}

// TestWhoMayDoWhat asks the whole chain with the bootstrap policy in place.
func TestWhoMayDoWhat(t *testing.T) {
	factory := informers.NewSharedInformerFactory(nil, 0)
	result, err := Build(context.Background(), Config{
		ServiceAccount: ServiceAccountConfig{Issuers: []string{issuer}, SigningKeyFile: keyFile(t)},
		Client:         fake.NewClientset(), Informers: factory,
	})
	if err != nil {
		t.Fatal(err)
	}
	policy, api := bootstrappolicy.New(), factory.Rbac().V1()
	add := func(indexer interface{ Add(any) error }, obj any) {
		if err := indexer.Add(obj); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range policy.ClusterRoles {
		add(api.ClusterRoles().Informer().GetIndexer(), o)
	}
	for _, o := range policy.ClusterRoleBindings {
		add(api.ClusterRoleBindings().Informer().GetIndexer(), o)
	}
	for _, o := range policy.Roles {
		add(api.Roles().Informer().GetIndexer(), o)
	}
	for _, o := range policy.RoleBindings {
		add(api.RoleBindings().Informer().GetIndexer(), o)
	}

	who := func(name string, groups ...string) user.Info {
		return &user.DefaultInfo{Name: name, Groups: append(groups, user.AllAuthenticated)}
	}
	controllers, scheduler := who("system:kube-controller-manager"), who("system:kube-scheduler")
	node, proxy, cni := who("system:node:n1", "system:nodes"), who("system:kube-proxy"), who("system:skiff:cni")
	admin, masters, ann := who("kubernetes-admin", "skiff:cluster-admins"), who("x", "system:masters"), who("ann")
	kubeletClient := who("kube-apiserver-kubelet-client")
	robot := who("system:serviceaccount:ns:robot", "system:serviceaccounts", "system:serviceaccounts:ns")
	anonymous := &user.DefaultInfo{Name: "system:anonymous", Groups: []string{"system:unauthenticated"}}

	for _, tc := range []struct {
		user  user.Info
		yes   []string
		never []string
	}{
		{admin, []string{"delete apps/deployments", "escalate rbac.authorization.k8s.io/clusterroles", "impersonate core/users", "get /metrics"}, nil},
		{masters, []string{"delete apps/deployments", "get /debug/pprof"}, nil},
		{ann, []string{"create authorization.k8s.io/selfsubjectaccessreviews", "get /apis/apps", "get /openapi/v3", "get /version"},
			[]string{"list core/pods", "get core/secrets", "get /metrics", "create core/pods", "create authorization.k8s.io/subjectaccessreviews"}},
		{anonymous, []string{"get /healthz", "get /readyz"}, []string{"get /api", "get /metrics", "list core/pods", "create authorization.k8s.io/selfsubjectaccessreviews"}},
		{robot, []string{"get /openid/v1/jwks", "get /.well-known/openid-configuration"}, []string{"list core/pods", "get core/secrets"}},
		{controllers, []string{
			"create core/pods", "patch core/pods", "delete core/pods", "patch core/pods/status", "create apps/replicasets", "patch apps/replicasets", "update apps/replicasets/status", "update apps/deployments/status",
			"update core/replicationcontrollers/status", "create core/endpoints", "update core/endpoints", "create discovery.k8s.io/endpointslices", "delete discovery.k8s.io/endpointslices",
			"create core/serviceaccounts", "create core/secrets", "update core/namespaces/finalize", "deletecollection core/configmaps", "delete example.com/widgets", "patch example.com/widgets", "list example.com/widgets",
			"update core/nodes", "patch core/nodes", "patch core/nodes/status", "create coordination.k8s.io/leases", "get coordination.k8s.io/leases", "update coordination.k8s.io/leases", "create core/events", "patch events.k8s.io/events",
			"create core/configmaps", "create core/serviceaccounts/token", "get /apis", "update apps/statefulsets/status", "create batch/jobs", "update batch/cronjobs/status",
		}, []string{"create core/nodes", "impersonate core/users", "create core/pods/exec", "bind rbac.authorization.k8s.io/clusterroles", "create rbac.authorization.k8s.io/clusterrolebindings", "get /metrics"}},
		{scheduler, []string{"create core/pods/binding", "patch core/pods/status", "delete core/pods", "list core/nodes", "watch core/pods", "create events.k8s.io/events", "get coordination.k8s.io/leases kube-scheduler", "update coordination.k8s.io/leases kube-scheduler", "list core/namespaces", "watch scheduling.k8s.io/priorityclasses"},
			[]string{"create core/pods", "get core/secrets", "update core/nodes", "update coordination.k8s.io/leases kube-controller-manager"}},
		{node, []string{"create core/nodes", "patch core/nodes/status", "watch core/pods", "patch core/pods/status", "delete core/pods", "create core/serviceaccounts/token", "get core/secrets", "watch core/configmaps", "update coordination.k8s.io/leases", "create core/events", "list core/services", "create authentication.k8s.io/tokenreviews", "create authorization.k8s.io/subjectaccessreviews"},
			[]string{"delete core/nodes", "create core/secrets", "update core/secrets", "create apps/deployments", "create core/pods/exec", "get core/nodes/proxy", "list core/namespaces"}},
		{proxy, []string{"watch core/services", "watch discovery.k8s.io/endpointslices", "get core/nodes", "create events.k8s.io/events"}, []string{"list core/pods", "list core/secrets", "update core/services"}},
		{cni, []string{"get core/nodes", "watch core/nodes", "patch core/nodes/status"}, []string{"patch core/nodes", "list core/pods"}},
		{kubeletClient, []string{"get core/nodes/proxy", "create core/nodes/proxy", "get core/nodes/log", "get core/nodes/metrics"}, []string{"list core/pods", "get core/secrets", "update core/nodes"}},
	} {
		for want, texts := range map[bool][]string{true: tc.yes, false: tc.never} {
			for _, text := range texts {
				decision, reason, err := result.Authorizer.Authorize(context.Background(), attributes(tc.user, text))
				if got := decision == authorizer.DecisionAllow; got != want || err != nil {
					t.Errorf("%s: %q allowed=%v (%s, %v), want %v", tc.user.GetName(), text, got, reason, err, want)
				}
			}
		}
	}

	_, paths, _, err := result.RuleResolver.RulesFor(context.Background(), ann, "default")
	if err != nil {
		t.Fatal(err)
	}
	var discovery []string
	for _, p := range paths {
		discovery = append(discovery, p.GetNonResourceURLs()...)
	}
	slices.Sort(discovery)
	want := []string{"/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/"}
	if diff := cmp.Diff(want, slices.Compact(discovery)); diff != "" {
		t.Error(diff)
	}
}

// attributes reads "verb group/resource/subresource name" or "verb /path".
func attributes(who user.Info, text string) authorizer.AttributesRecord {
	words := strings.Fields(text)
	a := authorizer.AttributesRecord{User: who, Verb: words[0], Namespace: "kube-system"}
	if strings.HasPrefix(words[1], "/") {
		a.Path, a.Namespace = words[1], ""
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
