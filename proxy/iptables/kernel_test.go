package iptables

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/e2e/testnet"
	"github.com/skiff-project/skiff/proxy/conntrack"
	"github.com/skiff-project/skiff/proxy/model"
	"github.com/skiff-project/skiff/proxy/rules"
)

func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }

// bench is a node with pods and the real rules of one IP family.
type bench struct {
	t       *testing.T
	family  corev1.IPFamily
	node    *testnet.Node
	pods    []*testnet.Pod
	client  *testnet.Pod
	tracker *model.Tracker
	program *Program
	backend *Backend
}

func newBench(t *testing.T, family corev1.IPFamily, pods int) *bench {
	t.Helper()
	testnet.Require(t, "iptables", "ip6tables")
	b := &bench{t: t, family: family, node: testnet.NewNode(t), tracker: model.NewTracker(family, "node-a")}
	for range pods {
		p := b.node.Pod(t)
		p.Serve(t, "tcp", b.join(b.ip(p), 8080), b.ip(p))
		p.Serve(t, "udp", b.join(b.ip(p), 8080), b.ip(p))
		b.pods = append(b.pods, p)
	}
	b.client = b.node.Pod(t)
	// What is there before: Docker's policy, the pod network's accepts, and rules of others.
	b.node.Run(t, b.name(), "-P", "FORWARD", "DROP")
	b.node.Run(t, b.name(), "-A", "FORWARD", "-i", "br0", "-j", "ACCEPT")
	b.node.Run(t, b.name(), "-A", "FORWARD", "-o", "br0", "-j", "ACCEPT")
	b.node.Run(t, b.name(), "-t", "nat", "-N", "KUBE-KUBELET-CANARY")
	b.node.Run(t, b.name(), "-t", "nat", "-A", "POSTROUTING", "-s", b.join2("172.17.0.0/16", "fd01::/64"), "-j", "MASQUERADE")
	var err error
	if b.program, err = Open(family); err != nil {
		t.Fatal(err)
	}
	config := rules.Config{Family: family, MasqueradeBit: 14, LocalhostNodePorts: true,
		ClusterCIDR:  netip.MustParsePrefix(b.join2("10.244.0.0/16", "fd00:244::/56")),
		ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix(b.join2("10.96.0.0/16", "fd00:96::/112"))}}
	if b.backend, err = NewBackend(b.program, config); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) is4() bool { return b.family == corev1.IPv4Protocol }

func (b *bench) join2(v4, v6 string) string {
	if b.is4() {
		return v4
	}
	return v6
}

func (b *bench) name() string                 { return b.join2("iptables", "ip6tables") }
func (b *bench) ip(p *testnet.Pod) string     { return b.join2(p.IP, p.IP6) }
func (b *bench) clusterIP() string            { return b.join2("10.96.0.5", "fd00:96::5") }
func (b *bench) join(ip string, p int) string { return net.JoinHostPort(ip, fmt.Sprint(p)) }
func (b *bench) nodeAt(port int) string {
	return b.join(b.join2(testnet.NodeIP, testnet.NodeIP6), port)
}
func (b *bench) serviceAt(port int) string { return b.join(b.clusterIP(), port) }
func (b *bench) service(change ...func(*corev1.Service)) {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeNodePort, ClusterIP: b.clusterIP(), ClusterIPs: []string{b.clusterIP()},
			Ports: []corev1.ServicePort{
				{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, NodePort: 30080},
				{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 80, NodePort: 30080},
			},
		},
	}
	for _, c := range change {
		c(svc)
	}
	b.tracker.SetService(svc)
}

func (b *bench) endpoints(pods ...*testnet.Pod) {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressType(b.family),
		Ports: []discoveryv1.EndpointPort{
			{Name: ptr.To("http"), Port: ptr.To[int32](8080), Protocol: ptr.To(corev1.ProtocolTCP)},
			{Name: ptr.To("dns"), Port: ptr.To[int32](8080), Protocol: ptr.To(corev1.ProtocolUDP)},
		},
	}
	for _, p := range pods {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{b.ip(p)}, NodeName: ptr.To("node-a")})
	}
	b.tracker.SetSlice(slice)
}

func (b *bench) sync() {
	b.t.Helper()
	b.node.Do(b.t, func() error {
		changes := b.tracker.Sync()
		if _, err := b.backend.Sync(b.t.Context(), changes); err != nil {
			return err
		}
		_, err := conntrack.Expect(b.tracker.Ports()).Forget(b.family)
		return err
	})
}

