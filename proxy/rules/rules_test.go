package rules

import (
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/skiff-project/skiff/proxy/model"
	"github.com/skiff-project/skiff/proxy/rules/tracer"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// scenario is an input file: objects as users and controllers write them.
type scenario struct {
	Node      string                      `json:"node"`
	Family    corev1.IPFamily             `json:"family"`
	Options   Options                     `json:"options"`
	Services  []corev1.Service            `json:"services"`
	Endpoints []discoveryv1.EndpointSlice `json:"endpointSlices"`
}

// Options are the parts of Config that scenarios change.
type Options struct {
	NoClusterCIDR     bool           `json:"noClusterCIDR"`
	NoLocalhost       bool           `json:"noLocalhostNodePorts"`
	NodePortAddresses []netip.Prefix `json:"nodePortAddresses"`
}

func (s scenario) config() Config {
	c := Config{
		Family: s.Family, MasqueradeBit: 14, RandomFully: true,
		LocalhostNodePorts: !s.Options.NoLocalhost, NodePortAddresses: s.Options.NodePortAddresses,
		ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
	}
	if s.Family == corev1.IPv6Protocol {
		c.ClusterCIDR, c.ServiceCIDRs = netip.MustParsePrefix("fd00:244::/56"), []netip.Prefix{netip.MustParsePrefix("fd00:96::/112")}
	}
	if s.Options.NoClusterCIDR {
		c.ClusterCIDR = netip.Prefix{}
	}
	return c
}

func (s scenario) generator(t *testing.T) *Generator {
	t.Helper()
	tracker := model.NewTracker(s.Family, s.Node)
	for i := range s.Endpoints {
		tracker.SetSlice(&s.Endpoints[i])
	}
	for i := range s.Services {
		tracker.SetService(&s.Services[i])
	}
	g, err := NewGenerator(s.config())
	if err != nil {
		t.Fatal(err)
	}
	g.Update(tracker.Sync())
	return g
}

func readScenario(t *testing.T, file string) scenario {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := scenario{Family: corev1.IPv4Protocol, Node: "node-a"}
	if err := yaml.UnmarshalStrict(text, &s); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return s
}

// TestGolden writes the rules of every testdata/*.input.yaml and compares them
// with the *.rules file beside it. Run with -update to accept.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.input.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs: %v", err)
	}
	for _, input := range inputs {
		t.Run(strings.TrimSuffix(filepath.Base(input), ".input.yaml"), func(t *testing.T) {
			full := readScenario(t, input).generator(t).Full(nil)
			got := full.Restore()
			golden := strings.TrimSuffix(input, ".input.yaml") + ".rules"
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("rules differ from %s (run with -update to accept):\n%s", golden, got)
			}
		})
	}
}

// TestChainNames pins names that users of kube-proxy meet everywhere.
func TestChainNames(t *testing.T) {
	kubernetes := model.PortName{Port: "https", Protocol: corev1.ProtocolTCP}
	kubernetes.Namespace, kubernetes.Name = "default", "kubernetes"
	if got, want := "KUBE-SVC-"+portSuffix(kubernetes), "KUBE-SVC-NPX46M4PTMTKRN6Y"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	dns := model.PortName{Port: "dns", Protocol: corev1.ProtocolUDP}
	dns.Namespace, dns.Name = "kube-system", "kube-dns"
	if got, want := "KUBE-SVC-"+portSuffix(dns), "KUBE-SVC-TCOU7JCQXEZGVUNU"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func service(name, clusterIP string, change func(*corev1.Service)) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: corev1.ServiceSpec{
			ClusterIP: clusterIP, ClusterIPs: []string{clusterIP}, Type: corev1.ServiceTypeClusterIP,
			Ports: []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}
	if change != nil {
		change(svc)
	}
	return svc
}

// endpointSlice makes a slice of ready endpoints; an address ending in "@here" is on this node.
func endpointSlice(svc string, addrs ...string) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: svc + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: svc}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](8080), Protocol: ptr.To(corev1.ProtocolTCP)}},
	}
	for _, a := range addrs {
		addr, here := strings.CutSuffix(a, "@here")
		node := "node-b"
		if here {
			node = "node-a"
		}
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{addr}, NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
		})
	}
	return slice
}

