package model

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func service(change ...func(*corev1.Service)) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, ClusterIP: "10.96.0.5", ClusterIPs: []string{"10.96.0.5", "fd00:96::5"},
			Ports: []corev1.ServicePort{{Name: "http", Port: 80}},
		},
	}
	for _, c := range change {
		c(svc)
	}
	return svc
}

func TestServicePorts(t *testing.T) {
	tests := []struct {
		name   string
		family corev1.IPFamily
		change func(*corev1.Service)
		want   string
	}{
		{"plain", corev1.IPv4Protocol, nil, "default/web:http TCP 10.96.0.5:80"},
		{"other family", corev1.IPv6Protocol, nil, "default/web:http TCP [fd00:96::5]:80"},
		{"family it has not", corev1.IPv6Protocol, func(s *corev1.Service) { s.Spec.ClusterIPs = []string{"10.96.0.5"} }, ""},
		{"single-stack client", corev1.IPv4Protocol, func(s *corev1.Service) { s.Spec.ClusterIPs = nil }, "default/web:http TCP 10.96.0.5:80"},
		{"headless", corev1.IPv4Protocol, func(s *corev1.Service) {
			s.Spec.ClusterIP, s.Spec.ClusterIPs = corev1.ClusterIPNone, []string{corev1.ClusterIPNone}
		}, ""},
		{"not allocated yet", corev1.IPv4Protocol, func(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "", nil }, ""},
		{"external name", corev1.IPv4Protocol, func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeExternalName }, ""},
		{"nameless port", corev1.IPv4Protocol, func(s *corev1.Service) { s.Spec.Ports = []corev1.ServicePort{{Port: 53, Protocol: corev1.ProtocolUDP}} },
			"default/web UDP 10.96.0.5:53"},
		{"leading zeros", corev1.IPv4Protocol, func(s *corev1.Service) { s.Spec.ClusterIPs = []string{"010.096.0.05"} }, "default/web:http TCP 10.96.0.5:80"},
		{"affinity", corev1.IPv4Protocol, func(s *corev1.Service) { s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP },
			"default/web:http TCP 10.96.0.5:80 affinity=10800"},
		{"everything", corev1.IPv4Protocol, func(s *corev1.Service) {
			s.Spec.Type = corev1.ServiceTypeLoadBalancer
			s.Spec.Ports[0].NodePort = 30080
			s.Spec.ExternalIPs = []string{"203.0.113.9", "2001:db8::9"}
			s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
			s.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
			s.Spec.HealthCheckNodePort = 31000
			s.Spec.LoadBalancerSourceRanges = []string{" 198.51.100.0/24", "2001:db8::/32", "nonsense"}
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{
				{IP: "203.0.113.5"}, {Hostname: "example.org"}, {IP: "2001:db8::5"},
				{IP: "203.0.113.6", IPMode: ptr.To(corev1.LoadBalancerIPModeProxy)},
				{IP: "203.0.113.7", IPMode: ptr.To(corev1.LoadBalancerIPModeVIP)},
			}
		}, "default/web:http TCP 10.96.0.5:80 node=30080 external=[203.0.113.9] lb=[203.0.113.5 203.0.113.7] from=[198.51.100.0/24] internalLocal externalLocal health=31000"},
		{"everybody", corev1.IPv4Protocol, func(s *corev1.Service) {
			s.Spec.LoadBalancerSourceRanges = []string{"198.51.100.0/24", "0.0.0.0/0"}
		}, "default/web:http TCP 10.96.0.5:80"},
		{"ranges by annotation", corev1.IPv4Protocol, func(s *corev1.Service) {
			s.Annotations = map[string]string{corev1.AnnotationLoadBalancerSourceRangesKey: "198.51.100.0/24, 198.51.101.0/24"}
		}, "default/web:http TCP 10.96.0.5:80 from=[198.51.100.0/24 198.51.101.0/24]"},
		{"policies without an outside", corev1.IPv4Protocol, func(s *corev1.Service) {
			s.Spec.ExternalTrafficPolicy, s.Spec.HealthCheckNodePort = corev1.ServiceExternalTrafficPolicyLocal, 31000
		}, "default/web:http TCP 10.96.0.5:80"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			change := test.change
			if change == nil {
				change = func(*corev1.Service) {}
			}
			var got []string
			for _, s := range ServicePorts(service(change), test.family) {
				got = append(got, describe(s))
			}
			if strings.Join(got, "; ") != test.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, "; "), test.want)
			}
		})
	}
}

func describe(s Service) string {
	var b strings.Builder
	host := s.ClusterIP.String()
	if s.ClusterIP.Is6() {
		host = "[" + host + "]"
	}
	fmt.Fprintf(&b, "%s %s %s:%d", s.Name, s.Name.Protocol, host, s.Port)
	for _, part := range []struct {
		there bool
		text  string
	}{
		{s.NodePort != 0, fmt.Sprint("node=", s.NodePort)},
		{len(s.ExternalIPs) > 0, fmt.Sprint("external=", s.ExternalIPs)},
		{len(s.LoadBalancerIPs) > 0, fmt.Sprint("lb=", s.LoadBalancerIPs)},
		{len(s.SourceRanges) > 0, fmt.Sprint("from=", s.SourceRanges)},
		{s.AffinitySeconds > 0, fmt.Sprint("affinity=", s.AffinitySeconds)},
		{s.InternalLocal, "internalLocal"}, {s.ExternalLocal, "externalLocal"},
		{s.HealthCheckNodePort != 0, fmt.Sprint("health=", s.HealthCheckNodePort)},
	} {
		if part.there {
			b.WriteString(" " + part.text)
		}
	}
	return b.String()
}

