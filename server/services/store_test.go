package services_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/e2e/testenv"
	"github.com/skiff-project/skiff/server"
)

func TestMain(m *testing.M) {
	testenv.Main(m, func(o *server.Options) {
		o.Services.ClusterIPRange = "10.96.0.0/24,fd00:10:96::/112"
		o.Services.NodePortRange.Base, o.Services.NodePortRange.Size = 30000, 40
	})
}

func service(name string, change func(*corev1.ServiceSpec)) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": name},
		Ports:    []corev1.ServicePort{{Name: "a", Port: 80}},
	}}
	if change != nil {
		change(&s.Spec)
	}
	return s
}

// servicesOf returns the services of a fresh namespace. They are deleted when the
// test ends: nothing else would give back what they have.
func servicesOf(t *testing.T) typedcorev1.ServiceInterface {
	t.Helper()
	env := testenv.Shared(t)
	api := env.Client.CoreV1().Services(env.Namespace(t))
	t.Cleanup(func() {
		ctx := context.Background()
		list, err := api.List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Error(err)
			return
		}
		for _, s := range list.Items {
			if err := api.Delete(ctx, s.Name, metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		}
	})
	return api
}

func nodePort(spec *corev1.ServiceSpec) { spec.Type = corev1.ServiceTypeNodePort }

func TestCreate(t *testing.T) {
	api := servicesOf(t)
	got, err := api.Create(t.Context(), service("auto", nodePort), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !netip.MustParsePrefix("10.96.0.0/24").Contains(netip.MustParseAddr(got.Spec.ClusterIP)) || !slices.Equal(got.Spec.ClusterIPs, []string{got.Spec.ClusterIP}) {
		t.Errorf("got addresses %s %v", got.Spec.ClusterIP, got.Spec.ClusterIPs)
	}
	if p := got.Spec.Ports[0].NodePort; p < 30000 || p >= 30040 {
		t.Errorf("got node port %d", p)
	}
	for name, test := range map[string]struct {
		change func(*corev1.ServiceSpec)
		want   string
	}{
		"taken address":   {func(s *corev1.ServiceSpec) { s.ClusterIP = got.Spec.ClusterIP }, "provided IP is already allocated"},
		"foreign address": {func(s *corev1.ServiceSpec) { s.ClusterIP = "10.97.0.5" }, "the provided IP (10.97.0.5) is not in the valid range. The range of valid IPs is 10.96.0.0/24"},
		"the API's own":   {func(s *corev1.ServiceSpec) { s.ClusterIP = "10.96.0.1" }, "provided IP is already allocated"},
		"taken port":      {func(s *corev1.ServiceSpec) { nodePort(s); s.Ports[0].NodePort = got.Spec.Ports[0].NodePort }, "spec.ports[0].nodePort: Invalid value: " + fmt.Sprint(got.Spec.Ports[0].NodePort) + ": provided port is already allocated"},
		"foreign port":    {func(s *corev1.ServiceSpec) { nodePort(s); s.Ports[0].NodePort = 31000 }, "provided port is not in the valid range. The range of valid ports is 30000-30039"},
		"no address":      {func(s *corev1.ServiceSpec) { s.ClusterIP = "abc" }, "spec.clusterIPs[0]: Invalid value: \"abc\": must be a valid IP address"},
	} {
		_, err := api.Create(t.Context(), service("bad", test.change), metav1.CreateOptions{})
		if !apierrors.IsInvalid(err) || !strings.Contains(fmt.Sprint(err), test.want) {
			t.Errorf("%s: got %v, want %s", name, err, test.want)
		}
	}
	chosen, err := api.Create(t.Context(), service("chosen", func(s *corev1.ServiceSpec) { s.ClusterIP = "10.96.0.10" }), metav1.CreateOptions{})
	if err != nil || chosen.Spec.ClusterIP != "10.96.0.10" {
		t.Errorf("got %v, %v", chosen, err)
	}
	headless, err := api.Create(t.Context(), service("headless", func(s *corev1.ServiceSpec) { s.ClusterIP = "None" }), metav1.CreateOptions{})
	if err != nil || !slices.Equal(headless.Spec.ClusterIPs, []string{"None"}) {
		t.Errorf("got %v, %v", headless, err)
	}
	dual, err := api.Create(t.Context(), service("dual", func(s *corev1.ServiceSpec) {
		s.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack)
	}), metav1.CreateOptions{})
	if err != nil || len(dual.Spec.ClusterIPs) != 2 || !strings.HasPrefix(dual.Spec.ClusterIPs[1], "fd00:10:96::") {
		t.Errorf("got %v, %v", dual, err)
	}
}