func nodePort(svc *corev1.Service) {
	svc.Spec.Type, svc.Spec.Ports[0].NodePort = corev1.ServiceTypeNodePort, 30080
}

func balancer(svc *corev1.Service) {
	nodePort(svc)
	svc.Spec.Type = corev1.ServiceTypeLoadBalancer
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "203.0.113.5"}}
}

func all(changes ...func(*corev1.Service)) func(*corev1.Service) {
	return func(svc *corev1.Service) {
		for _, c := range changes {
			c(svc)
		}
	}
}

func localExternal(svc *corev1.Service) {
	svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
}

func localInternal(svc *corev1.Service) {
	svc.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
}

func sourceRange(svc *corev1.Service) {
	svc.Spec.LoadBalancerSourceRanges = []string{"198.51.100.0/25"}
}

func externalIP(svc *corev1.Service) { svc.Spec.ExternalIPs = []string{"203.0.113.9"} }

// The places that packets come from.
const (
	pod     = "10.244.0.7"
	client  = "198.51.100.1"
	other   = "198.51.100.200" // outside of the source range
	nodeIP  = "192.0.2.10"
	backend = "10.244.0.1"
)

func isLocal(a netip.Addr) bool { return a.IsLoopback() || a == netip.MustParseAddr(nodeIP) }

