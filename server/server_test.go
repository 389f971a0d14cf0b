package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/skiff-project/skiff/e2e/testenv"
	"github.com/skiff-project/skiff/server"
	"github.com/skiff-project/skiff/server/storage/etcdtest"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// newOptions returns options of a server in dir that listens on a free port of
// the loopback interface.
func newOptions(t *testing.T, dir string) *server.Options {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := server.NewOptions()
	o.DataDir = dir
	o.EtcdUnsafeNoFsync = true
	o.SecureServing.Listener = listener
	o.SecureServing.BindAddress = net.IPv4(127, 0, 0, 1)
	o.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	o.SecureServing.ServerCert.CertDirectory = filepath.Join(dir, "certs")
	o.Run.AdvertiseAddress = net.IPv4(192, 0, 2, 1)
	return o
}

// run starts a server; stop waits for its end and returns what Run returned.
func run(t *testing.T, o *server.Options) (client kubernetes.Interface, s *server.Server, stop func() error) {
	t.Helper()
	if err := o.Complete(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.New(ctx, o)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-done:
		cancel()
		t.Fatalf("the server ended: %v", err)
	case <-time.After(time.Minute):
		cancel()
		t.Fatal("the server is not ready")
	}
	client, err = kubernetes.NewForConfig(s.ClientConfig(testenv.AdminUser, testenv.AdminGroup))
	if err != nil {
		t.Fatal(err)
	}
	return client, s, func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(time.Minute):
			return fmt.Errorf("the server does not stop")
		}
	}
}

// Test that a server that starts again has every object, its own keys and
// certificates, and the addresses of services.
func TestRestartKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	client, _, stop := run(t, newOptions(t, dir))
	if _, err := client.CoreV1().ConfigMaps("default").Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Data: map[string]string{"k": "v"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	service, err := client.CoreV1().Services("default").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "s"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(dir, "certs", "service-account-signing.key"))
	if err != nil {
		t.Fatal(err)
	}

	client, _, stop = run(t, newOptions(t, dir))
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	got, err := client.CoreV1().ConfigMaps("default").Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil || got.Data["k"] != "v" {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = client.CoreV1().Services("default").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "t"},
		Spec:       corev1.ServiceSpec{ClusterIP: service.Spec.ClusterIP, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) {
		t.Errorf("an address was given out twice: %v", err)
	}
	again, err := os.ReadFile(filepath.Join(dir, "certs", "service-account-signing.key"))
	if err != nil || string(again) != string(key) {
		t.Error("the signing key has changed")
	}
}

// Test that the server works on etcd servers that demand TLS, and that two of
// them share what is stored there.
func TestExternalEtcd(t *testing.T) {
	transport, _ := etcdtest.StartTLS(t)
	external := func() *server.Options {
		o := newOptions(t, t.TempDir())
		o.Etcd.StorageConfig.Transport.ServerList = transport.ServerList
		o.Etcd.StorageConfig.Transport.TrustedCAFile = transport.TrustedCAFile
		o.Etcd.StorageConfig.Transport.CertFile = transport.CertFile
		o.Etcd.StorageConfig.Transport.KeyFile = transport.KeyFile
		return o
	}
	one, _, stopOne := run(t, external())
	two, _, stopTwo := run(t, external())
	defer func() {
		if err := errors.Join(stopOne(), stopTwo()); err != nil {
			t.Error(err)
		}
	}()
	w, err := two.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if _, err := one.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case event := <-w.ResultChan():
		if cm, ok := event.Object.(*corev1.ConfigMap); !ok || cm.Name != "a" {
			t.Errorf("got %+v", event)
		}
	case <-time.After(30 * time.Second):
		t.Error("the other server's watch does not see the object")
	}
	if _, err := two.CoreV1().ConfigMaps("default").Get(t.Context(), "a", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

func TestShutdownDoesNotWaitForWatches(t *testing.T) {
	o := newOptions(t, t.TempDir())
	client, s, stop := run(t, o)
	_ = client
	config := s.ClientConfig(testenv.AdminUser, testenv.AdminGroup)
	overTLS := &rest.Config{
		Host: "https://" + s.Address().String(), BearerToken: config.BearerToken,
		TLSClientConfig: rest.TLSClientConfig{CAFile: o.SecureServing.ServerCert.CertKey.CertFile},
	}
	remote, err := kubernetes.NewForConfig(overTLS)
	if err != nil {
		t.Fatal(err)
	}
	w, err := remote.CoreV1().ConfigMaps("").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	begin := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	// The alternative is the request timeout, a minute.
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("the shutdown took %s", took)
	}
}

func TestWithoutCredentials(t *testing.T) {
	env := testenv.Shared(t)
	config := env.SocketConfigFor(t, "nobody")
	config.CertData, config.KeyData = nil, nil
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{
		"/healthz": http.StatusOK, "/livez": http.StatusOK, "/readyz": http.StatusOK,
		"/api/v1/namespaces": http.StatusUnauthorized, "/metrics": http.StatusUnauthorized, "/apis": http.StatusUnauthorized,
	} {
		response, err := client.Get(config.Host + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, response.StatusCode, want)
		}
	}
	stranger, err := kubernetes.NewForConfig(env.SocketConfigFor(t, "stranger"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.CoreV1().Secrets("kube-system").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a stranger lists secrets: %v", err)
	}
}

