package proxy

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/e2e/testenv"
	"github.com/skiff-project/skiff/e2e/testnet"
)

func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }

var counters = regexp.MustCompile(`\[\d+:\d+\]|(?m)^#.*\n`)

// TestRun: from objects in a real API server to packets in a real kernel.
func TestRun(t *testing.T) {
	testnet.Require(t, "iptables")
	env := testenv.Start(t)
	node := testnet.CurrentNode(t)
	node.Run(t, "iptables", "-P", "FORWARD", "DROP")
	node.Run(t, "iptables", "-A", "FORWARD", "-i", "br0", "-j", "ACCEPT")
	node.Run(t, "iptables", "-t", "nat", "-A", "POSTROUTING", "-s", "172.17.0.0/16", "-j", "MASQUERADE")
	before := counters.ReplaceAllString(node.Run(t, "iptables-save"), "")

	pod, client := node.Pod(t), node.Pod(t)
	pod.Serve(t, "tcp", ":8080", "pod")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	healthz := free.Addr().String()
	free.Close()
	// The API server's own range: the test must not collide with its Service "kubernetes".
	kubernetes, err := env.Client.CoreV1().Services("default").Get(t.Context(), "kubernetes", metav1.GetOptions{})
	cidr := "10.96.0.0/12"
	if err == nil {
		addr := netip.MustParseAddr(kubernetes.Spec.ClusterIP)
		cidr = netip.PrefixFrom(addr, 16).Masked().String()
	}
	p, err := New(Config{
		RESTConfig: env.ConfigFor("system:kube-proxy"), NodeName: "node-a", NodeIPs: []netip.Addr{netip.MustParseAddr(testnet.NodeIP)},
		ClusterCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}, ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix(cidr)},
		HealthzBindAddress: healthz,
	})
	if err != nil {
		t.Fatal(err)
	}
	logger, ctx := ktesting.NewTestContext(t)
	ctx, cancel := context.WithCancel(klog.NewContext(ctx, logger))
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	eventually(t, "the proxy is healthy", func() bool {
		response, err := http.Get("http://" + healthz + "/healthz")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})

	svc, err := env.Client.CoreV1().Services("default").Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	clusterIP := net.JoinHostPort(svc.Spec.ClusterIP, "80")
	nodePort := net.JoinHostPort(testnet.NodeIP, fmt.Sprint(svc.Spec.Ports[0].NodePort))
	eventually(t, "the Service without endpoints refuses", func() bool {
		_, err := node.World.Ask("tcp", nodePort, 0)
		_, clientErr := client.Ask("tcp", clusterIP, 0)
		return testnet.Refused(err) && testnet.Refused(clientErr)
	})
	slices := env.Client.DiscoveryV1().EndpointSlices("default")
	slice, err := slices.Create(ctx, &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To(""), Port: ptr.To[int32](8080), Protocol: ptr.To(corev1.ProtocolTCP)}},
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{pod.IP}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	eventually(t, "the pod answers for the Service", func() bool {
		answer, err := client.Ask("tcp", clusterIP, 0)
		return err == nil && answer.Name == "pod" && answer.From == client.IP
	})
	t.Logf("endpoint to first connection: %s", time.Since(start))
	if answer, err := node.World.Ask("tcp", nodePort, 0); err != nil || answer.Name != "pod" {
		t.Errorf("node port: %+v, %v", answer, err)
	}
	// The host itself, through the process's own sockets.
	conn, err := net.DialTimeout("tcp", clusterIP, 2*time.Second)
	if err != nil {
		t.Errorf("from the node: %v", err)
	} else {
		conn.Close()
	}
	slice.Endpoints[0].Conditions.Ready = ptr.To(false)
	if _, err := slices.Update(ctx, slice, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an unready pod gets nothing", func() bool {
		_, err := client.Ask("tcp", clusterIP, 0)
		return testnet.Refused(err)
	})
	if err := env.Client.CoreV1().Services("default").Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	done <- nil
	if err := Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := counters.ReplaceAllString(node.Run(t, "iptables-save"), ""); after != before {
		t.Errorf("after Cleanup:\n%s\nbefore:\n%s", after, before)
	}
}
