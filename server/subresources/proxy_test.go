package subresources

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/apis/scheme"
	"github.com/skiff-project/skiff/server/registry"
	"github.com/skiff-project/skiff/server/storage"
)

// storesOf returns the stores of all stored rows, on an etcd of their own.
func storesOf(t *testing.T) registry.Stores {
	t.Helper()
	backend, err := storage.OpenEmbedded(t.Context(), storage.EmbeddedConfig{Dir: t.TempDir(), UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(backend.Close)
	getter, err := storage.NewGetter(storage.GetterConfig{
		Backend: backend, Serializer: scheme.Codecs, Storage: *storagebackend.NewDefaultConfig("/registry", nil), DisableWatchCache: true,
		Locate: func(gr schema.GroupResource) (storage.Location, error) {
			for _, row := range scheme.Resources() {
				if row.GroupResource() == gr {
					return storage.Location{Version: row.Kind.GroupVersion(), Prefix: cmp.Or(row.KeyPrefix, row.Plural)}, nil
				}
			}
			return storage.Location{}, fmt.Errorf("no row of %s", gr)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	stores := registry.Stores{}
	for _, row := range scheme.Resources() {
		switch row.Plural {
		case "pods", "services", "endpointslices":
			store, err := registry.NewStore(row, getter)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(store.Destroy)
			stores[row.GroupResource()] = store
		}
	}
	return stores
}

// put writes an object as it is: no rule is asked, no status reset.
func put(ctx context.Context, t *testing.T, store *registry.Store, name string, obj runtime.Object) {
	t.Helper()
	key, err := store.KeyFunc(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Storage.Create(ctx, key, obj, store.New(), 0, false); err != nil {
		t.Fatal(err)
	}
}

func putPod(ctx context.Context, t *testing.T, store *registry.Store, name, ip string, ports ...int32) {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"}, Status: corev1.PodStatus{PodIP: ip}}
	pod.Spec.Containers = []corev1.Container{{Name: "a"}, {Name: "b"}}
	for _, port := range ports {
		pod.Spec.Containers[1].Ports = append(pod.Spec.Containers[1].Ports, corev1.ContainerPort{ContainerPort: port})
	}
	put(ctx, t, store, name, pod)
}

func putService(ctx context.Context, t *testing.T, store *registry.Store, name string, ports ...corev1.ServicePort) {
	t.Helper()
	put(ctx, t, store, name, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"}, Spec: corev1.ServiceSpec{Ports: ports},
	})
}

func putSlice(ctx context.Context, t *testing.T, store *registry.Store, service string, ports []discoveryv1.EndpointPort, endpoints ...discoveryv1.Endpoint) {
	t.Helper()
	put(ctx, t, store, service+"-1", &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: service + "-1", Namespace: "ns", Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		Ports:      ports, Endpoints: endpoints,
	})
}

// backends answers for every address, and says which was dialled.
func backends(t *testing.T) http.RoundTripper {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		fmt.Fprintf(w, "%s %s %s", req.Method, req.URL.RequestURI(), body)
	}))
	t.Cleanup(server.Close)
	direct := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}}
	t.Cleanup(direct.CloseIdleConnections)
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		response, err := direct.RoundTrip(req)
		if err == nil {
			response.Header.Set("Reached", req.URL.Host)
		}
		return response, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// failing is a responder that must not be needed.
type failing struct{ t *testing.T }

func (f failing) Object(code int, obj runtime.Object) { f.t.Errorf("answered %d with %v", code, obj) }
func (f failing) Error(err error)                     { f.t.Error(err) }