// slice writes an EndpointSlice from words like "10.244.0.1@node-a:ready,zone=z1":
// conditions are those named; without any, the endpoint has none.
func slice(name string, words ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](8080)}, {Name: ptr.To("nowhere")}},
	}
	for _, w := range words {
		place, conditions, _ := strings.Cut(w, ":")
		addr, node, _ := strings.Cut(place, "@")
		e := discoveryv1.Endpoint{Addresses: []string{addr}}
		if node != "" {
			e.NodeName = &node
		}
		hints := &discoveryv1.EndpointHints{}
		if conditions != "" {
			e.Conditions = discoveryv1.EndpointConditions{Ready: ptr.To(false), Serving: ptr.To(false), Terminating: ptr.To(false)}
		}
		for _, c := range strings.Split(conditions, ",") {
			key, value, _ := strings.Cut(c, "=")
			switch key {
			case "ready":
				e.Conditions.Ready, e.Conditions.Serving = ptr.To(true), ptr.To(true)
			case "serving":
				e.Conditions.Serving = ptr.To(true)
			case "terminating":
				e.Conditions.Terminating = ptr.To(true)
			case "zone":
				hints.ForZones = append(hints.ForZones, discoveryv1.ForZone{Name: value})
			case "node":
				hints.ForNodes = append(hints.ForNodes, discoveryv1.ForNode{Name: value})
			}
		}
		if len(hints.ForZones)+len(hints.ForNodes) > 0 {
			e.Hints = hints
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	return s
}

func list(endpoints []Endpoint) string {
	var out []string
	for _, e := range endpoints {
		out = append(out, strings.TrimSuffix(e.Addr.String(), ":8080"))
	}
	return strings.Join(out, " ")
}

// TestEndpoints: which endpoints traffic goes to. Conformance: "EndpointSlice
// should support ... publishNotReadyAddresses"; KEP-1669 for terminating ones.
func TestEndpoints(t *testing.T) {
	local := func(s *corev1.Service) {
		s.Spec.Type, s.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, 30080
		s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	}
	inside := func(s *corev1.Service) {
		s.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
	}
	tests := []struct {
		name      string
		service   func(*corev1.Service)
		endpoints []string
		cluster   string
		local     string
		any       bool
	}{
		{"no conditions mean ready", nil, []string{"10.0.0.1@node-b"}, "10.0.0.1", "", true},
		{"only ready ones", nil, []string{"10.0.0.2@node-b:ready", "10.0.0.1@node-b:serving", "10.0.0.3@node-b:serving,terminating"}, "10.0.0.2", "", true},
		{"terminating ones if none is ready", nil, []string{"10.0.0.1@node-b:serving,terminating", "10.0.0.2@node-b:terminating"}, "10.0.0.1", "", true},
		{"unready ones never", nil, []string{"10.0.0.1@node-b:serving", "10.0.0.2@node-b:x"}, "", "", false},
		{"external local", local, []string{"10.0.0.1@node-a", "10.0.0.2@node-b"}, "10.0.0.1 10.0.0.2", "10.0.0.1", true},
		{"external local falls back to terminating", local, []string{"10.0.0.1@node-a:serving,terminating", "10.0.0.2@node-b"}, "10.0.0.2", "10.0.0.1", true},
		{"external local, none here", local, []string{"10.0.0.2@node-b"}, "10.0.0.2", "", true},
		{"internal local", inside, []string{"10.0.0.1@node-a", "10.0.0.2@node-b"}, "", "10.0.0.1", true},
		{"zone hints", nil, []string{"10.0.0.1:ready,zone=z1", "10.0.0.2:ready,zone=z2"}, "10.0.0.1", "", true},
		{"zone hints not for here", nil, []string{"10.0.0.1:ready,zone=z3", "10.0.0.2:ready,zone=z2"}, "10.0.0.1 10.0.0.2", "", true},
		{"zone hints with a gap", nil, []string{"10.0.0.1:ready,zone=z1", "10.0.0.2:ready"}, "10.0.0.1 10.0.0.2", "", true},
		{"hints of unready ones do not count", nil, []string{"10.0.0.1:ready,zone=z1", "10.0.0.2:x"}, "10.0.0.1", "", true},
		{"node hints come first", nil, []string{"10.0.0.1:ready,zone=z1,node=node-a", "10.0.0.2:ready,zone=z1,node=node-b"}, "10.0.0.1", "", true},
		{"node hints elsewhere, zone here", nil, []string{"10.0.0.1:ready,zone=z2,node=node-c", "10.0.0.2:ready,zone=z1,node=node-b"}, "10.0.0.2", "", true},
		{"doubled address", nil, []string{"10.0.0.1@node-b:x", "10.0.0.1@node-b:ready"}, "10.0.0.1", "", true},
		{"no address at all", nil, []string{"nonsense", "fd00::1"}, "", "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tracker := NewTracker(corev1.IPv4Protocol, "node-a")
			tracker.SetZone("z1")
			change := test.service
			if change == nil {
				change = func(*corev1.Service) {}
			}
			tracker.SetSlice(slice("web-1", test.endpoints...)) // before its Service
			tracker.SetService(service(change))
			for name, change := range tracker.Sync() {
				p := change.New
				if list(p.Cluster) != test.cluster || list(p.Local) != test.local || p.Any != test.any {
					t.Errorf("%s: cluster %q local %q any %v; want %q %q %v", name, list(p.Cluster), list(p.Local), p.Any, test.cluster, test.local, test.any)
				}
			}
		})
	}
}

