package bootstrap_test

import (
	"context"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/kubernetes"

	"github.com/skiff-project/skiff/e2e/testenv"
	"github.com/skiff-project/skiff/server/bootstrap"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// ensureTwice makes the objects and then checks that a second run writes nothing.
func ensureTwice(t *testing.T, client kubernetes.Interface, ensure bootstrap.Ensure, versions func(context.Context) string) {
	t.Helper()
	if err := ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := versions(t.Context())
	if err := ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := versions(t.Context()); after != before {
		t.Errorf("a second run changed versions %s to %s", before, after)
	}
}

func TestKubernetesServiceIsRepaired(t *testing.T) {
	env := testenv.Start(t)
	client := env.Client
	cfg := bootstrap.KubernetesConfig{
		ClusterIP: netip.MustParseAddr("10.96.0.1"), Address: netip.MustParseAddr("192.0.2.1"), Port: 6443,
	}
	ensure := bootstrap.KubernetesService(client, cfg)
	versions := func(ctx context.Context) string {
		service, err1 := client.CoreV1().Services("default").Get(ctx, "kubernetes", metav1.GetOptions{})
		slice, err2 := client.DiscoveryV1().EndpointSlices("default").Get(ctx, "kubernetes", metav1.GetOptions{})
		endpoints, err3 := client.CoreV1().Endpoints("default").Get(ctx, "kubernetes", metav1.GetOptions{})
		if err1 != nil || err2 != nil || err3 != nil {
			t.Fatal(err1, err2, err3)
		}
		return service.ResourceVersion + " " + slice.ResourceVersion + " " + endpoints.ResourceVersion
	}
	ensureTwice(t, client, ensure, versions)

	// The server has moved.
	cfg.Address, cfg.Port = netip.MustParseAddr("192.0.2.2"), 7443
	ensure = bootstrap.KubernetesService(client, cfg)
	ensureTwice(t, client, ensure, versions)
	slice, err := client.DiscoveryV1().EndpointSlices("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil || slice.Endpoints[0].Addresses[0] != "192.0.2.2" || *slice.Ports[0].Port != 7443 {
		t.Errorf("got %+v, %v", slice, err)
	}
	service, err := client.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil || service.Spec.Ports[0].TargetPort.IntVal != 7443 {
		t.Errorf("got %+v, %v", service.Spec, err)
	}

	// Somebody has deleted them.
	if err := client.CoreV1().Services("default").Delete(t.Context(), "kubernetes", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := client.DiscoveryV1().EndpointSlices("default").Delete(t.Context(), "kubernetes", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ensureTwice(t, client, ensure, versions)
	service, err = client.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil || service.Spec.ClusterIP != "10.96.0.1" {
		t.Errorf("got %+v, %v", service.Spec, err)
	}

	// It has moved to the other family, which a slice cannot follow.
	cfg.Address = netip.MustParseAddr("2001:db8::1")
	ensureTwice(t, client, bootstrap.KubernetesService(client, cfg), versions)
	slice, err = client.DiscoveryV1().EndpointSlices("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	if err != nil || slice.AddressType != "IPv6" {
		t.Errorf("got %+v, %v", slice, err)
	}
}

func TestTrustKeepsWhatOthersWrote(t *testing.T) {
	env := testenv.Shared(t)
	configMaps := env.Client.CoreV1().ConfigMaps("kube-system")
	ca, err := configMaps.Get(t.Context(), "extension-apiserver-authentication", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := dynamiccertificates.NewStaticCAContent("proxy", []byte(ca.Data["client-ca-file"]))
	if err != nil {
		t.Fatal(err)
	}
	ca.Data["other"] = "kept"
	if _, err := configMaps.Update(t.Context(), ca, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	ensure := bootstrap.Trust(env.Client, nil, &authenticatorfactory.RequestHeaderConfig{
		CAContentProvider:   bundle,
		UsernameHeaders:     headerrequest.StaticStringSlice{"X-Remote-User"},
		UIDHeaders:          headerrequest.StaticStringSlice{},
		GroupHeaders:        headerrequest.StaticStringSlice{"X-Remote-Group"},
		ExtraHeaderPrefixes: headerrequest.StaticStringSlice{"X-Remote-Extra-"},
		AllowedClientNames:  headerrequest.StaticStringSlice{"front-proxy-client"},
	})
	ensureTwice(t, env.Client, ensure, func(ctx context.Context) string {
		got, err := configMaps.Get(ctx, "extension-apiserver-authentication", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return got.ResourceVersion
	})
	got, err := configMaps.Get(t.Context(), "extension-apiserver-authentication", metav1.GetOptions{})
	if err != nil || got.Data["other"] != "kept" || got.Data["client-ca-file"] == "" ||
		got.Data["requestheader-username-headers"] != `["X-Remote-User"]` || got.Data["requestheader-uid-headers"] != `[]` {
		t.Errorf("got %+v, %v", got.Data, err)
	}
}

func TestNamespacesAndClassesComeBack(t *testing.T) {
	env := testenv.Shared(t)
	err := env.Client.SchedulingV1().PriorityClasses().Delete(t.Context(), "system-node-critical", metav1.DeleteOptions{})
	if err != nil && !apierrors.IsForbidden(err) {
		t.Fatal(err)
	}
	if err := bootstrap.PriorityClasses(env.Client)(t.Context()); err != nil {
		t.Fatal(err)
	}
	class, err := env.Client.SchedulingV1().PriorityClasses().Get(t.Context(), "system-node-critical", metav1.GetOptions{})
	if err != nil || class.Value != 2000001000 || class.PreemptionPolicy == nil || *class.PreemptionPolicy != corev1.PreemptLowerPriority {
		t.Errorf("got %+v, %v", class, err)
	}
	if err := bootstrap.Namespaces(env.Client)(t.Context()); err != nil {
		t.Error(err)
	}
}
