package conntrack

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/skiff-project/skiff/proxy/model"
)

func port(protocol corev1.Protocol, change func(*model.Port)) *model.Port {
	p := &model.Port{Service: model.Service{
		Name:      model.PortName{NamespacedName: types.NamespacedName{Namespace: "kube-system", Name: "dns"}, Protocol: protocol},
		ClusterIP: netip.MustParseAddr("10.96.0.10"), Port: 53,
	}, Cluster: []model.Endpoint{{Addr: netip.MustParseAddrPort("10.244.0.2:53")}}}
	if change != nil {
		change(p)
	}
	return p
}

func TestStale(t *testing.T) {
	outside := func(p *model.Port) {
		p.NodePort, p.ExternalIPs, p.LoadBalancerIPs = 30053, []netip.Addr{netip.MustParseAddr("203.0.113.9")}, []netip.Addr{netip.MustParseAddr("203.0.113.5")}
	}
	expected := Expect(map[model.PortName]*model.Port{
		{Port: "udp", Protocol: corev1.ProtocolUDP}: port(corev1.ProtocolUDP, outside),
		{Port: "tcp", Protocol: corev1.ProtocolTCP}: port(corev1.ProtocolTCP, func(p *model.Port) { p.Port = 9153 }),
	})
	// How the port was before: one more external address, another node port.
	expected.Gone(port(corev1.ProtocolUDP, func(p *model.Port) {
		outside(p)
		p.NodePort, p.ExternalIPs = 30054, append(p.ExternalIPs, netip.MustParseAddr("203.0.113.10"))
	}))
	local := func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.10") }
	tests := []struct {
		name        string
		dest, reply string
		stale       bool
	}{
		{"living endpoint", "10.96.0.10:53", "10.244.0.2:53", false},
		{"dead endpoint", "10.96.0.10:53", "10.244.0.3:53", true},
		{"other port of the endpoint", "10.96.0.10:53", "10.244.0.2:54", true},
		{"never translated", "10.96.0.10:53", "10.96.0.10:53", true},
		{"other port of the cluster IP", "10.96.0.10:54", "10.244.0.3:54", false},
		{"TCP port's number", "10.96.0.10:9153", "10.244.0.3:9153", false},
		{"external IP", "203.0.113.9:53", "10.244.0.3:53", true},
		{"load balancer", "203.0.113.5:53", "10.244.0.2:53", false},
		{"external IP that was removed", "203.0.113.10:53", "10.244.0.2:53", true},
		{"node port", "192.0.2.10:30053", "10.244.0.3:53", true},
		{"node port, living", "192.0.2.10:30053", "10.244.0.2:53", false},
		{"node port that was changed", "192.0.2.10:30054", "10.244.0.2:53", true},
		{"same port elsewhere", "198.51.100.1:30053", "198.51.100.1:30053", false},
		{"straight to a pod", "10.244.0.3:53", "10.244.0.3:53", false},
	}
	for _, test := range tests {
		flow := Flow{Dest: netip.MustParseAddrPort(test.dest), Reply: netip.MustParseAddrPort(test.reply)}
		if got := expected.Stale(flow, local); got != test.stale {
			t.Errorf("%s: stale is %v", test.name, got)
		}
	}
}
