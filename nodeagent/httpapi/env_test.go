package httpapi

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
	"k8s.io/utils/clock"

	"github.com/skiff-project/skiff/nodeagent/runtime/fake"
	"github.com/skiff-project/skiff/nodeagent/runtime/runtimetest"
)

const (
	adminUser = "kube-apiserver-kubelet-client"
	goodToken = "good-token"
	nodeName  = "node-1"
)

// fixture is a server with real TLS on a fake runtime.
type fixture struct {
	t      *testing.T
	engine *fake.Runtime
	pod    *runtimetest.Pod
	url    string
	admin  *rest.Config // with a client certificate

	mu      sync.Mutex
	reviews []authorizationv1.SubjectAccessReviewSpec
	apiPods map[types.NamespacedName]*corev1.Pod
}

// Pods implements Pods.
func (f *fixture) Pods() []*corev1.Pod {
	f.mu.Lock()
	defer f.mu.Unlock()
	var pods []*corev1.Pod
	for _, pod := range f.apiPods {
		pods = append(pods, pod)
	}
	return pods
}

// Pod implements Pods.
func (f *fixture) Pod(name types.NamespacedName) (*corev1.Pod, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	pod, ok := f.apiPods[name]
	return pod, ok
}

// Summary implements Stats.
func (f *fixture) Summary(context.Context) (*statsapi.Summary, error) {
	return &statsapi.Summary{Node: statsapi.NodeStats{NodeName: nodeName}}, nil
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, engine: fake.New(clock.RealClock{}), apiPods: map[types.NamespacedName]*corev1.Pod{}}
	image := f.engine.AddImage("docker.io/test/app:1")
	f.pod = runtimetest.NewPod(t, runtimetest.Env{Runtime: f.engine, Image: image, Program: "/app"})
	f.apiPods[types.NamespacedName{Namespace: f.pod.Ref.Namespace, Name: f.pod.Ref.Name}] = &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.pod.Ref.Namespace, Name: f.pod.Ref.Name, UID: types.UID(f.pod.Ref.UID)},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}}},
	}
	ca := newAuthority(t)
	clientCA, err := ClientCAFromFile(ca.file)
	if err != nil {
		t.Fatal(err)
	}
	authn, authz, err := NewAuth(f.apiServer(), clientCA)
	if err != nil {
		t.Fatal(err)
	}
	server, err := New(Config{
		NodeName: nodeName, TLS: TLSConfig{ClientCA: clientCA, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}},
		Authenticator: authn, Authorizer: authz, Pods: f, Runtime: f.engine, Stats: f, Clock: clock.RealClock{},
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics") }),
		Configz: func() any { return map[string]int{"maxPods": 110} },
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.url = "https://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	certificate, key := ca.issue(t, adminUser)
	f.admin = &rest.Config{Host: f.url, TLSClientConfig: rest.TLSClientConfig{Insecure: true, CertData: certificate, KeyData: key}}
	return f
}

// apiServer answers the reviews: goodToken is the user "token-user", who may read nothing but metrics.
func (f *fixture) apiServer() kubernetes.Interface {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /apis/authentication.k8s.io/v1/tokenreviews", func(w http.ResponseWriter, r *http.Request) {
		var review authenticationv1.TokenReview
		f.decode(r, &review)
		review.Status.Authenticated = review.Spec.Token == goodToken
		review.Status.User.Username = "token-user"
		writeJSON(w, review)
	})
	mux.HandleFunc("POST /apis/authorization.k8s.io/v1/subjectaccessreviews", func(w http.ResponseWriter, r *http.Request) {
		var review authorizationv1.SubjectAccessReview
		f.decode(r, &review)
		f.mu.Lock()
		f.reviews = append(f.reviews, review.Spec)
		f.mu.Unlock()
		review.Status.Allowed = review.Spec.User == adminUser || review.Spec.ResourceAttributes.Subresource == "metrics"
		writeJSON(w, review)
	})
	server := httptest.NewServer(mux)
	f.t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		f.t.Fatal(err)
	}
	return client
}

func (f *fixture) decode(r *http.Request, into any) {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		f.t.Errorf("decoding a review: %v", err)
	}
}

func (f *fixture) lastReviews() []authorizationv1.SubjectAccessReviewSpec {
	f.mu.Lock()
	defer f.mu.Unlock()
	reviews := f.reviews
	f.reviews = nil
	return reviews
}

// request sends a request as a config's user and returns status and body.
func (f *fixture) request(config *rest.Config, method, path string) (int, string) {
	f.t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		f.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// path returns a path with the pod's namespace and name.
func (f *fixture) path(prefix, rest string) string {
	return prefix + "/" + f.pod.Ref.Namespace + "/" + f.pod.Ref.Name + rest
}

// setStatus gives the API's pod a status.
func (f *fixture) setStatus(statuses ...corev1.ContainerStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, pod := range f.apiPods {
		next := pod.DeepCopy()
		next.Status.ContainerStatuses = statuses
		f.apiPods[name] = next
	}
}

// authority issues client certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(t.TempDir(), "ca.crt")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test-ca"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.key = newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) issue(t *testing.T, user string) (certificate, key []byte) {
	t.Helper()
	private := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: user, Organization: []string{"a-group"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.certificate, private.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
