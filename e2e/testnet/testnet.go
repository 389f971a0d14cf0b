// Package testnet gives tests of kernel code network namespaces to play in, so
// that nothing they do touches the machine.
//
// A package's TestMain calls Main, which runs all its tests in a fresh network
// and mount namespace: even a mistake in a test cannot reach the host's rules or
// links. Inside it, New makes further namespaces that stand for pods, nodes or
// clients. Where that is not possible (no root), tests that call New are skipped.
package testnet

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const insideVariable = "SKIFF_TESTNET"

// Main runs a package's tests in fresh network and mount namespaces if it can.
// Use: func TestMain(m *testing.M) { os.Exit(testnet.Main(m)) }
func Main(m *testing.M) int {
	if os.Getenv(insideVariable) == "inside" {
		if err := prepare(); err != nil {
			fmt.Fprintln(os.Stderr, "testnet:", err)
			return 1
		}
		return m.Run()
	}
	if os.Getuid() != 0 {
		return m.Run() // New skips
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideVariable+"=inside", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	// The death signal follows the thread that started the child.
	runtime.LockOSThread()
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "testnet: no namespaces here, kernel tests are skipped:", err)
		return m.Run()
	}
	if err := cmd.Wait(); err != nil {
		return max(cmd.ProcessState.ExitCode(), 1)
	}
	return 0
}

func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	return loopbackUp()
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("setting lo up: %w", err)
	}
	return nil
}

// Require skips the test unless the machine lets it make namespaces and has the programs.
func Require(t testing.TB, programs ...string) {
	t.Helper()
	if os.Getenv(insideVariable) != "inside" {
		t.Skip("needs root and the right to make network namespaces")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs the program %s", p)
		}
	}
}

// Namespace is a network namespace with lo up. It is gone after the test.
type Namespace struct {
	ns   ns.NetNS
	File string // a path that names it, as CNI_NETNS does
}

// New makes a namespace.
func New(t testing.TB) *Namespace {
	t.Helper()
	Require(t)
	temp, err := ns.TempNetNS()
	if err != nil {
		t.Fatalf("making a network namespace: %v", err)
	}
	n := &Namespace{ns: temp, File: filepath.Join(t.TempDir(), "netns")}
	if err := os.WriteFile(n.File, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", temp.Fd()), n.File, "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("binding the network namespace: %v", err)
	}
	t.Cleanup(func() { n.Close(t) })
	n.Do(t, func() error { return loopbackUp() })
	return n
}

// Close ends the namespace early, as when a pod's pause container dies.
func (n *Namespace) Close(t testing.TB) {
	t.Helper()
	if n.ns == nil {
		return
	}
	if err := unix.Unmount(n.File, unix.MNT_DETACH); err != nil {
		t.Errorf("unbinding the network namespace: %v", err)
	}
	if err := n.ns.Close(); err != nil {
		t.Errorf("closing the network namespace: %v", err)
	}
	n.ns = nil
	if err := os.Remove(n.File); err != nil {
		t.Errorf("removing the network namespace's file: %v", err)
	}
}

// Do calls a function on a thread inside the namespace. What the function starts
// as goroutines runs outside.
func (n *Namespace) Do(t testing.TB, do func() error) {
	t.Helper()
	if err := n.Try(do); err != nil {
		t.Fatal(err)
	}
}

// Try is Do for functions that may fail.
func (n *Namespace) Try(do func() error) error {
	return n.ns.Do(func(ns.NetNS) error { return do() })
}

// Run runs a program inside the namespace and returns what it printed.
func (n *Namespace) Run(t testing.TB, words ...string) string {
	t.Helper()
	return n.Pipe(t, "", words...)
}

// Pipe is Run with something on the standard input.
func (n *Namespace) Pipe(t testing.TB, stdin string, words ...string) string {
	t.Helper()
	var out bytes.Buffer
	n.Do(t, func() error {
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &out
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, out.String())
		}
		return nil
	})
	return out.String()
}

// Cable joins two namespaces by a veth pair and gives both ends an address.
func Cable(t testing.TB, a *Namespace, aName, aCIDR string, b *Namespace, bName, bCIDR string) {
	t.Helper()
	a.Do(t, func() error {
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: aName}, PeerName: bName, PeerNamespace: netlink.NsFd(int(b.ns.Fd())),
		})
	})
	for _, end := range []struct {
		n          *Namespace
		name, cidr string
	}{{a, aName, aCIDR}, {b, bName, bCIDR}} {
		end.n.Do(t, func() error {
			link, err := netlink.LinkByName(end.name)
			if err != nil {
				return err
			}
			addr, err := netlink.ParseAddr(end.cidr)
			if err != nil {
				return err
			}
			addr.Flags = unix.IFA_F_NODAD
			if err := netlink.AddrAdd(link, addr); err != nil {
				return err
			}
			return netlink.LinkSetUp(link)
		})
	}
}
