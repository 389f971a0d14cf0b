package plugin

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/skiff-project/skiff/cni/ipam"
	"github.com/skiff-project/skiff/cni/netlink"
	"github.com/skiff-project/skiff/e2e/testnet"
)

func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }

// node is a node in a network namespace of its own.
type node struct {
	t    *testing.T
	ns   *testnet.Namespace
	conf map[string]any
}

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{t: t, ns: testnet.New(t)}
	n.conf = map[string]any{
		"cniVersion": "1.1.0", "name": "skiff", "type": Type, "bridge": "cni0", "mtu": 1400,
		"subnets": []string{"10.244.3.0/24", "fd00:244:3::/64"}, "dataDir": t.TempDir(),
	}
	n.ns.Do(t, func() error { return netlink.Sysctl("net/ipv4/ip_forward", "1") })
	n.ns.Do(t, func() error { return netlink.Sysctl("net/ipv6/conf/all/forwarding", "1") })
	return n
}

func (n *node) args(id, netns string, extra map[string]any) *skel.CmdArgs {
	n.t.Helper()
	conf := map[string]any{}
	for _, m := range []map[string]any{n.conf, extra} {
		for k, v := range m {
			conf[k] = v
		}
	}
	text, err := json.Marshal(conf)
	if err != nil {
		n.t.Fatal(err)
	}
	return &skel.CmdArgs{ContainerID: id, Netns: netns, IfName: "eth0", StdinData: text}
}

func (n *node) try(id string, pod *testnet.Namespace) (result *types100.Result, err error) {
	args := n.args(id, pod.File, nil)
	err = n.ns.Try(func() (err error) {
		result, _, err = add(args)
		return err
	})
	return result, err
}

func (n *node) add(id string, pod *testnet.Namespace) []string {
	n.t.Helper()
	result, err := n.try(id, pod)
	if err != nil {
		n.t.Fatalf("ADD of %s: %v", id, err)
	}
	var out []string
	for _, ip := range result.IPs {
		out = append(out, ip.Address.IP.String())
	}
	return out
}

func (n *node) do(operation func(*skel.CmdArgs) error, args *skel.CmdArgs) error {
	return n.ns.Try(func() error { return operation(args) })
}

// links returns the names of the node's links without lo.
func (n *node) links() []string {
	n.t.Helper()
	var out []string
	for line := range strings.Lines(n.ns.Run(n.t, "ip", "-br", "link")) {
		name, _, _ := strings.Cut(strings.Fields(line)[0], "@")
		if name != "lo" {
			out = append(out, name)
		}
	}
	return out
}

func (n *node) leases() []ipam.Lease {
	n.t.Helper()
	store, err := ipam.Open(LeaseFolder(n.conf["dataDir"].(string), "skiff"))
	if err != nil {
		n.t.Fatal(err)
	}
	leases, err := store.Leases()
	if err != nil {
		n.t.Fatal(err)
	}
	return leases
}

// TestPods: two pods reach each other, the node and themselves, in both IP
// families, and the node reaches them. Conformance: "Networking Granular Checks:
// Pods should function for intra-pod communication", "for node-pod communication".
func TestPods(t *testing.T) {
	n := newNode(t)
	a, b := testnet.New(t), testnet.New(t)
	first, second := n.add("aaa", a), n.add("bbb", b)
	if fmt.Sprint(first, second) != "[10.244.3.2 fd00:244:3::2] [10.244.3.3 fd00:244:3::3]" {
		t.Fatalf("addresses %v %v", first, second)
	}
	for _, host := range []string{"10.244.3.3", "[fd00:244:3::3]"} {
		b.Serve(t, "tcp", host+":80", "b")
		b.Serve(t, "udp", host+":53", "b")
	}
	n.ns.Serve(t, "tcp", "10.244.3.1:80", "node")
	n.ns.Serve(t, "tcp", "[fd00:244:3::1]:80", "node")
	for _, test := range []struct {
		from             *testnet.Namespace
		network, address string
		want             testnet.Answer
	}{
		{a, "tcp", "10.244.3.3:80", testnet.Answer{Name: "b", From: "10.244.3.2"}},
		{a, "udp", "10.244.3.3:53", testnet.Answer{Name: "b", From: "10.244.3.2"}},
		{a, "tcp", "[fd00:244:3::3]:80", testnet.Answer{Name: "b", From: "fd00:244:3::2"}},
		{a, "tcp", "10.244.3.1:80", testnet.Answer{Name: "node", From: "10.244.3.2"}},
		{a, "tcp", "[fd00:244:3::1]:80", testnet.Answer{Name: "node", From: "fd00:244:3::2"}},
		{n.ns, "tcp", "10.244.3.3:80", testnet.Answer{Name: "b", From: "10.244.3.1"}},
		{n.ns, "udp", "[fd00:244:3::3]:53", testnet.Answer{Name: "b", From: "fd00:244:3::1"}},
		{b, "tcp", "10.244.3.3:80", testnet.Answer{Name: "b", From: "10.244.3.3"}},
	} {
		if got, err := test.from.Ask(test.network, test.address, 0); err != nil || got != test.want {
			t.Errorf("%s %s: got %+v, %v; want %+v", test.network, test.address, got, err, test.want)
		}
	}
	if err := n.do(Check, n.args("aaa", a.File, nil)); err != nil {
		t.Errorf("CHECK: %v", err)
	}
	if route := a.Run(t, "ip", "route"); !strings.Contains(route, "default via 10.244.3.1 dev eth0") {
		t.Errorf("routes of a pod:\n%s", route)
	}
	if link := a.Run(t, "ip", "link", "show", "eth0"); !strings.Contains(link, "mtu 1400") || !strings.Contains(link, "0a:58:0a:f4:03:02") {
		t.Errorf("link of a pod:\n%s", link)
	}
	if hairpin := n.ns.Run(t, "ip", "-d", "link", "show", netlink.HostVeth("aaa", "eth0")); !strings.Contains(hairpin, "hairpin on") {
		t.Errorf("no hairpin mode:\n%s", hairpin)
	}
}

