package service

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestWhatTypesNeed(t *testing.T) {
	no := false
	tests := []struct {
		name                                     string
		spec                                     corev1.ServiceSpec
		clusterIP, nodePort, healthCheck, access bool
	}{
		{"cluster IP", corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP}, true, false, false, false},
		{"external IPs", corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, ExternalIPs: []string{"1.2.3.4"}}, true, false, false, true},
		{"node port", corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, ExternalTrafficPolicy: "Local"}, true, true, false, true},
		{"load balancer", corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: "Local"}, true, true, true, true},
		{"without node ports", corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, AllocateLoadBalancerNodePorts: &no}, true, false, false, true},
		{"external name", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName}, false, false, false, false},
	}
	for _, test := range tests {
		s := &corev1.Service{Spec: test.spec}
		got := []bool{NeedsClusterIP(s), NeedsNodePort(s), NeedsHealthCheckNodePort(s), ExternallyAccessible(s)}
		want := []bool{test.clusterIP, test.nodePort, test.healthCheck, test.access}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", test.name, got, want)
		}
	}
}

func TestClusterIPs(t *testing.T) {
	tests := []struct {
		spec corev1.ServiceSpec
		want string
		has  bool
	}{
		{corev1.ServiceSpec{ClusterIP: "10.96.0.1"}, "[10.96.0.1]", true},
		{corev1.ServiceSpec{ClusterIP: "10.96.0.1", ClusterIPs: []string{"10.96.0.1", "fd00::1"}}, "[10.96.0.1 fd00::1]", true},
		{corev1.ServiceSpec{ClusterIP: "010.096.0.1"}, "[10.96.0.1]", true},
		{corev1.ServiceSpec{ClusterIP: "None"}, "[]", false},
		{corev1.ServiceSpec{}, "[]", false},
	}
	for _, test := range tests {
		s := &corev1.Service{Spec: test.spec}
		if got := fmt.Sprint(ClusterIPs(s)); got != test.want || HasClusterIP(s) != test.has {
			t.Errorf("%q: %s, %t", test.spec.ClusterIP, got, HasClusterIP(s))
		}
	}
}

func TestStickyTimeout(t *testing.T) {
	seconds := int32(5)
	for want, spec := range map[time.Duration]corev1.ServiceSpec{
		0:               {},
		3 * time.Hour:   {SessionAffinity: corev1.ServiceAffinityClientIP},
		5 * time.Second: {SessionAffinity: corev1.ServiceAffinityClientIP, SessionAffinityConfig: &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: &seconds}}},
	} {
		if got := StickyTimeout(&corev1.Service{Spec: spec}); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestPolicies(t *testing.T) {
	local := corev1.ServiceInternalTrafficPolicyLocal
	s := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, ExternalTrafficPolicy: "Local", InternalTrafficPolicy: &local, PublishNotReadyAddresses: true}}
	if !ExternalPolicyLocal(s) || !InternalPolicyLocal(s) || !PublishesNotReady(s) || IsHeadless(s) {
		t.Errorf("%+v", s.Spec)
	}
	s.Spec.Type = corev1.ServiceTypeClusterIP
	if ExternalPolicyLocal(s) {
		t.Error("a policy for outside traffic applies to a service without any")
	}
}