// Conformance: "A set of valid responses are returned for both pod and service
// Proxy" and "A set of valid responses are returned for both pod and service
// ProxyWithPath": which address a pod or service is reached at.
func TestProxiesReachPodsAndServices(t *testing.T) {
	stores := storesOf(t)
	pods, services := stores[corev1.Resource("pods")], stores[corev1.Resource("services")]
	slices := stores[schema.GroupResource{Group: discoveryv1.GroupName, Resource: "endpointslices"}]
	ctx := request.WithNamespace(t.Context(), "ns")

	putPod(ctx, t, pods, "p", "10.1.0.1", 8080, 9090)
	putPod(ctx, t, pods, "plain", "10.1.0.1")
	putPod(ctx, t, pods, "six", "fd00::1")
	putPod(ctx, t, pods, "pending", "")
	putPod(ctx, t, pods, "linklocal", "169.254.169.254")
	putService(ctx, t, services, "web", corev1.ServicePort{Name: "http", Port: 80}, corev1.ServicePort{Name: "metrics", Port: 81})
	putSlice(ctx, t, slices, "web",
		[]discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](8080)}, {Name: ptr.To("metrics"), Port: ptr.To[int32](9100)}},
		discoveryv1.Endpoint{Addresses: []string{"10.1.0.2"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(false)}},
		discoveryv1.Endpoint{Addresses: []string{"10.1.0.3"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}})
	putService(ctx, t, services, "one", corev1.ServicePort{Port: 443})
	putSlice(ctx, t, slices, "one", []discoveryv1.EndpointPort{{Name: ptr.To(""), Port: ptr.To[int32](6443)}},
		discoveryv1.Endpoint{Addresses: []string{"10.1.0.4"}})
	putService(ctx, t, services, "idle", corev1.ServicePort{Port: 80})
	putService(ctx, t, services, "inside", corev1.ServicePort{Port: 80})
	putSlice(ctx, t, slices, "inside", []discoveryv1.EndpointPort{{Port: ptr.To[int32](2379)}}, discoveryv1.Endpoint{Addresses: []string{"127.0.0.1"}})

	cfg := Config{Stores: stores, Nodes: &Nodes{backends: backends(t)}}
	storages := map[string]rest.Storage{"pods": newPodProxy(cfg, pods), "services": newServiceProxy(cfg, services)}
	for id, test := range map[string]struct {
		reached string
		refused func(error) bool
	}{
		"pods/p":                {"10.1.0.1:8080", nil},
		"pods/p:1234":           {"10.1.0.1:1234", nil},
		"pods/http:p:9090":      {"10.1.0.1:9090", nil},
		"pods/plain":            {"10.1.0.1:80", nil},
		"pods/six:80":           {"[fd00::1]:80", nil},
		"pods/pending":          {"", apierrors.IsServiceUnavailable},
		"pods/linklocal":        {"", apierrors.IsBadRequest},
		"pods/missing":          {"", apierrors.IsNotFound},
		"pods/ftp:p:1":          {"", apierrors.IsBadRequest},
		"services/web:http":     {"10.1.0.3:8080", nil},
		"services/web:80":       {"10.1.0.3:8080", nil},
		"services/http:web:81":  {"10.1.0.3:9100", nil},
		"services/web":          {"", apierrors.IsServiceUnavailable},
		"services/web:8080":     {"", apierrors.IsServiceUnavailable},
		"services/one":          {"10.1.0.4:6443", nil},
		"services/idle":         {"", apierrors.IsServiceUnavailable},
		"services/inside":       {"", apierrors.IsBadRequest},
		"services/missing:http": {"", apierrors.IsNotFound},
	} {
		kind, name, _ := strings.Cut(id, "/")
		connecter, ok := storages[kind].(rest.Connecter)
		if !ok {
			t.Fatalf("%s: nothing connects", id)
		}
		options, _, _ := connecter.NewConnectOptions()
		switch o := options.(type) {
		case *corev1.PodProxyOptions:
			o.Path = "a/b"
		case *corev1.ServiceProxyOptions:
			o.Path = "a/b"
		}
		handler, err := connecter.Connect(ctx, name, options, failing{t})
		if test.refused != nil {
			if err == nil || !test.refused(err) {
				t.Errorf("%s: %v", id, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPut, "/whatever?q=1", strings.NewReader("body")).WithContext(ctx))
		if got := answer.Header().Get("Reached"); got != test.reached {
			t.Errorf("%s reached %s, want %s", id, got, test.reached)
		}
		if got := answer.Body.String(); answer.Code != http.StatusOK || got != "PUT /a/b?q=1 body" {
			t.Errorf("%s: got %d %q", id, answer.Code, got)
		}
	}
}