// TestRepeat: ADD and DEL may be repeated, and leave nothing behind.
func TestRepeat(t *testing.T) {
	n := newNode(t)
	a := testnet.New(t)
	first := n.add("aaa", a)
	if again := n.add("aaa", a); fmt.Sprint(again) != fmt.Sprint(first) {
		t.Errorf("the second ADD gives %v, the first gave %v", again, first)
	}
	// Half of the cable lost: ADD mends it.
	n.ns.Run(t, "ip", "link", "del", netlink.HostVeth("aaa", "eth0"))
	if err := n.do(Check, n.args("aaa", a.File, nil)); err == nil {
		t.Error("CHECK does not see that the cable is gone")
	}
	if again := n.add("aaa", a); fmt.Sprint(again) != fmt.Sprint(first) {
		t.Errorf("ADD after a loss gives %v, the first gave %v", again, first)
	}
	for range 2 {
		if err := n.do(Del, n.args("aaa", a.File, nil)); err != nil {
			t.Fatalf("DEL: %v", err)
		}
	}
	if links := n.links(); fmt.Sprint(links) != "[cni0]" {
		t.Errorf("links after DEL: %v", links)
	}
	if leases := n.leases(); len(leases) != 0 {
		t.Errorf("leases after DEL: %v", leases)
	}
	if links := a.Run(t, "ip", "-br", "link"); strings.Contains(links, "eth0") {
		t.Errorf("the container still has a link:\n%s", links)
	}
}

// TestDelWithoutNamespace: the pause container died; the address comes back.
func TestDelWithoutNamespace(t *testing.T) {
	n := newNode(t)
	a := testnet.New(t)
	n.add("aaa", a)
	a.Close(t)
	for _, netns := range []string{a.File, ""} {
		if err := n.do(Del, n.args("aaa", netns, nil)); err != nil {
			t.Errorf("DEL with netns %q: %v", netns, err)
		}
	}
	if leases := n.leases(); len(leases) != 0 {
		t.Errorf("leases: %v", leases)
	}
}

// TestForeignInterface: an eth0 that somebody else made is not touched.
func TestForeignInterface(t *testing.T) {
	n := newNode(t)
	a := testnet.New(t)
	a.Run(t, "ip", "link", "add", "eth0", "type", "bridge")
	if _, err := n.try("aaa", a); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("got %v, want a refusal", err)
	}
	if leases := n.leases(); len(leases) != 0 {
		t.Errorf("leases: %v", leases)
	}
	a.Run(t, "ip", "link", "show", "eth0")
}

func TestForeignBridge(t *testing.T) {
	n := newNode(t)
	n.ns.Run(t, "ip", "link", "add", "cni0", "type", "bridge")
	n.ns.Run(t, "ip", "link", "add", "theirs", "master", "cni0", "type", "veth", "peer", "name", "other")
	if _, err := n.try("aaa", testnet.New(t)); err == nil || !strings.Contains(err.Error(), "belongs to another program") {
		t.Errorf("got %v, want a refusal", err)
	}
	n.ns.Do(t, func() error { return netlink.DeleteBridge("cni0") })
	if links := n.links(); len(links) != 3 {
		t.Errorf("DeleteBridge took links of others, left: %v", links)
	}
}

