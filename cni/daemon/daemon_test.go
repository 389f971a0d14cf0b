package daemon

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/libcni"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/coreos/go-iptables/iptables"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"

	"github.com/skiff-project/skiff/cni/plugin"
	"github.com/skiff-project/skiff/e2e/testnet"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestPodCIDRs(t *testing.T) {
	tests := []struct {
		name string
		spec corev1.NodeSpec
		want string
	}{
		{"none", corev1.NodeSpec{}, errNoPodCIDR.Error()},
		{"one", corev1.NodeSpec{PodCIDR: "10.244.3.0/24"}, "[10.244.3.0/24]"},
		{"two", corev1.NodeSpec{PodCIDR: "10.244.3.0/24", PodCIDRs: []string{"10.244.3.0/24", "fd00::/64"}}, "[10.244.3.0/24 fd00::/64]"},
		{"bad", corev1.NodeSpec{PodCIDRs: []string{"x"}}, "reading the node's pod CIDR"},
	}
	for _, test := range tests {
		got, err := podCIDRs(&corev1.Node{Spec: test.spec})
		if s := fmt.Sprint(got); err != nil && !strings.Contains(err.Error(), test.want) || err == nil && s != test.want {
			t.Errorf("%s: got %v, %v; want %s", test.name, got, err, test.want)
		}
	}
}

// TestGolden pins the rules and the CNI configuration.
func TestGolden(t *testing.T) {
	var b strings.Builder
	cluster, node := prefixes("10.244.0.0/16", "fd00:244::/56"), prefixes("10.244.3.0/24", "fd00:244:0:3::/64")
	for _, is4 := range []bool{true, false} {
		for _, c := range chains(cluster, node, is4, true) {
			fmt.Fprintf(&b, "*%s\n-A %s %s\n", c.table, c.from, strings.Join(c.jump(), " "))
			for _, r := range c.rules {
				fmt.Fprintf(&b, "-A %s %s\n", c.name, strings.Join(r, " "))
			}
		}
	}
	conf := &plugin.Config{Bridge: "cni0", MTU: 1450, Subnets: node, DataDir: "/var/lib/cni/networks"}
	conf.Name, conf.Type = NetworkName, plugin.Type
	text, err := conflist(conf)
	if err != nil {
		t.Fatal(err)
	}
	b.Write(text)
	const golden = "testdata/plan.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("got (run with -update to accept):\n%s", b.String())
	}
}

// TestForeignCIDR: after a restart with another cluster CIDR the node's pods keep
// their addresses, and must keep their network too.
func TestForeignCIDR(t *testing.T) {
	for _, test := range []struct {
		name          string
		cluster, node []netip.Prefix
		accepted      []string
	}{
		{"inside", prefixes("10.244.0.0/16"), prefixes("10.244.3.0/24"), []string{"10.244.0.0/16"}},
		{"outside", prefixes("10.100.0.0/16"), prefixes("10.244.3.0/24"), []string{"10.100.0.0/16", "10.244.3.0/24"}},
		{"larger", prefixes("10.244.3.0/25"), prefixes("10.244.3.0/24"), []string{"10.244.3.0/25", "10.244.3.0/24"}},
		{"not known", nil, prefixes("10.244.3.0/24"), []string{"10.244.3.0/24"}},
	} {
		var forward, masquerade []string
		for _, cidr := range test.accepted {
			forward = append(forward, "-s "+cidr+" -j ACCEPT", "-d "+cidr+" -j ACCEPT")
			masquerade = append(masquerade, "-s 10.244.3.0/24 -d "+cidr+" -j RETURN")
		}
		masquerade = append(masquerade, "-s 10.244.3.0/24 ! -d 224.0.0.0/4 -j MASQUERADE")
		got := chains(test.cluster, test.node, true, false)
		for i, want := range [][]string{forward, masquerade} {
			var rules []string
			for _, r := range got[i].rules {
				rules = append(rules, strings.Join(r, " "))
			}
			if !slices.Equal(rules, want) {
				t.Errorf("%s: %s has %q, want %q", test.name, got[i].name, rules, want)
			}
		}
	}
}

// node is a node with a world beside it, in network namespaces.
type node struct {
	ns, world *testnet.Namespace
	daemon    *Daemon
	ctx       context.Context
}