// Test the documents by which clients find out what there is.
func TestDiscoveryAndOpenAPI(t *testing.T) {
	env := testenv.Shared(t)
	client := env.Client.Discovery().RESTClient()
	get := func(path string) string {
		t.Helper()
		raw, err := client.Get().AbsPath(path).SetHeader("Accept", "application/json").DoRaw(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return string(raw)
	}
	var v3 struct {
		Paths map[string]any `json:"paths"`
	}
	if err := json.Unmarshal([]byte(get("/openapi/v3")), &v3); err != nil || v3.Paths["apis/apps/v1"] == nil {
		t.Errorf("got %v, %v", v3, err)
	}
	for _, path := range []string{"/openapi/v2", "/openapi/v3/api/v1", "/openapi/v3/apis/apps/v1"} {
		document := get(path)
		if strings.Contains(document, "__internal") {
			t.Errorf("%s shows internal versions", path)
		}
		if !strings.Contains(document, "io.k8s.api.core.v1.PodTemplateSpec") {
			t.Errorf("%s does not describe pods", path)
		}
	}
	_, lists, err := env.Client.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]bool{}
	for _, list := range lists {
		for _, r := range list.APIResources {
			served[list.GroupVersion+" "+r.Name] = true
		}
	}
	for _, want := range []string{
		"v1 pods", "v1 pods/status", "v1 pods/binding", "v1 pods/eviction", "v1 pods/log", "v1 pods/exec", "v1 pods/attach",
		"v1 pods/portforward", "v1 pods/proxy", "v1 pods/ephemeralcontainers", "v1 serviceaccounts/token", "v1 namespaces/finalize",
		"v1 replicationcontrollers/scale", "v1 bindings", "v1 services/status", "v1 nodes/proxy",
		"apps/v1 deployments/scale", "apps/v1 replicasets/scale", "apps/v1 statefulsets/scale", "apps/v1 daemonsets/status",
		"events.k8s.io/v1 events", "autoscaling/v1 horizontalpodautoscalers", "autoscaling/v2 horizontalpodautoscalers/status",
		"authentication.k8s.io/v1 tokenreviews", "authorization.k8s.io/v1 selfsubjectrulesreviews",
		"coordination.k8s.io/v1 leases", "discovery.k8s.io/v1 endpointslices", "scheduling.k8s.io/v1 priorityclasses",
		"rbac.authorization.k8s.io/v1 clusterroles", "batch/v1 jobs/status", "batch/v1 cronjobs",
	} {
		if !served[want] {
			t.Errorf("%s is not served", want)
		}
	}
}

func TestMetricsAndReadiness(t *testing.T) {
	env := testenv.Shared(t)
	client := env.Client.Discovery().RESTClient()
	raw, err := client.Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, metric := range []string{"apiserver_request_total", "apiserver_storage_size_bytes", "etcd_request_duration_seconds", "apiserver_storage_objects"} {
		if !strings.Contains(string(raw), metric) {
			t.Errorf("no metric %s", metric)
		}
	}
	raw, err = client.Get().AbsPath("/readyz").Param("verbose", "").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range []string{"etcd ok", "etcd-readiness ok", "poststarthook/rbac/bootstrap-roles ok", "informer-sync ok", "poststarthook/bootstrap-controller ok"} {
		if !strings.Contains(string(raw), check) {
			t.Errorf("no check %q in %s", check, raw)
		}
	}
}

// Conformance: "Kubernetes API server Service" and its endpoints exist.
func TestSystemObjects(t *testing.T) {
	client, _, stop := run(t, newOptions(t, t.TempDir()))
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	service, err := client.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil || service.Spec.ClusterIP != "10.96.0.1" {
		t.Errorf("got %+v, %v", service, err)
	}
	slice, err := client.DiscoveryV1().EndpointSlices("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil || len(slice.Endpoints) != 1 || slice.Endpoints[0].Addresses[0] != "192.0.2.1" {
		t.Errorf("got %+v, %v", slice, err)
	}
	endpoints, err := client.CoreV1().Endpoints("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil || len(endpoints.Subsets) != 1 || endpoints.Subsets[0].Addresses[0].IP != "192.0.2.1" {
		t.Errorf("got %+v, %v", endpoints, err)
	}
	for _, name := range []string{"default", "kube-system", "kube-public", "kube-node-lease"} {
		if _, err := client.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{}); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"system-node-critical", "system-cluster-critical"} {
		if _, err := client.SchedulingV1().PriorityClasses().Get(t.Context(), name, metav1.GetOptions{}); err != nil {
			t.Error(err)
		}
	}
	if err := client.CoreV1().Namespaces().Delete(t.Context(), "kube-system", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("deleting kube-system: %v", err)
	}
}

// Test that the client CA is published for extension API servers.
func TestTrustIsPublished(t *testing.T) {
	env := testenv.Shared(t)
	config, err := env.Client.CoreV1().ConfigMaps("kube-system").Get(t.Context(), "extension-apiserver-authentication", metav1.GetOptions{})
	if err != nil || !strings.Contains(config.Data["client-ca-file"], "BEGIN CERTIFICATE") {
		t.Errorf("got %+v, %v", config, err)
	}
}

// Test that roles granted through the API work at once, so that informers of the
// server follow what it stores.
func TestRightsFollowRoles(t *testing.T) {
	env := testenv.Shared(t)
	ns := env.Namespace(t)
	bob, err := kubernetes.NewForConfig(env.ConfigFor("bob"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bob.CoreV1().ConfigMaps(ns).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("before: %v", err)
	}
	_, err = env.Client.RbacV1().RoleBindings(ns).Create(t.Context(), viewBinding("bob"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	err = wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		_, err := bob.CoreV1().ConfigMaps(ns).List(ctx, metav1.ListOptions{})
		return err == nil, nil
	})
	if err != nil {
		t.Errorf("after: %v", err)
	}
	if _, err := bob.CoreV1().ConfigMaps(ns).Patch(t.Context(), "x", types.MergePatchType, []byte(`{}`), metav1.PatchOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a viewer writes: %v", err)
	}
}