// TestTrace checks what the rules mean. It covers, for the rules alone, what the
// conformance tests "Services should serve a basic endpoint from pods", "should be
// able to create a functioning NodePort service" and "should have session affinity
// work for service with type clusterIP" need.
func TestTrace(t *testing.T) {
	tests := []struct {
		name      string
		service   func(*corev1.Service)
		endpoints []string
		from, to  string // from "node" is a program of the node
		want      []string
	}{
		{"pod to cluster IP", nil, []string{"10.244.0.1@here", "10.244.1.1"}, pod, "10.96.0.5:80", []string{"10.244.0.1:8080", "10.244.1.1:8080"}},
		{"node to cluster IP", nil, []string{"10.244.1.1"}, "node", "10.96.0.5:80", []string{"10.244.1.1:8080 masqueraded"}},
		{"outside to cluster IP", nil, []string{"10.244.1.1"}, client, "10.96.0.5:80", []string{"10.244.1.1:8080 masqueraded"}},
		{"hairpin", nil, []string{"10.244.0.1@here"}, backend, "10.96.0.5:80", []string{"10.244.0.1:8080 masqueraded"}},
		{"other port of the cluster IP", nil, []string{"10.244.0.1"}, pod, "10.96.0.5:81", []string{"REJECT"}},
		{"address without Service", nil, nil, pod, "10.96.9.9:80", []string{"REJECT"}},
		{"address without Service, from the node", nil, nil, "node", "10.96.9.9:80", []string{"REJECT"}},
		{"pod to the world", nil, nil, pod, "198.51.100.1:80", []string{"198.51.100.1:80"}},
		{"no endpoints", nil, nil, pod, "10.96.0.5:80", []string{"REJECT"}},
		{"no endpoints, from the node", nil, nil, "node", "10.96.0.5:80", []string{"REJECT"}},
		{"node port from outside", nodePort, []string{"10.244.0.1@here", "10.244.1.1"}, client, nodeIP + ":30080", []string{"10.244.0.1:8080 masqueraded", "10.244.1.1:8080 masqueraded"}},
		{"node port from a pod", nodePort, []string{"10.244.1.1"}, pod, nodeIP + ":30080", []string{"10.244.1.1:8080 masqueraded"}},
		{"node port on localhost", nodePort, []string{"10.244.1.1"}, "node", "127.0.0.1:30080", []string{"10.244.1.1:8080 masqueraded"}},
		{"node port of another address", nodePort, []string{"10.244.1.1"}, pod, "198.51.100.1:30080", []string{"198.51.100.1:30080"}},
		{"node port without endpoints", nodePort, nil, client, nodeIP + ":30080", []string{"REJECT"}},
		{"loopback from outside", nodePort, []string{"10.244.1.1"}, client, "127.0.0.1:22", []string{"DROP"}},
		{"external IP", externalIP, []string{"10.244.1.1"}, client, "203.0.113.9:80", []string{"10.244.1.1:8080 masqueraded"}},
		{"external IP without endpoints", externalIP, nil, client, "203.0.113.9:80", []string{"REJECT"}},
		{"load balancer", balancer, []string{"10.244.1.1"}, client, "203.0.113.5:80", []string{"10.244.1.1:8080 masqueraded"}},
		{"load balancer, local, from outside", all(balancer, localExternal), []string{"10.244.0.1@here", "10.244.1.1"}, client, "203.0.113.5:80", []string{"10.244.0.1:8080"}},
		{"load balancer, local, from a pod", all(balancer, localExternal), []string{"10.244.0.1@here", "10.244.1.1"}, pod, "203.0.113.5:80", []string{"10.244.0.1:8080", "10.244.1.1:8080"}},
		{"load balancer, local, from the node", all(balancer, localExternal), []string{"10.244.1.1"}, "node", "203.0.113.5:80", []string{"10.244.1.1:8080 masqueraded"}},
		{"load balancer, local, none here", all(balancer, localExternal), []string{"10.244.1.1"}, client, "203.0.113.5:80", []string{"DROP"}},
		{"load balancer, local, none anywhere", all(balancer, localExternal), nil, client, "203.0.113.5:80", []string{"REJECT"}},
		{"node port, local, none here", all(nodePort, localExternal), []string{"10.244.1.1"}, client, nodeIP + ":30080", []string{"DROP"}},
		{"node port, local, keeps the client", all(nodePort, localExternal), []string{"10.244.0.1@here"}, client, nodeIP + ":30080", []string{"10.244.0.1:8080"}},
		{"allowed source", all(balancer, sourceRange), []string{"10.244.1.1"}, client, "203.0.113.5:80", []string{"10.244.1.1:8080 masqueraded"}},
		{"forbidden source", all(balancer, sourceRange), []string{"10.244.1.1"}, other, "203.0.113.5:80", []string{"DROP"}},
		{"forbidden source on the node port", all(balancer, sourceRange), []string{"10.244.1.1"}, other, nodeIP + ":30080", []string{"10.244.1.1:8080 masqueraded"}},
		{"internal local", localInternal, []string{"10.244.0.1@here", "10.244.1.1"}, pod, "10.96.0.5:80", []string{"10.244.0.1:8080"}},
		{"internal local, none here", localInternal, []string{"10.244.1.1"}, pod, "10.96.0.5:80", []string{"DROP"}},
		{"internal local leaves the node port alone", all(nodePort, localInternal), []string{"10.244.1.1"}, client, nodeIP + ":30080", []string{"10.244.1.1:8080 masqueraded"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := scenario{Node: "node-a", Family: corev1.IPv4Protocol, Services: []corev1.Service{*service("web", "10.96.0.5", test.service)}}
			if len(test.endpoints) > 0 {
				s.Endpoints = []discoveryv1.EndpointSlice{*endpointSlice("web", test.endpoints...)}
			}
			packet := tracer.Packet{Protocol: "tcp", Dest: netip.MustParseAddrPort(test.to)}
			if packet.FromNode = test.from == "node"; packet.FromNode {
				packet.Source = netip.MustParseAddr(nodeIP)
				if packet.Dest.Addr().IsLoopback() {
					packet.Source = packet.Dest.Addr()
				}
			} else {
				packet.Source = netip.MustParseAddr(test.from)
			}
			if got := trace(t, s.generator(t), packet); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// jumpText returns the jumps as rules in the kernel's chains.
func jumpText() string {
	var b strings.Builder
	for _, table := range []string{TableFilter, TableNAT} {
		fmt.Fprintf(&b, "*%s\n", table)
		for _, j := range Jumps() {
			if j.Table != table {
				continue
			}
			fmt.Fprintf(&b, "-A %s", j.From)
			for _, word := range j.Spec() {
				fmt.Fprintf(&b, " %q", word)
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func parse(t *testing.T, g *Generator) *tracer.Rules {
	t.Helper()
	full := g.Full(nil)
	parsed, err := tracer.Parse(string(full.Restore())+jumpText(), isLocal)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func trace(t *testing.T, g *Generator, p tracer.Packet) []string {
	t.Helper()
	outcomes, err := parse(t, g).Trace(p)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, o := range outcomes {
		out = append(out, o.String())
	}
	return out
}

// TestAffinity: the first packet is remembered with its endpoint, and the next
// ones go there.
func TestAffinity(t *testing.T) {
	s := scenario{Node: "node-a", Family: corev1.IPv4Protocol,
		Services: []corev1.Service{*service("web", "10.96.0.5", func(svc *corev1.Service) {
			svc.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
			svc.Spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: ptr.To[int32](60)}}
		})},
		Endpoints: []discoveryv1.EndpointSlice{*endpointSlice("web", "10.244.0.1", "10.244.0.2", "10.244.0.3")}}
	rules := parse(t, s.generator(t))
	packet := tracer.Packet{Protocol: "tcp", Source: netip.MustParseAddr(pod), Dest: netip.MustParseAddrPort("10.96.0.5:80")}
	first, err := rules.Trace(packet)
	if err != nil || len(first) != 3 {
		t.Fatalf("got %v, %v; want three ways", first, err)
	}
	for _, way := range first {
		packet.Remembered = []string{way.Remembers}
		again, err := rules.Trace(packet)
		if err != nil || len(again) != 1 || again[0] != way {
			t.Errorf("after %v: got %v, %v", way, again, err)
		}
	}
}

// TestUpdateEqualsFull: a kernel that got each change has what a kernel has that
// got everything at the end.
func TestUpdateEqualsFull(t *testing.T) {
	tracker := model.NewTracker(corev1.IPv4Protocol, "node-a")
	s := scenario{Family: corev1.IPv4Protocol}
	g, err := NewGenerator(s.config())
	if err != nil {
		t.Fatal(err)
	}
	kernel := newFakeKernel()
	start := g.Full(nil)
	kernel.apply(t, start.Restore())
	steps := []struct {
		name string
		do   func()
		// shared says whether a chain of all ports may be rewritten
		shared bool
	}{
		{"service without endpoints", func() { tracker.SetService(service("web", "10.96.0.5", nodePort)) }, true},
		{"first endpoint", func() { tracker.SetSlice(endpointSlice("web", "10.244.0.1@here")) }, true},
		{"second endpoint", func() { tracker.SetSlice(endpointSlice("web", "10.244.0.1@here", "10.244.0.2")) }, false},
		{"second service", func() {
			tracker.SetService(service("api", "10.96.0.6", all(balancer, sourceRange, localExternal)))
			tracker.SetSlice(endpointSlice("api", "10.244.0.9@here"))
		}, true},
		{"endpoint replaced", func() { tracker.SetSlice(endpointSlice("web", "10.244.0.2", "10.244.0.3")) }, false},
		{"policy", func() { tracker.SetService(service("web", "10.96.0.5", all(nodePort, localInternal))) }, true},
		{"all endpoints gone", func() { tracker.SetSlice(endpointSlice("web")) }, true},
		{"service gone", func() { tracker.DeleteService(types.NamespacedName{Namespace: "default", Name: "api"}) }, true},
	}
	for _, step := range steps {
		step.do()
		delta := g.Update(tracker.Sync())
		if delta.Empty() {
			t.Errorf("%s: nothing to write", step.name)
		}
		kernel.apply(t, delta.Restore())
		for _, c := range slices.Concat(delta.NAT.Write, delta.Filter.Write) {
			if !step.shared && !PortChain(c.Name) {
				t.Errorf("%s: rewrites %s", step.name, c.Name)
			}
		}
		fresh := newFakeKernel()
		full := g.Full(nil)
		fresh.apply(t, full.Restore())
		if !maps.Equal(kernel.chains, fresh.chains) {
			t.Errorf("%s: after changes\n%v\nwant\n%v", step.name, kernel.chains, fresh.chains)
		}
		if delta := g.Update(tracker.Sync()); !delta.Empty() {
			t.Errorf("%s: writes again without a change: %s", step.name, delta.Restore())
		}
	}
}

// TestFullDeletesStale: what an earlier proxy left goes, what others own stays.
func TestFullDeletesStale(t *testing.T) {
	g := scenario{Family: corev1.IPv4Protocol}.generator(t)
	delta := g.Full([]string{"PREROUTING", "DOCKER", "KUBE-SERVICES", "KUBE-SVC-OLD", "KUBE-SEP-OLD", "KUBE-KUBELET-CANARY"})
	if want := []string{"KUBE-SVC-OLD", "KUBE-SEP-OLD"}; !slices.Equal(delta.NAT.Delete, want) {
		t.Errorf("deletes %v, want %v", delta.NAT.Delete, want)
	}
}

// fakeKernel does with chains what iptables-restore --noflush does.
type fakeKernel struct{ chains map[string]string }

func newFakeKernel() *fakeKernel { return &fakeKernel{map[string]string{}} }

func (k *fakeKernel) apply(t *testing.T, text []byte) {
	t.Helper()
	table := ""
	for line := range strings.Lines(string(text)) {
		name := ""
		if fields := strings.Fields(line); len(fields) > 1 {
			name = table + "/" + fields[1]
		}
		switch line[0] {
		case 'C':
			k.check(t, table)
		case '*':
			table = strings.TrimSpace(line[1:])
		case ':':
			k.chains[table+"/"+strings.Fields(line[1:])[0]] = ""
		case '-':
			if _, there := k.chains[name]; !there {
				t.Fatalf("%q: no such chain", line)
			}
			if strings.HasPrefix(line, "-X") {
				delete(k.chains, name)
			} else {
				k.chains[name] += line
			}
		}
	}
}

// check fails if a rule jumps to a chain that is not there: the kernel would
// refuse the transaction.
func (k *fakeKernel) check(t *testing.T, table string) {
	t.Helper()
	for chain, rules := range k.chains {
		if !strings.HasPrefix(chain, table+"/") {
			continue
		}
		for line := range strings.Lines(rules) {
			_, target, jumps := strings.Cut(strings.TrimSpace(line), " -j ")
			if !jumps || !strings.HasPrefix(target, "KUBE-") {
				continue
			}
			if _, there := k.chains[table+"/"+target]; !there {
				t.Fatalf("%s: %q jumps to a missing chain", chain, line)
			}
		}
	}
}

// TestBlocks: a change too big for one transaction works at every step between.
func TestBlocks(t *testing.T) {
	tracker := many(400, 2)
	tracker.SetService(service("front", "10.99.0.1", all(balancer, sourceRange)))
	tracker.SetSlice(endpointSlice("front", "10.244.200.1@here", "10.244.200.2"))
	g, err := NewGenerator(scenario{Family: corev1.IPv4Protocol}.config())
	if err != nil {
		t.Fatal(err)
	}
	g.Update(tracker.Sync())
	kernel := newFakeKernel()
	first := g.Full(nil)
	text := first.Restore()
	if blocks := strings.Count(string(text), "COMMIT"); blocks < 5 {
		t.Fatalf("only %d transactions", blocks)
	}
	kernel.apply(t, text)

	// Nearly all of them go at once.
	for i := range 390 {
		tracker.DeleteService(types.NamespacedName{Namespace: "default", Name: fmt.Sprint("web-", i)})
	}
	delta := g.Update(tracker.Sync())
	kernel.apply(t, delta.Restore())
	fresh := newFakeKernel()
	full := g.Full(nil)
	fresh.apply(t, full.Restore())
	if !maps.Equal(kernel.chains, fresh.chains) {
		t.Errorf("%d chains after changes, want %d", len(kernel.chains), len(fresh.chains))
	}
}