func newNode(t *testing.T) *node {
	t.Helper()
	testnet.Require(t, "iptables", "iptables-save")
	logger, ctx := ktesting.NewTestContext(t)
	n := &node{ns: testnet.New(t), world: testnet.New(t), ctx: klog.NewContext(ctx, logger)}
	testnet.Cable(t, n.ns, "uplink", "192.0.2.1/24", n.world, "eth0", "192.0.2.99/24")
	n.ns.Run(t, "ip", "link", "set", "uplink", "mtu", "1400")
	n.ns.Run(t, "ip", "route", "add", "default", "via", "192.0.2.99")
	// Docker's policy, and a rule and a chain of somebody else.
	n.ns.Run(t, "iptables", "-P", "FORWARD", "DROP")
	n.ns.Run(t, "iptables", "-t", "nat", "-N", "THEIRS")
	n.ns.Run(t, "iptables", "-t", "nat", "-A", "POSTROUTING", "-s", "172.17.0.0/16", "-j", "THEIRS")
	n.daemon = &Daemon{config: Config{
		ClusterCIDRs: prefixes("10.244.0.0/16"), ConfDir: filepath.Join(t.TempDir(), "net.d"), DataDir: t.TempDir(),
	}}
	n.daemon.programs = map[bool]*iptables.IPTables{}
	n.daemon.config.setDefaults()
	return n
}

func (n *node) apply(t *testing.T, cidrs ...string) {
	t.Helper()
	n.ns.Do(t, func() error { return n.daemon.apply(n.ctx, prefixes(cidrs...)) })
}

var counters = regexp.MustCompile(`\[\d+:\d+\]|(?m)^#.*$`)

func (n *node) saved(t *testing.T) string {
	t.Helper()
	return counters.ReplaceAllString(n.ns.Run(t, "iptables-save"), "")
}

// buildPlugin makes the real plugin program.
func buildPlugin(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-o", dir, "github.com/skiff-project/skiff/cmd/skiff-cni")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("needs the go command: %v: %s", err, out)
	}
	return dir
}

// TestNetwork goes the whole way: the daemon's configuration, the real plugin run
// through CNI's library as the node agent does, packets to and from the world,
// and everything taken away again.
func TestNetwork(t *testing.T) {
	n := newNode(t)
	before, linksBefore := n.saved(t), n.ns.Run(t, "ip", "-br", "link")
	n.apply(t, "10.244.3.0/24")
	conf, err := libcni.ConfListFromFile(n.daemon.config.confFile())
	if err != nil {
		t.Fatal(err)
	}
	cni := libcni.NewCNIConfigWithCacheDir([]string{buildPlugin(t)}, t.TempDir(), nil)
	a, b := testnet.New(t), testnet.New(t)
	ips := map[string]string{}
	for id, pod := range map[string]*testnet.Namespace{"aaa": a, "bbb": b} {
		runtime := &libcni.RuntimeConf{ContainerID: id, NetNS: pod.File, IfName: "eth0",
			Args: [][2]string{{"IgnoreUnknown", "1"}, {"K8S_POD_NAME", id}}}
		n.ns.Do(t, func() error {
			result, err := cni.AddNetworkList(n.ctx, conf, runtime)
			if err != nil {
				return err
			}
			r, err := types100.GetResult(result)
			ips[id] = r.IPs[0].Address.IP.String()
			return err
		})
		defer n.ns.Do(t, func() error { return cni.DelNetworkList(n.ctx, conf, runtime) })
	}
	n.ns.Do(t, func() error { return cni.GetStatusNetworkList(n.ctx, conf) })

	n.world.Serve(t, "tcp", "192.0.2.99:80", "world")
	b.Serve(t, "tcp", ":80", "b")
	if got, err := a.Ask("tcp", "192.0.2.99:80", 0); err != nil || got.From != "192.0.2.1" {
		t.Errorf("pod to world: got %+v, %v; want the node's address as source", got, err)
	}
	if got, err := a.Ask("tcp", ips["bbb"]+":80", 0); err != nil || got.From != ips["aaa"] {
		t.Errorf("pod to pod: got %+v, %v; want the pod's address as source", got, err)
	}
	n.world.Run(t, "ip", "route", "add", "10.244.0.0/16", "via", "192.0.2.1")
	if got, err := n.world.Ask("tcp", ips["bbb"]+":80", 0); err != nil || got.From != "192.0.2.99" {
		t.Errorf("world to pod: got %+v, %v", got, err)
	}
	if link := a.Run(t, "ip", "link", "show", "eth0"); !strings.Contains(link, "mtu 1400") {
		t.Errorf("a pod does not have the uplink's MTU:\n%s", link)
	}

	// Somebody flushes; the next round mends it.
	right := n.saved(t)
	for _, harm := range [][]string{{"-F", "SKIFF-FWD"}, {"-F", "FORWARD"}, {"-t", "nat", "-D", "SKIFF-POSTRTG", "1"}, {"-A", "SKIFF-FWD", "-j", "DROP"}} {
		n.ns.Run(t, append([]string{"iptables"}, harm...)...)
		if n.saved(t) == right {
			t.Fatalf("%v does no harm", harm)
		}
		n.apply(t, "10.244.3.0/24")
		if got := n.saved(t); got != right {
			t.Errorf("after %v:\n%s\nwant\n%s", harm, got, right)
		}
	}

	for range 2 {
		n.ns.Do(t, func() error { return Cleanup(n.ctx, n.daemon.config) })
	}
	if got := n.saved(t); got != before {
		t.Errorf("rules after Cleanup:\n%s\nbefore:\n%s", got, before)
	}
	if got := n.ns.Run(t, "ip", "-br", "link"); got != linksBefore {
		t.Errorf("links after Cleanup:\n%s\nbefore:\n%s", got, linksBefore)
	}
	if _, err := os.Stat(n.daemon.config.confFile()); !os.IsNotExist(err) {
		t.Errorf("the CNI configuration stays: %v", err)
	}
	if entries, _ := os.ReadDir(n.daemon.config.DataDir); len(entries) != 0 {
		t.Errorf("leases stay: %v", entries)
	}
}