// answers asks many times and returns who answered, sorted, and as whom the
// servers saw the client.
func (b *bench) answers(from *testnet.Namespace, network, address string, times int) (names, sources []string) {
	b.t.Helper()
	seenNames, seenSources := map[string]bool{}, map[string]bool{}
	for range times {
		answer, err := from.Ask(network, address, 0)
		if err != nil {
			b.t.Fatalf("%s %s: %v", network, address, err)
		}
		if !seenNames[answer.Name] {
			seenNames[answer.Name] = true
			names = append(names, answer.Name)
		}
		if !seenSources[answer.From] {
			seenSources[answer.From] = true
			sources = append(sources, answer.From)
		}
	}
	slices.Sort(names)
	slices.Sort(sources)
	return names, sources
}

func (b *bench) refused(from *testnet.Namespace, network, address string) {
	b.t.Helper()
	if answer, err := from.Ask(network, address, 0); !testnet.Refused(err) {
		b.t.Errorf("%s %s: got %+v, %v; want a refusal", network, address, answer, err)
	}
}

var counters = regexp.MustCompile(`\[\d+:\d+\]|(?m)^#.*\n`)

func (b *bench) saved() string {
	b.t.Helper()
	return counters.ReplaceAllString(b.node.Run(b.t, b.name()+"-save"), "")
}

func eachFamily(t *testing.T, test func(t *testing.T, family corev1.IPFamily)) {
	for _, family := range []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol} {
		t.Run(string(family), func(t *testing.T) { test(t, family) })
	}
}

// TestService: every way to a Service reaches all its pods. Conformance: "Services
// should serve a basic endpoint from pods", "Services should be able to create a
// functioning NodePort service", "Services should serve endpoints on same port and
// different protocols".
func TestService(t *testing.T) {
	eachFamily(t, func(t *testing.T, family corev1.IPFamily) {
		b := newBench(t, family, 3)
		b.service()
		b.endpoints(b.pods...)
		b.sync()
		all := []string{b.ip(b.pods[0]), b.ip(b.pods[1]), b.ip(b.pods[2])}
		slices.Sort(all)
		ways := []struct {
			name    string
			from    *testnet.Namespace
			address string
			source  string // as the pods see it
		}{
			{"pod to cluster IP", b.client.Namespace, b.serviceAt(80), b.ip(b.client)},
			{"node to cluster IP", b.node.Namespace, b.serviceAt(80), b.join2("10.244.0.1", "fd00:244::1")},
			{"pod to node port", b.client.Namespace, b.nodeAt(30080), b.join2("10.244.0.1", "fd00:244::1")},
			{"node to its node port", b.node.Namespace, b.nodeAt(30080), b.join2("10.244.0.1", "fd00:244::1")},
			{"world to node port", b.node.World, b.nodeAt(30080), b.join2("10.244.0.1", "fd00:244::1")},
		}
		if b.is4() {
			ways = append(ways, ways[3])
			ways[5].name, ways[5].address = "localhost", "127.0.0.1:30080"
		}
		for _, way := range ways {
			for _, network := range []string{"tcp", "udp"} {
				names, sources := b.answers(way.from, network, way.address, 60)
				if !slices.Equal(names, all) || !slices.Equal(sources, []string{way.source}) {
					t.Errorf("%s, %s: %v answered to %v; want %v to %s", way.name, network, names, sources, all, way.source)
				}
			}
		}
		// A pod that reaches itself.
		b.endpoints(b.pods[0])
		b.sync()
		if names, _ := b.answers(b.pods[0].Namespace, "tcp", b.serviceAt(80), 5); names[0] != b.ip(b.pods[0]) {
			t.Errorf("hairpin: got %v", names)
		}
		// No IPv6 node port on ::1, as kube.
		if !b.is4() {
			b.refused(b.node.Namespace, "tcp", "[::1]:30080")
		}
	})
}

