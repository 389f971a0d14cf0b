package core

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func serviceManifest(spec string) string {
	return "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: default}\nspec:\n  " +
		strings.ReplaceAll(strings.Trim(spec, "\n"), "\n", "\n  ")
}

func newService(t *testing.T, spec string) *corev1.Service {
	t.Helper()
	s := decode[corev1.Service](t, serviceManifest(spec))
	prepareServiceForCreate(context.Background(), s)
	return s
}

func TestServiceValidation(t *testing.T) {
	tests := []struct {
		name, spec string
		want       []string
	}{
		{"minimal", "ports: [{port: 80}]", nil},
		{"no ports", "selector: {a: b}", []string{"spec.ports: Required value"}},
		{"headless without ports", "clusterIP: None", nil},
		{"type", "type: Magic\nports: [{port: 80}]", []string{
			`spec.type: Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"`}},
		{"ports", "ports: [{port: 99999}, {name: A_, port: 80, protocol: ICMP, targetPort: no name}, {name: c, port: 81}, {name: c, port: 81}]", []string{
			"spec.ports[0].name: Required value",
			"spec.ports[0].port: Invalid value: 99999: must be between 1 and 65535, inclusive",
			"spec.ports[0].targetPort: Invalid value: 99999: must be between 1 and 65535, inclusive",
			`spec.ports[1].name: Invalid value: "A_": a lowercase RFC 1123 label`,
			`spec.ports[1].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"`,
			`spec.ports[1].targetPort: Invalid value: "no name": must contain only alpha-numeric characters`,
			`spec.ports[3].name: Duplicate value: "c"`,
			`spec.ports[3]: Duplicate value: {"protocol":"TCP","port":81,"targetPort":0}`}},
		{"node port of a cluster IP", "ports: [{port: 80, nodePort: 30000}]", []string{
			"spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"}},
		{"node port twice", "type: NodePort\nports: [{name: a, port: 80, nodePort: 30000}, {name: b, port: 81, nodePort: 30000}]", []string{
			"spec.ports[1].nodePort: Duplicate value: 30000"}},
		{"headless node port", "type: NodePort\nclusterIP: None\nports: [{port: 80}]", []string{
			`spec.clusterIPs[0]: Invalid value: "None": may not be set to 'None' for NodePort services`}},
		{"kubelet's port", "type: LoadBalancer\nports: [{port: 10250}]", []string{
			"spec.ports[0].port: Invalid value: 10250: may not expose port 10250 externally since it is used by kubelet"}},
		{"affinity", "sessionAffinity: Cookie\nports: [{port: 80}]", []string{
			`spec.sessionAffinity: Unsupported value: "Cookie": supported values: "ClientIP", "None"`}},
		{"affinity too long", "sessionAffinity: ClientIP\nsessionAffinityConfig: {clientIP: {timeoutSeconds: 86401}}\nports: [{port: 80}]", []string{
			"spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and less than 86400"}},
		{"external name", "type: ExternalName\nclusterIP: 10.0.0.1", []string{
			"spec.clusterIPs: Forbidden: may not be set for ExternalName services", "spec.externalName: Required value"}},
		{"cluster IPs", "clusterIP: 10.0.0.1\nclusterIPs: [10.0.0.2, x]\nports: [{port: 80}]", []string{
			`spec.clusterIPs: Invalid value: ["10.0.0.2","x"]: first value must match ` + "`clusterIP`",
			`spec.clusterIPs[1]: Invalid value: "x": must be a valid IP address`}},
		{"one family", "clusterIPs: [10.0.0.1, 10.0.0.2]\nclusterIP: 10.0.0.1\nports: [{port: 80}]", []string{
			`spec.clusterIPs: Invalid value: ["10.0.0.1","10.0.0.2"]: may specify no more than one IP for each IP family`}},
		{"wrong family", "clusterIP: 10.0.0.1\nipFamilies: [IPv6]\nports: [{port: 80}]", []string{
			"spec.clusterIPs[0]: Invalid value: \"10.0.0.1\": expected an IPv6 value as indicated by `ipFamilies[0]`"}},
		{"external IP", "externalIPs: [127.0.0.1]\nports: [{port: 80}]", []string{
			`spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)`}},
		{"external policy", "externalTrafficPolicy: Local\nports: [{port: 80}]", []string{
			`spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services`}},
		{"policies", "type: NodePort\nexternalTrafficPolicy: Far\ninternalTrafficPolicy: Near\nports: [{port: 80}]", []string{
			`spec.externalTrafficPolicy: Unsupported value: "Far": supported values: "Cluster", "Local"`,
			`spec.internalTrafficPolicy: Unsupported value: "Near": supported values: "Cluster", "Local"`}},
		{"load balancer's fields", "allocateLoadBalancerNodePorts: true\nloadBalancerClass: a/b\nloadBalancerSourceRanges: [10.0.0.0/8]\nhealthCheckNodePort: 30000\nports: [{port: 80}]", []string{
			"spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'",
			"spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
			"spec.loadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
			"spec.healthCheckNodePort: Invalid value: 30000: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"}},
		{"selector", "selector: {a: '?'}\nports: [{port: 80}]", []string{`spec.selector: Invalid value: "?": a valid label`}},
		{"distribution", "trafficDistribution: Any\nports: [{port: 80}]", []string{
			`spec.trafficDistribution: Unsupported value: "Any": supported values: "PreferClose", "PreferSameNode", "PreferSameZone"`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			wantErrors(t, ValidateServiceCreate(context.Background(), newService(t, test.spec)), test.want)
		})
	}
}