// TestNewCIDR: the configuration follows the node.
func TestNewCIDR(t *testing.T) {
	n := newNode(t)
	for _, cidr := range []string{"10.244.3.0/24", "10.244.7.0/24"} {
		n.apply(t, cidr)
		text, err := os.ReadFile(n.daemon.config.confFile())
		if err != nil || !json.Valid(text) || !strings.Contains(string(text), cidr) {
			t.Errorf("configuration for %s: %s, %v", cidr, text, err)
		}
		if !strings.Contains(n.saved(t), "-A SKIFF-POSTRTG -s "+cidr+" ") {
			t.Errorf("no rules for %s:\n%s", cidr, n.saved(t))
		}
	}
	if strings.Contains(n.saved(t), "10.244.3.0/24") {
		t.Errorf("rules of the old CIDR stay:\n%s", n.saved(t))
	}
}

// TestLoadBridgeFilter: the module is loaded where its settings are missing, and
// nothing is run where they are there.
func TestLoadBridgeFilter(t *testing.T) {
	dir := t.TempDir()
	loaded, modprobe := filepath.Join(dir, "loaded"), filepath.Join(dir, "modprobe")
	if err := os.WriteFile(modprobe, []byte("#!/bin/sh\necho \"$@\" > "+loaded+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	loadBridgeFilter(t.Context(), dir, modprobe)
	if _, err := os.Stat(loaded); err == nil {
		t.Error("loaded although the settings are there")
	}
	loadBridgeFilter(t.Context(), filepath.Join(dir, "bridge"), modprobe)
	if text, err := os.ReadFile(loaded); string(text) != "br_netfilter\n" {
		t.Errorf("modprobe was called with %q, %v", text, err)
	}
	loadBridgeFilter(t.Context(), filepath.Join(dir, "bridge"), "no-such-program") // is only logged
}

// TestCleanupLeavesNoTables: on a machine that skiff never touched, nothing is made.
func TestCleanupLeavesNoTables(t *testing.T) {
	n := newNode(t)
	fresh := testnet.New(t)
	fresh.Do(t, func() error { return Cleanup(n.ctx, n.daemon.config) })
	if out := fresh.Run(t, "iptables-save") + fresh.Run(t, "ip6tables-save"); strings.TrimSpace(counters.ReplaceAllString(out, "")) != "" {
		t.Errorf("Cleanup made:\n%s", out)
	}
}

// BenchmarkAdd measures ADD by the real program, as the node agent runs it, and
// beside it the start of the program alone.
func BenchmarkAdd(b *testing.B) {
	testnet.Require(b, "iptables")
	ns, pod := testnet.New(b), testnet.New(b)
	dir := buildPlugin(b)
	conf := fmt.Sprintf(`{"cniVersion":"1.1.0","name":"skiff","type":"skiff-cni","bridge":"cni0","subnets":["10.244.0.0/16"],"dataDir":%q}`, b.TempDir())
	run := func(command, id string) {
		ns.Do(b, func() error {
			cmd := exec.Command(filepath.Join(dir, plugin.Type))
			cmd.Env = []string{"CNI_COMMAND=" + command, "CNI_CONTAINERID=" + id, "CNI_NETNS=" + pod.File, "CNI_IFNAME=eth0", "CNI_PATH=" + dir}
			cmd.Stdin = strings.NewReader(conf)
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
	}
	for _, command := range []string{"VERSION", "ADD"} {
		b.Run(command, func(b *testing.B) {
			for b.Loop() {
				run(command, "bench")
				if command == "ADD" {
					b.StopTimer()
					run("DEL", "bench")
					b.StartTimer()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(time.Millisecond/time.Microsecond), "ms/op")
		})
	}
}