// TestRefusals: where nobody answers, the client hears so at once, and nothing
// leaves the node.
func TestRefusals(t *testing.T) {
	eachFamily(t, func(t *testing.T, family corev1.IPFamily) {
		b := newBench(t, family, 1)
		// A gateway that answers for any address.
		b.node.World.Run(t, "ip", "addr", "add", b.join2("10.96.7.7/32", "fd00:96::77/128"), "dev", "lo")
		b.node.World.Serve(t, "tcp", b.join(b.join2("10.96.7.7", "fd00:96::77"), 80), "leak")
		b.service()
		b.sync()
		for name, from := range map[string]*testnet.Namespace{"pod": b.client.Namespace, "node": b.node.Namespace} {
			for _, network := range []string{"tcp", "udp"} {
				t.Log(name, network)
				b.refused(from, network, b.serviceAt(80))
				b.refused(from, network, b.serviceAt(81))
				b.refused(from, network, b.join(b.join2("10.96.7.7", "fd00:96::77"), 80))
			}
		}
		b.refused(b.node.World, "tcp", b.nodeAt(30080))
		// And back to life.
		b.endpoints(b.pods[0])
		b.sync()
		b.answers(b.client.Namespace, "tcp", b.serviceAt(80), 1)
		b.endpoints()
		b.sync()
		b.refused(b.client.Namespace, "tcp", b.serviceAt(80))
	})
}

// TestAffinity. Conformance: "Services should have session affinity work for
// service with type clusterIP", "... for NodePort service", "should be able to
// switch session affinity ...".
func TestAffinity(t *testing.T) {
	eachFamily(t, func(t *testing.T, family corev1.IPFamily) {
		b := newBench(t, family, 3)
		sticky := func(svc *corev1.Service) { svc.Spec.SessionAffinity = corev1.ServiceAffinityClientIP }
		b.endpoints(b.pods...)
		for _, address := range []string{b.serviceAt(80), b.nodeAt(30080)} {
			b.service(sticky)
			b.sync()
			if names, _ := b.answers(b.client.Namespace, "tcp", address, 30); len(names) != 1 {
				t.Errorf("%s: with affinity %v answered", address, names)
			}
			b.service()
			b.sync()
			if names, _ := b.answers(b.client.Namespace, "tcp", address, 60); len(names) != 3 {
				t.Errorf("%s: without affinity only %v answered", address, names)
			}
		}
	})
}

// TestUDPFlow: a client that keeps its port is not left with a dead pod.
func TestUDPFlow(t *testing.T) {
	eachFamily(t, func(t *testing.T, family corev1.IPFamily) {
		b := newBench(t, family, 2)
		b.service()
		for _, address := range []string{b.serviceAt(80), b.nodeAt(30080)} {
			for round, pod := range []*testnet.Pod{b.pods[0], b.pods[1], b.pods[0]} {
				b.endpoints(pod)
				b.sync()
				answer, err := b.client.Ask("udp", address, 5353)
				if err != nil || answer.Name != b.ip(pod) {
					t.Errorf("%s, round %d: got %+v, %v; want %s", address, round, answer, err, b.ip(pod))
				}
			}
		}
	})
}

// TestEstablished: a connection lives on while rules change around it.
func TestEstablished(t *testing.T) {
	b := newBench(t, corev1.IPv4Protocol, 2)
	b.service()
	b.endpoints(b.pods...)
	b.sync()
	var listener net.Listener
	b.pods[0].Do(t, func() (err error) {
		listener, err = net.Listen("tcp", ":9090")
		return err
	})
	defer listener.Close()
	b.service(func(svc *corev1.Service) { svc.Spec.Ports[0].Port = 90 })
	b.tracker.SetSlice(&discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](9090)}},
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{b.pods[0].IP}}},
	})
	b.sync()
	var client net.Conn
	b.client.Do(t, func() (err error) {
		client, err = net.Dial("tcp", b.serviceAt(90))
		return err
	})
	defer client.Close()
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	talk := func(when string) {
		t.Helper()
		buffer := make([]byte, 5)
		if _, err := client.Write([]byte("hello")); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if _, err := server.Read(buffer); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
	}
	talk("at first")
	b.backend.Invalidate()
	b.sync()
	talk("after all rules were written again")
	b.endpoints()
	b.tracker.DeleteService(types.NamespacedName{Namespace: "default", Name: "web"})
	b.sync()
	talk("after the Service was deleted")
}