func TestPortsOfSeveralProtocols(t *testing.T) {
	api := servicesOf(t)
	got, err := api.Create(t.Context(), service("s", func(s *corev1.ServiceSpec) {
		nodePort(s)
		s.Ports = []corev1.ServicePort{
			{Name: "tcp", Port: 53, Protocol: corev1.ProtocolTCP},
			{Name: "udp", Port: 53, Protocol: corev1.ProtocolUDP},
			{Name: "other", Port: 54},
		}
	}), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := got.Spec.Ports
	if p[0].NodePort != p[1].NodePort || p[0].NodePort == p[2].NodePort || p[2].NodePort == 0 {
		t.Errorf("got ports %+v", p)
	}
}

// freedom lets a test see which addresses and ports are free. The tests choose
// theirs in the lower bands, which automatic allocation leaves alone.
type freedom struct {
	t   *testing.T
	api typedcorev1.ServiceInterface
}

func newFreedom(t *testing.T) freedom {
	return freedom{t, servicesOf(t)}
}

func (f freedom) take(name, ip string, port int32) (*corev1.Service, error) {
	return f.api.Create(f.t.Context(), service(name, func(s *corev1.ServiceSpec) {
		nodePort(s)
		s.ClusterIP, s.Ports[0].NodePort = ip, port
	}), metav1.CreateOptions{})
}

func (f freedom) expectFree(ip string, port int32) {
	f.t.Helper()
	s, err := f.take("probe", ip, port)
	if err != nil {
		f.t.Errorf("%s:%d is not free: %v", ip, port, err)
		return
	}
	if err := f.api.Delete(f.t.Context(), s.Name, metav1.DeleteOptions{}); err != nil {
		f.t.Error(err)
	}
}

func TestDeleteGivesBack(t *testing.T) {
	f := newFreedom(t)
	if _, err := f.take("s", "10.96.0.2", 30001); err != nil {
		t.Fatal(err)
	}
	if err := f.api.Delete(t.Context(), "s", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.expectFree("10.96.0.2", 30001)
}

func TestRefusedCreatesAndDryRunsTakeNothing(t *testing.T) {
	f := newFreedom(t)
	_, err := f.api.Create(t.Context(), service("s", func(s *corev1.ServiceSpec) {
		nodePort(s)
		s.ClusterIP, s.Ports[0].NodePort, s.Ports[0].Port = "10.96.0.3", 30002, 70000
	}), metav1.CreateOptions{})
	if !apierrors.IsInvalid(err) {
		t.Errorf("an invalid port: %v", err)
	}
	f.expectFree("10.96.0.3", 30002)
	_, err = f.api.Create(t.Context(), service("s", func(s *corev1.ServiceSpec) {
		nodePort(s)
		s.ClusterIP, s.Ports[0].NodePort = "10.96.0.3", 30002
	}), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		t.Errorf("a dry run: %v", err)
	}
	f.expectFree("10.96.0.3", 30002)
}

func TestChangesOfTypeGiveBack(t *testing.T) {
	f := newFreedom(t)
	s, err := f.take("s", "10.96.0.4", 30003)
	if err != nil {
		t.Fatal(err)
	}
	patch := func(body string) *corev1.Service {
		t.Helper()
		got, err := f.api.Patch(t.Context(), s.Name, types.MergePatchType, []byte(body), metav1.PatchOptions{})
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		return got
	}
	if got := patch(`{"spec":{"type":"ClusterIP"}}`); got.Spec.Ports[0].NodePort != 0 || got.Spec.ClusterIP != "10.96.0.4" {
		t.Errorf("got %+v", got.Spec)
	}
	f.expectFree("10.96.0.5", 30003)
	if got := patch(`{"spec":{"type":"ExternalName","externalName":"a.b"}}`); got.Spec.ClusterIP != "" {
		t.Errorf("got %+v", got.Spec)
	}
	f.expectFree("10.96.0.4", 30003)
	if got := patch(`{"spec":{"type":"NodePort","externalName":null}}`); got.Spec.ClusterIP == "" || got.Spec.Ports[0].NodePort == 0 {
		t.Errorf("got %+v", got.Spec)
	}
}

func TestUpdates(t *testing.T) {
	api := servicesOf(t)
	created, err := api.Create(t.Context(), service("s", nodePort), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// A manifest without addresses, as kubectl replace sends it.
	replaced := service("s", nodePort)
	replaced.Labels = map[string]string{"a": "b"}
	replaced.ResourceVersion = created.ResourceVersion
	got, err := api.Update(t.Context(), replaced, metav1.UpdateOptions{})
	if err != nil || got.Spec.ClusterIP != created.Spec.ClusterIP || got.Spec.Ports[0].NodePort != created.Spec.Ports[0].NodePort {
		t.Errorf("a replace: %+v, %v", got.Spec, err)
	}
	moved := got.DeepCopy()
	moved.Spec.ClusterIP, moved.Spec.ClusterIPs = "10.96.0.12", []string{"10.96.0.12"}
	if _, err := api.Update(t.Context(), moved, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "field is immutable") && !strings.Contains(err.Error(), "may not change once set") {
		t.Errorf("another address: %v", err)
	}
	if _, err := api.Create(t.Context(), service("t", func(s *corev1.ServiceSpec) { s.ClusterIP = "10.96.0.12" }), metav1.CreateOptions{}); err != nil {
		t.Errorf("the refused address stays taken: %v", err)
	}
	dual := got.DeepCopy()
	dual.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyPreferDualStack)
	if got, err = api.Update(t.Context(), dual, metav1.UpdateOptions{}); err != nil || len(got.Spec.ClusterIPs) != 2 || got.Spec.ClusterIP != created.Spec.ClusterIP {
		t.Fatalf("an upgrade: %+v, %v", got.Spec, err)
	}
	single := got.DeepCopy()
	single.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicySingleStack)
	if got, err = api.Update(t.Context(), single, metav1.UpdateOptions{}); err != nil || len(got.Spec.ClusterIPs) != 1 {
		t.Errorf("a downgrade: %+v, %v", got.Spec, err)
	}
}

func TestConcurrentCreatesNeverShare(t *testing.T) {
	api := servicesOf(t)
	const workers, each = 8, 5
	var wg sync.WaitGroup
	made := make(chan *corev1.Service, workers*each)
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				s, err := api.Create(t.Context(), service(fmt.Sprintf("s%d-%d", w, i), nil), metav1.CreateOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				made <- s
			}
		})
	}
	wg.Wait()
	close(made)
	seen := map[string]string{}
	for s := range made {
		if other, ok := seen[s.Spec.ClusterIP]; ok {
			t.Errorf("%s and %s share %s", s.Name, other, s.Spec.ClusterIP)
		}
		seen[s.Spec.ClusterIP] = s.Name
	}
}

func TestFullPortRange(t *testing.T) {
	api := servicesOf(t)
	var err error
	for i := range 41 {
		if _, err = api.Create(t.Context(), service(fmt.Sprintf("s%d", i), nodePort), metav1.CreateOptions{}); err != nil {
			break
		}
	}
	if !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "range is full") {
		t.Errorf("got %v", err)
	}
}