// TestParallel: 50 ADDs at once, on a node that has no bridge yet.
func TestParallel(t *testing.T) {
	n := newNode(t)
	const count = 50
	pods := make([]*testnet.Namespace, count)
	for i := range pods {
		pods[i] = testnet.New(t)
	}
	var mu sync.Mutex
	seen := map[netip.Addr]int{}
	var wg sync.WaitGroup
	for i, pod := range pods {
		wg.Go(func() {
			result, err := n.try(fmt.Sprint("pod", i), pod)
			if err != nil {
				t.Errorf("ADD %d: %v", i, err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, ip := range result.IPs {
				addr, _ := netip.AddrFromSlice(ip.Address.IP)
				if other, doubled := seen[addr.Unmap()]; doubled {
					t.Errorf("pods %d and %d both have %s", i, other, addr)
				}
				seen[addr.Unmap()] = i
			}
		})
	}
	wg.Wait()
	if len(seen) != 2*count {
		t.Fatalf("%d addresses, want %d", len(seen), 2*count)
	}
	pods[count-1].Serve(t, "tcp", ":80", "last")
	for addr, i := range seen {
		if i == count-1 && addr.Is4() {
			if _, err := pods[0].Ask("tcp", netip.AddrPortFrom(addr, 80).String(), 0); err != nil {
				t.Errorf("the first pod does not reach the last: %v", err)
			}
		}
	}
	// GC: all but one are unknown to the runtime.
	keep := map[string]any{"cni.dev/valid-attachments": []types.GCAttachment{{ContainerID: "pod7", IfName: "eth0"}}}
	if err := n.do(GC, n.args("", "", keep)); err != nil {
		t.Fatalf("GC: %v", err)
	}
	if links := n.links(); len(links) != 2 {
		t.Errorf("links after GC: %v", links)
	}
	if leases := n.leases(); len(leases) != 2 {
		t.Errorf("leases after GC: %v", leases)
	}
	if err := n.do(Check, n.args("pod7", pods[7].File, nil)); err != nil {
		t.Errorf("GC took a valid pod: %v", err)
	}
	n.ns.Do(t, func() error { return netlink.DeleteBridge("cni0") })
	if links := n.links(); len(links) != 0 {
		t.Errorf("links at the end: %v", links)
	}
}

// TestNewPodCIDR: the bridge follows the configuration.
func TestNewPodCIDR(t *testing.T) {
	n := newNode(t)
	n.add("aaa", testnet.New(t))
	n.conf["subnets"] = []string{"10.244.9.0/24"}
	if got := n.add("bbb", testnet.New(t)); fmt.Sprint(got) != "[10.244.9.2]" {
		t.Errorf("address %v", got)
	}
	addrs := n.ns.Run(t, "ip", "-br", "addr", "show", "cni0")
	if !strings.Contains(addrs, "10.244.9.1/24") || strings.Contains(addrs, "10.244.3.1") {
		t.Errorf("the bridge has %s", addrs)
	}
}

func TestStatus(t *testing.T) {
	n := newNode(t)
	if err := n.do(Status, n.args("", "", nil)); err != nil {
		t.Errorf("STATUS: %v", err)
	}
	n.conf["dataDir"] = "/proc/no-such-folder"
	var cniError *types.Error
	if err := n.do(Status, n.args("", "", nil)); err == nil || !asCNI(err, &cniError) || cniError.Code != errNotAvailable {
		t.Errorf("STATUS without store: %v", err)
	}
}

func asCNI(err error, target **types.Error) (ok bool) {
	*target, ok = err.(*types.Error)
	return ok
}

func TestParse(t *testing.T) {
	const good = `"name":"skiff","type":"skiff-cni","bridge":"cni0","dataDir":"/var/lib/x"`
	tests := []struct{ name, text, problem string }{
		{"good", `{` + good + `,"subnets":["10.244.0.0/24","fd00::/64"]}`, ""},
		{"no JSON", `{`, "unexpected end"},
		{"no subnet", `{` + good + `}`, "no pod CIDR"},
		{"bad subnet", `{` + good + `,"subnets":["10.244.0.0"]}`, "reading the network configuration"},
		{"small subnet", `{` + good + `,"subnets":["10.244.0.0/31"]}`, "no room"},
		{"two of a family", `{` + good + `,"subnets":["10.244.0.0/24","10.245.0.0/24"]}`, "second of its IP family"},
		{"path as name", `{"name":"../x","bridge":"cni0","dataDir":"/d","subnets":["10.244.0.0/24"]}`, "not the name of a network"},
		{"relative folder", `{"name":"x","bridge":"cni0","dataDir":"d","subnets":["10.244.0.0/24"]}`, "not an absolute path"},
		{"long bridge", `{"name":"x","bridge":"a-bridge-with-a-long-name","dataDir":"/d","subnets":["10.244.0.0/24"]}`, "not the name of a link"},
		{"negative MTU", `{` + good + `,"mtu":-1,"subnets":["10.244.0.0/24"]}`, "mtu"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parse([]byte(test.text))
			if (err == nil) != (test.problem == "") || err != nil && !strings.Contains(err.Error(), test.problem) {
				t.Errorf("got %v, want %q", err, test.problem)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"name":"skiff","bridge":"cni0","dataDir":"/d","subnets":["10.244.0.0/24"]}`))
	f.Add([]byte(`{"subnets":["::ffff:10.0.0.0/104"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := parse(text)
		if err != nil {
			return
		}
		for _, a := range c.BridgeAddresses() {
			if !a.IsValid() {
				t.Errorf("%q gives the bridge the address %s", text, a)
			}
		}
	})
}