// TestCleanup: the rules of others are, byte for byte, what they were.
func TestCleanup(t *testing.T) {
	eachFamily(t, func(t *testing.T, family corev1.IPFamily) {
		b := newBench(t, family, 2)
		before := b.saved()
		b.service(func(svc *corev1.Service) {
			svc.Spec.Type, svc.Spec.SessionAffinity = corev1.ServiceTypeLoadBalancer, corev1.ServiceAffinityClientIP
			svc.Spec.LoadBalancerSourceRanges = []string{b.join2("10.0.0.0/8", "fd00::/8")}
			svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: b.join2("203.0.113.1", "2001:db8:1::1")}}
		})
		b.endpoints(b.pods...)
		b.sync()
		if b.saved() == before {
			t.Fatal("there is nothing to clean up")
		}
		for range 2 {
			b.node.Do(t, func() error { _, err := Cleanup(t.Context(), b.program); return err })
			if after := b.saved(); after != before {
				t.Errorf("after:\n%s\nbefore:\n%s", after, before)
			}
		}
		fresh := testnet.New(t)
		fresh.Do(t, func() error { _, err := Cleanup(t.Context(), b.program); return err })
		if made := counters.ReplaceAllString(fresh.Run(t, b.name()+"-save"), ""); strings.TrimSpace(made) != "" {
			t.Errorf("Cleanup made tables on a fresh machine:\n%s", made)
		}
	})
}

// TestRestart: a new proxy finds the rules of the one before, and removes what is stale.
func TestRestart(t *testing.T) {
	b := newBench(t, corev1.IPv4Protocol, 2)
	b.service()
	b.endpoints(b.pods...)
	b.sync()
	two := b.saved()
	b.endpoints(b.pods[0])
	b.sync()
	want := b.saved()
	if strings.Count(want, ":KUBE-SEP-") >= strings.Count(two, ":KUBE-SEP-") {
		t.Fatalf("the chain of an endpoint that went stays:\n%s", want)
	}
	b.node.Run(t, "iptables", "-t", "nat", "-N", "KUBE-SEP-STALE")
	b.node.Run(t, "iptables", "-t", "nat", "-A", "KUBE-SERVICES", "-j", "KUBE-SEP-STALE")
	b.node.Run(t, "iptables", "-I", "FORWARD", "1", "-j", "KUBE-FORWARD")
	b.backend.Invalidate()
	b.sync()
	if got := b.saved(); sorted(got) != sorted(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// sorted ignores the order of chains: new ones come last in the kernel.
func sorted(saved string) string {
	lines := strings.Split(saved, "\n")
	slices.SortStableFunc(lines, func(a, b string) int {
		key := func(l string) string { return strings.Join(strings.Fields(l + " . .")[:2], " ") }
		return strings.Compare(key(a), key(b))
	})
	return strings.Join(lines, "\n")
}

// TestCheck: what others take away is seen and comes back.
func TestCheck(t *testing.T) {
	b := newBench(t, corev1.IPv4Protocol, 1)
	b.service()
	b.endpoints(b.pods[0])
	b.sync()
	want := b.saved()
	check := func() (ok bool) {
		t.Helper()
		b.node.Do(t, func() (err error) {
			ok, err = b.backend.Check(t.Context())
			return err
		})
		return ok
	}
	if !check() {
		t.Error("right rules are not right")
	}
	b.node.Run(t, "iptables", "-D", "FORWARD", "1")
	if !check() || b.saved() != want {
		t.Errorf("a lost jump is not mended:\n%s", b.saved())
	}
	for _, harm := range [][]string{{"-t", "nat", "-F"}, {"-t", "filter", "-F", "KUBE-PROXY-CANARY"}} {
		b.node.Run(t, append([]string{"iptables"}, harm...)...)
		if check() {
			t.Errorf("%v is not noticed", harm)
		}
		b.sync()
		if !check() {
			t.Errorf("%v is not mended", harm)
		}
		b.answers(b.client.Namespace, "tcp", b.serviceAt(80), 1)
	}
}

// TestFailedRestore: bad rules change nothing, and the error shows the line.
func TestFailedRestore(t *testing.T) {
	b := newBench(t, corev1.IPv4Protocol, 0)
	before := b.saved()
	err := b.node.Try(func() error {
		return b.program.Restore(t.Context(), []byte("*nat\n:MINE - [0:0]\n-A MINE -j ACCEPT\n-A MINE -j NOWHERE\nCOMMIT\n"))
	})
	if err == nil || !strings.Contains(err.Error(), "NOWHERE") {
		t.Errorf("got %v", err)
	}
	if after := b.saved(); after != before {
		t.Errorf("half of a change went in:\n%s", after)
	}
}