// TestTracker: changes come out once, and only where something is different.
func TestTracker(t *testing.T) {
	tracker := NewTracker(corev1.IPv4Protocol, "node-a")
	name := PortName{types.NamespacedName{Namespace: "default", Name: "web"}, "http", corev1.ProtocolTCP}
	other := service(func(s *corev1.Service) { s.Name = "other" })
	steps := []struct {
		name    string
		do      func() bool
		matters bool
		changes int
		cluster string // of the port "web"; "gone" if there is none
	}{
		{"slice before its service", func() bool { return tracker.SetSlice(slice("web-1", "10.0.0.1")) }, true, 0, "gone"},
		{"service", func() bool { return tracker.SetService(service()) }, true, 1, "10.0.0.1"},
		{"same again", func() bool { return tracker.SetService(service()) }, false, 0, "10.0.0.1"},
		{"only metadata", func() bool {
			return tracker.SetService(service(func(s *corev1.Service) { s.Annotations = map[string]string{"a": "b"} }))
		}, false, 0, "10.0.0.1"},
		{"another service", func() bool { return tracker.SetService(other) }, true, 1, "10.0.0.1"},
		{"second slice", func() bool { return tracker.SetSlice(slice("web-2", "10.0.0.2")) }, true, 1, "10.0.0.1 10.0.0.2"},
		{"same slice", func() bool { return tracker.SetSlice(slice("web-2", "10.0.0.2")) }, false, 0, "10.0.0.1 10.0.0.2"},
		{"address moves: in both slices", func() bool { return tracker.SetSlice(slice("web-2", "10.0.0.2", "10.0.0.1:x")) }, true, 0, "10.0.0.1 10.0.0.2"},
		{"address moves: only in the new one", func() bool { return tracker.SetSlice(slice("web-1")) }, true, 1, "10.0.0.2"},
		{"slice of the other family", func() bool {
			s := slice("web-6", "10.0.0.9")
			s.AddressType = discoveryv1.AddressTypeIPv6
			return tracker.SetSlice(s)
		}, false, 0, "10.0.0.2"},
		{"slice without service", func() bool {
			s := slice("x", "10.0.0.9")
			s.Labels = nil
			return tracker.SetSlice(s)
		}, false, 0, "10.0.0.2"},
		{"zone without hints", func() bool { return tracker.SetZone("z1") }, true, 0, "10.0.0.2"},
		{"becomes headless", func() bool {
			return tracker.SetService(service(func(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "None", nil }))
		}, true, 1, "gone"},
		{"comes back", func() bool { return tracker.SetService(service()) }, true, 1, "10.0.0.2"},
		{"last slice deleted", func() bool { return tracker.DeleteSlice(slice("web-2")) }, true, 1, ""},
		{"deleted twice", func() bool { return tracker.DeleteSlice(slice("web-2")) }, false, 0, ""},
		{"service deleted", func() bool { return tracker.DeleteService(name.NamespacedName) }, true, 1, "gone"},
		{"and again", func() bool { return tracker.DeleteService(name.NamespacedName) }, false, 0, "gone"},
	}
	for _, step := range steps {
		if matters := step.do(); matters != step.matters {
			t.Errorf("%s: matters is %v", step.name, matters)
		}
		if changes := tracker.Sync(); len(changes) != step.changes {
			t.Errorf("%s: %d changes, want %d: %v", step.name, len(changes), step.changes, changes)
		}
		got := "gone"
		if p := tracker.Ports()[name]; p != nil {
			got = list(p.Cluster)
		}
		if got != step.cluster {
			t.Errorf("%s: endpoints %q, want %q", step.name, got, step.cluster)
		}
	}
}

func FuzzParseAddr(f *testing.F) {
	for _, s := range []string{"10.0.0.1", "010.0.0.1", "::ffff:10.0.0.1", "fd00::1", "fe80::1%eth0", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		addr, ok := ParseAddr(s)
		if ok != addr.IsValid() || ok && (addr.Is4In6() || OfFamily(addr, corev1.IPv4Protocol) == OfFamily(addr, corev1.IPv6Protocol)) {
			t.Errorf("ParseAddr(%q) = %v, %v", s, addr, ok)
		}
	})
}