func TestServiceNameIsALabel(t *testing.T) {
	s := newService(t, "ports: [{port: 80}]")
	s.Name = "1st" // KEP-5311
	wantErrors(t, ValidateServiceCreate(context.Background(), s), nil)
	s.Name = "a.b"
	wantErrors(t, ValidateServiceCreate(context.Background(), s), []string{`metadata.name: Invalid value: "a.b": must not contain dots`})
}

// TestServiceUpdate writes manifests over stored services, as kubectl replace does.
func TestServiceUpdate(t *testing.T) {
	const nodePort = "type: NodePort\nclusterIP: 10.96.0.5\nports: [{port: 80, nodePort: 30001}]"
	tests := []struct {
		name, old, new string
		want           []string
		check          func(t *testing.T, s *corev1.Service)
	}{
		{name: "allocated values may be left out", old: nodePort, new: "type: NodePort\nports: [{port: 80, targetPort: 8080}]", check: func(t *testing.T, s *corev1.Service) {
			if s.Spec.ClusterIP != "10.96.0.5" || len(s.Spec.ClusterIPs) != 1 || s.Spec.Ports[0].NodePort != 30001 {
				t.Errorf("%+v", s.Spec)
			}
		}},
		{name: "a port claims the node port", old: nodePort, new: "type: NodePort\nports: [{name: a, port: 81, nodePort: 30001}, {name: b, port: 80}]", check: func(t *testing.T, s *corev1.Service) {
			if s.Spec.Ports[1].NodePort != 0 {
				t.Errorf("%+v", s.Spec.Ports)
			}
		}},
		{name: "another address, by a client that knows only one", old: nodePort, new: "type: NodePort\nclusterIP: 10.96.0.6\nports: [{port: 80}]", want: []string{
			"spec.clusterIPs: Required value", "spec.clusterIPs[0]: Invalid value: null: primary clusterIP can not be unset"}},
		{name: "another address", old: nodePort, new: "type: NodePort\nclusterIP: 10.96.0.6\nclusterIPs: [10.96.0.5]\nports: [{port: 80}]",
			want: []string{`spec.clusterIPs[0]: Invalid value: ["10.96.0.6"]: may not change once set`}},
		{name: "to ClusterIP", old: nodePort, new: "type: ClusterIP\nclusterIP: 10.96.0.5\nports: [{port: 80, nodePort: 30001}]", check: func(t *testing.T, s *corev1.Service) {
			if s.Spec.Ports[0].NodePort != 0 || s.Spec.ExternalTrafficPolicy != "" || s.Spec.ClusterIP != "10.96.0.5" {
				t.Errorf("%+v", s.Spec)
			}
		}},
		{name: "to ExternalName", old: nodePort, new: "type: ExternalName\nexternalName: a.b\nclusterIP: 10.96.0.5\nclusterIPs: [10.96.0.5]\nports: [{port: 80, nodePort: 30001}]", check: func(t *testing.T, s *corev1.Service) {
			if s.Spec.ClusterIP != "" || s.Spec.ClusterIPs != nil || s.Spec.Ports[0].NodePort != 0 {
				t.Errorf("%+v", s.Spec)
			}
		}},
		{name: "from ExternalName", old: "type: ExternalName\nexternalName: a.b", new: "ports: [{port: 80}]"},
		{name: "from LoadBalancer", old: "type: LoadBalancer\nclusterIP: 10.96.0.5\nloadBalancerClass: a/b\nexternalTrafficPolicy: Local\nhealthCheckNodePort: 30009\nports: [{port: 80, nodePort: 30001}]",
			new: "type: ClusterIP\nclusterIP: 10.96.0.5\nallocateLoadBalancerNodePorts: true\nloadBalancerClass: a/b\nexternalTrafficPolicy: Local\nhealthCheckNodePort: 30009\nports: [{port: 80, nodePort: 30001}]"},
		{name: "load balancer's class", old: "type: LoadBalancer\nclusterIP: 10.96.0.5\nloadBalancerClass: a/b\nports: [{port: 80}]", new: "type: LoadBalancer\nloadBalancerClass: a/c\nports: [{port: 80}]",
			want: []string{`spec.loadBalancerClass: Invalid value: "a/c": may not change once set`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx := context.Background()
			old, s := newService(t, test.old), decode[corev1.Service](t, serviceManifest(test.new))
			old.ResourceVersion, s.ResourceVersion = "1", "1"
			prepareServiceForUpdate(ctx, s, old)
			wantErrors(t, ValidateServiceUpdate(ctx, s, old), test.want)
			if test.check != nil {
				test.check(t, s)
			}
		})
	}
}

func TestServiceStatusUpdate(t *testing.T) {
	old := newService(t, "type: LoadBalancer\nports: [{port: 80}]")
	old.ResourceVersion = "1"
	s := old.DeepCopy()
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "x"}, {Hostname: "10.0.0.1", IPMode: pointer(corev1.LoadBalancerIPModeVIP)}}
	wantErrors(t, ValidateServiceStatusUpdate(context.Background(), s, old), []string{
		`status.loadBalancer.ingress[0].ip: Invalid value: "x": must be a valid IP address`,
		"status.loadBalancer.ingress[1].ipMode: Forbidden: may not be specified when `ip` is not set",
		`status.loadBalancer.ingress[1].hostname: Invalid value: "10.0.0.1": must be a DNS name, not an IP address`})
}

func TestServiceWarnings(t *testing.T) {
	s := newService(t, "clusterIP: None\nexternalIPs: [010.0.0.1]\nports: [{port: 80}]")
	got := strings.Join(warnService(context.Background(), s, nil), "\n")
	if !strings.HasPrefix(got, "spec.externalIPs is ignored when spec.clusterIP is None\n") || !strings.Contains(got, "010.0.0.1") {
		t.Errorf("got %s", got)
	}
}
