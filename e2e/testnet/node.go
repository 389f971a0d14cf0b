package testnet

import (
	"fmt"
	"os"
	"testing"

	"github.com/containernetworking/plugins/pkg/ns"
)

// The addresses of a Node and of the world beside it.
const (
	NodeIP   = "192.0.2.10"
	NodeIP6  = "2001:db8::10"
	WorldIP  = "192.0.2.99"
	WorldIP6 = "2001:db8::99"
)

// Node is a namespace that routes between pods on a bridge and a world outside,
// in both IP families. Pods have addresses in 10.244.0.0/24 and fd00:244::/64.
type Node struct {
	*Namespace
	World *Namespace
	pods  int
}

// Pod is a namespace on a node's bridge.
type Pod struct {
	*Namespace
	IP, IP6 string
}

// NewNode makes a node in a namespace of its own.
func NewNode(t testing.TB) *Node {
	t.Helper()
	Require(t, "ip")
	return setUpNode(t, New(t))
}

// CurrentNode makes a node of the namespace that the test process itself is in,
// for code that starts goroutines. It is torn down after the test.
func CurrentNode(t testing.TB) *Node {
	t.Helper()
	Require(t, "ip")
	current, err := ns.GetCurrentNS()
	if err != nil {
		t.Fatal(err)
	}
	n := setUpNode(t, &Namespace{ns: current})
	t.Cleanup(func() {
		for _, link := range []string{"br0", "uplink"} {
			n.Run(t, "ip", "link", "del", link)
		}
		current.Close()
	})
	return n
}

func setUpNode(t testing.TB, in *Namespace) *Node {
	t.Helper()
	n := &Node{Namespace: in, World: New(t)}
	withoutDAD(t, n.Namespace, n.World)
	Cable(t, n.Namespace, "uplink", NodeIP+"/24", n.World, "eth0", WorldIP+"/24")
	for _, words := range [][]string{
		{"link", "add", "br0", "type", "bridge"},
		{"addr", "add", "10.244.0.1/24", "dev", "br0"},
		{"addr", "add", "fd00:244::1/64", "dev", "br0", "nodad"},
		{"link", "set", "br0", "up"},
		{"addr", "add", NodeIP6 + "/64", "dev", "uplink", "nodad"},
		{"route", "add", "default", "via", WorldIP},
		{"-6", "route", "add", "default", "via", WorldIP6},
	} {
		n.Run(t, append([]string{"ip"}, words...)...)
	}
	n.Do(t, func() error {
		for _, name := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv4/conf/all/route_localnet", "bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables"} {
			if err := os.WriteFile("/proc/sys/net/"+name, []byte("1"), 0o644); err != nil {
				return err
			}
		}
		return nil
	})
	// The world can reach everything behind the node, so that a test sees what
	// the node lets through.
	n.World.Run(t, "ip", "addr", "add", WorldIP6+"/64", "dev", "eth0", "nodad")
	for _, route := range []string{"10.0.0.0/8", "203.0.113.0/24"} {
		n.World.Run(t, "ip", "route", "add", route, "via", NodeIP)
	}
	n.World.Run(t, "ip", "route", "add", "fd00::/16", "via", NodeIP6)
	return n
}

// withoutDAD spares IPv6 the second in which it makes sure that nobody else has
// an address.
func withoutDAD(t testing.TB, namespaces ...*Namespace) {
	t.Helper()
	for _, n := range namespaces {
		n.Do(t, func() error { return os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0o644) })
	}
}

// Pod adds a pod.
func (n *Node) Pod(t testing.TB) *Pod {
	t.Helper()
	n.pods++
	number := n.pods + 1
	p := &Pod{Namespace: New(t), IP: fmt.Sprint("10.244.0.", number), IP6: fmt.Sprintf("fd00:244::%x", number)}
	name := fmt.Sprint("pod", n.pods)
	withoutDAD(t, p.Namespace)
	Cable(t, n.Namespace, name, "169.254.0.1/32", p.Namespace, "eth0", p.IP+"/24")
	n.Run(t, "ip", "addr", "del", "169.254.0.1/32", "dev", name)
	n.Run(t, "ip", "link", "set", name, "master", "br0")
	n.Run(t, "ip", "link", "set", name, "type", "bridge_slave", "hairpin", "on")
	p.Run(t, "ip", "addr", "add", p.IP6+"/64", "dev", "eth0", "nodad")
	p.Run(t, "ip", "route", "add", "default", "via", "10.244.0.1")
	p.Run(t, "ip", "-6", "route", "add", "default", "via", "fd00:244::1")
	return p
}
