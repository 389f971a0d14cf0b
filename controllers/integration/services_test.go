package integration

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/controllers/testkit"
	"github.com/skiff-project/skiff/e2e/testenv"
)

// node registers a ready node for the length of the test.
func node(t *testing.T, env *testenv.Env, name string) *corev1.Node {
	t.Helper()
	n, err := env.Client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = env.Client.CoreV1().Nodes().Delete(context.Background(), name, metav1.DeleteOptions{})
	})
	ready := []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
	}}
	testkit.Eventually(t, func(ctx context.Context) error {
		fresh, err := env.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		fresh.Status.Conditions = ready
		n, err = env.Client.CoreV1().Nodes().UpdateStatus(ctx, fresh, metav1.UpdateOptions{})
		return err
	})
	return n
}

func podOn(t *testing.T, env *testenv.Env, ns, name, nodeName string, labels map[string]string) *corev1.Pod {
	t.Helper()
	template := testkit.PodTemplate(labels)
	template.Spec.NodeName = nodeName
	template.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
	pod, err := env.Client.CoreV1().Pods(ns).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Spec: template.Spec,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func TestServiceEndpointsFollowPods(t *testing.T) {
	env := start(t)
	ns := env.Namespace(t)
	node(t, env, "endpoints-node")
	testkit.Agent(t, env.Client, ns, func(pod *corev1.Pod) bool { return pod.Name == "sick" })
	_, err := env.Client.CoreV1().Services(ns).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: map[string]string{"tier": "front"}},
		Spec: corev1.ServiceSpec{
			Selector: app,
			Ports:    []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two", "sick"} {
		podOn(t, env, ns, name, "endpoints-node", app)
	}
	wantEndpoints(t, env, ns, 2, 1)

	// An ended pod and one with other labels are none of the service's.
	if err := env.Client.CoreV1().Pods(ns).Delete(t.Context(), "one", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		t.Fatal(err)
	}
	wantEndpoints(t, env, ns, 1, 1)

	if err := env.Client.CoreV1().Services(ns).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func(ctx context.Context) error {
		slices, err := env.Client.DiscoveryV1().EndpointSlices(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		endpoints, err := env.Client.CoreV1().Endpoints(ns).List(ctx, metav1.ListOptions{})
		if err == nil && len(slices.Items)+len(endpoints.Items) > 0 {
			err = fmt.Errorf("%d slices and %d endpoints are left", len(slices.Items), len(endpoints.Items))
		}
		return err
	})
}

func wantEndpoints(t *testing.T, env *testenv.Env, ns string, ready, notReady int) {
	t.Helper()
	testkit.Eventually(t, func(ctx context.Context) error {
		endpoints, err := env.Client.CoreV1().Endpoints(ns).Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if len(endpoints.Subsets) != 1 || len(endpoints.Subsets[0].Addresses) != ready || len(endpoints.Subsets[0].NotReadyAddresses) != notReady ||
			endpoints.Subsets[0].Ports[0].Port != 8080 || endpoints.Subsets[0].Ports[0].Name != "http" || endpoints.Labels["tier"] != "front" {
			return fmt.Errorf("endpoints %+v", endpoints)
		}
		list, err := env.Client.DiscoveryV1().EndpointSlices(ns).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=web"})
		if err != nil {
			return err
		}
		up, down := 0, 0
		for _, slice := range list.Items {
			for _, e := range slice.Endpoints {
				if ptr.Deref(e.Conditions.Ready, false) {
					up++
				} else {
					down++
				}
				if ptr.Deref(e.NodeName, "") != "endpoints-node" || e.TargetRef == nil {
					return fmt.Errorf("endpoint %+v", e)
				}
			}
		}
		if up != ready || down != notReady {
			return fmt.Errorf("slices: %d ready, %d not", up, down)
		}
		return nil
	})
}

// Endpoints of a service without selector are the user's; slices mirror them.
func TestCustomEndpointsAreMirrored(t *testing.T) {
	env := start(t)
	ns, ctx := env.Namespace(t), t.Context()
	ports := []corev1.ServicePort{{Name: "sql", Protocol: corev1.ProtocolTCP, Port: 5432}}
	if _, err := env.Client.CoreV1().Services(ns).Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "db"}, Spec: corev1.ServiceSpec{Ports: ports}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	write := func(ips ...string) {
		t.Helper()
		var addresses []corev1.EndpointAddress
		for _, ip := range ips {
			addresses = append(addresses, corev1.EndpointAddress{IP: ip})
		}
		wanted := &corev1.Endpoints{ //nolint:staticcheck // the deprecated API is the point
			ObjectMeta: metav1.ObjectMeta{Name: "db"},
			Subsets:    []corev1.EndpointSubset{{Addresses: addresses, Ports: []corev1.EndpointPort{{Name: "sql", Port: 5432, Protocol: corev1.ProtocolTCP}}}},
		}
		_, err := env.Client.CoreV1().Endpoints(ns).Create(ctx, wanted, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			_, err = env.Client.CoreV1().Endpoints(ns).Update(ctx, wanted, metav1.UpdateOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(n int) {
		t.Helper()
		testkit.Eventually(t, func(ctx context.Context) error {
			list, err := env.Client.DiscoveryV1().EndpointSlices(ns).List(ctx, metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=db"})
			if err != nil {
				return err
			}
			got := 0
			for _, slice := range list.Items {
				got += len(slice.Endpoints)
			}
			if got != n {
				return fmt.Errorf("%d mirrored endpoints, want %d", got, n)
			}
			return nil
		})
	}
	write("192.0.2.1")
	want(1)
	write("192.0.2.1", "192.0.2.2")
	want(2)
	if err := env.Client.CoreV1().Services(ns).Delete(ctx, "db", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	want(0)
}
