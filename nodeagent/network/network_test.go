package network

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	types100 "github.com/containernetworking/cni/pkg/types/100"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// plugin is a CNI plugin in sh that writes down how it is called. It fails while the file "fail" exists.
const plugin = `#!/bin/sh
{ echo "command=$CNI_COMMAND container=$CNI_CONTAINERID netns=$CNI_NETNS if=$CNI_IFNAME args=$CNI_ARGS"; echo "config=$(cat | tr -d '\n')"; } >> %DIR%/calls
[ "$CNI_COMMAND" = VERSION ] && { echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'; exit 0; }
[ -e %DIR%/fail ] && { echo '{"cniVersion":"1.0.0","code":11,"msg":"no more addresses"}'; exit 1; }
[ "$CNI_COMMAND" = ADD ] && cat <<END
{"cniVersion":"1.0.0",
 "interfaces":[{"name":"veth1"},{"name":"eth0","sandbox":"$CNI_NETNS"}],
 "ips":[{"address":"10.244.0.1/24","interface":0},{"address":"10.244.0.5/24","interface":1},{"address":"fd00::5/64","interface":1}]}
END
exit 0
`

const conflist = `{"cniVersion":"1.0.0","name":"skiff","plugins":[
  {"type":"test-plugin","mark":"%MARK%","capabilities":{"portMappings":true}}]}`

type fixture struct {
	t      *testing.T
	dir    string
	config Config
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	dir := t.TempDir()
	f := &fixture{t: t, dir: dir, config: Config{ConfDir: filepath.Join(dir, "net.d"), BinDirs: []string{filepath.Join(dir, "bin")}, CacheDir: filepath.Join(dir, "cache")}}
	for _, d := range []string{f.config.ConfDir, f.config.BinDirs[0]} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f.write("bin/test-plugin", strings.ReplaceAll(plugin, "%DIR%", dir))
	if err := os.Chmod(filepath.Join(dir, "bin/test-plugin"), 0o755); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) write(name, text string) {
	f.t.Helper()
	file := filepath.Join(f.dir, name)
	if err := os.WriteFile(file+".tmp", []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(file+".tmp", file); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) configure(name, mark string) {
	f.write("net.d/"+name, strings.ReplaceAll(conflist, "%MARK%", mark))
}

func (f *fixture) open() *Network {
	f.t.Helper()
	network, err := New(f.config)
	if err != nil {
		f.t.Fatal(err)
	}
	return network
}

// calls returns and forgets how the plugin was called, without VERSION.
func (f *fixture) calls() []string {
	f.t.Helper()
	file := filepath.Join(f.dir, "calls")
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		f.t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		f.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	var calls []string
	for i := 0; i+1 < len(lines); i += 2 {
		if !strings.HasPrefix(lines[i], "command=VERSION") {
			calls = append(calls, lines[i]+" "+lines[i+1])
		}
	}
	return calls
}

func testPod() Pod {
	return Pod{PodRef: runtime.PodRef{UID: "uid-1", Namespace: "shop", Name: "web-0"}, SandboxID: "sandbox-1", NetNS: "/proc/self/ns/net"}
}

func TestLifeOfAPod(t *testing.T) {
	f := newFixture(t)
	f.configure("10-skiff.conflist", "first")
	ctx, pod := t.Context(), testPod()
	network := f.open()
	result, err := network.Add(ctx, pod)
	if err != nil {
		t.Fatal(err)
	}
	want := []netip.Addr{netip.MustParseAddr("10.244.0.5"), netip.MustParseAddr("fd00::5")}
	if !slices.Equal(result.IPs, want) {
		t.Errorf("addresses %v, want %v", result.IPs, want)
	}
	calls := f.calls()
	const args = "command=ADD container=sandbox-1 netns=/proc/self/ns/net if=eth0 " +
		"args=IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=sandbox-1;K8S_POD_UID=uid-1"
	if len(calls) != 1 || !strings.HasPrefix(calls[0], args) || strings.Contains(calls[0], "runtimeConfig") {
		t.Errorf("ADD: %v", calls)
	}

	// The agent is started again, and the configuration has changed since.
	f.configure("10-skiff.conflist", "second")
	network = f.open()
	if cached, ok := network.Cached(pod); !ok || !slices.Equal(cached.IPs, want) {
		t.Errorf("cached: %v, %v", cached, ok)
	}
	if err := network.Check(ctx, pod); err != nil {
		t.Errorf("Check: %v", err)
	}
	f.calls()
	pod.NetNS = "/proc/self/ns/no-such-namespace" // the machine was restarted
	if err := network.Del(ctx, pod); err != nil {
		t.Fatal(err)
	}
	calls = f.calls()
	if len(calls) != 1 || !strings.Contains(calls[0], "command=DEL container=sandbox-1 netns= ") || !strings.Contains(calls[0], `"mark":"first"`) ||
		!strings.Contains(calls[0], `"prevResult"`) {
		t.Errorf("DEL must be told what ADD was, without the namespace: %v", calls)
	}
	if _, ok := network.Cached(pod); ok {
		t.Error("still cached after DEL")
	}
	if err := network.Del(ctx, pod); err != nil {
		t.Errorf("a second DEL: %v", err)
	}
}

func TestPortMappings(t *testing.T) {
	f := newFixture(t)
	f.configure("10-skiff.conflist", "x")
	pod := testPod()
	pod.Ports = []PortMapping{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}
	if _, err := f.open().Add(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if calls := f.calls(); !strings.Contains(calls[0], `"runtimeConfig":{"portMappings":[{"containerPort":80,"hostPort":8080,"protocol":"tcp"}]}`) &&
		!strings.Contains(calls[0], `"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]}`) {
		t.Errorf("ADD: %v", calls)
	}
}

func TestFailures(t *testing.T) {
	f := newFixture(t)
	network := f.open()
	pod := testPod()
	if err := network.Ready(); err == nil || !strings.Contains(err.Error(), "cni plugin not initialized") {
		t.Errorf("without a configuration: %v", err)
	}
	if _, err := network.Add(t.Context(), pod); err == nil {
		t.Error("a pod was put into no network")
	}
	if err := network.Del(t.Context(), pod); err != nil {
		t.Errorf("taking a pod out of no network: %v", err)
	}
	f.configure("10-skiff.conflist", "x")
	network = f.open()
	f.write("fail", "")
	if _, err := network.Add(t.Context(), pod); err == nil || !strings.Contains(err.Error(), "no more addresses") || !strings.Contains(err.Error(), `type="test-plugin" name="skiff" failed (add)`) {
		t.Errorf("a plugin that fails: %v", err)
	}
	if err := network.Del(t.Context(), pod); err == nil {
		t.Error("a DEL that failed reports success")
	}
	for _, config := range []Config{{}, {ConfDir: "x"}, {ConfDir: "x", BinDirs: []string{"y"}}} {
		if _, err := New(config); err == nil {
			t.Errorf("%+v was accepted", config)
		}
	}
}

func TestChoice(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  string // the network's name
	}{
		{"the first by name", map[string]string{"20-b.conflist": named("b"), "10-a.conflist": named("a")}, "a"},
		{"a broken one is passed over", map[string]string{"10-a.conflist": "{", "20-b.conflist": named("b")}, "b"},
		{"one without plugins too", map[string]string{"10-a.conflist": `{"name":"a","cniVersion":"1.0.0","plugins":[]}`, "20-b.conflist": named("b")}, "b"},
		{"other files do not count", map[string]string{"10-a.conflist.swp": named("a"), "20-b.conflist": named("b")}, "b"},
		{"a single plugin", map[string]string{"10-a.conf": `{"name":"a","cniVersion":"0.4.0","type":"test-plugin"}`}, "a"},
		{"a single plugin without type", map[string]string{"10-a.conf": `{"name":"a"}`}, ""},
		{"nothing", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			list, err := firstConfig(dir)
			if tt.want == "" {
				if err == nil {
					t.Errorf("got network %q, want an error", list.Name)
				}
				return
			}
			if err != nil || list.Name != tt.want {
				t.Errorf("got %+v, %v, want network %q", list, err, tt.want)
			}
		})
	}
}

func named(name string) string {
	return `{"name":"` + name + `","cniVersion":"1.0.0","plugins":[{"type":"test-plugin"}]}`
}

// TestReadiness: the CNI daemon writes its configuration at any time after the agent's start, and takes it away.
func TestReadiness(t *testing.T) {
	f := newFixture(t)
	changes := make(chan struct{}, 100)
	f.config.OnChange = func() { changes <- struct{}{} }
	network := f.open()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- network.Run(ctx) }()
	until := func(ready bool) {
		t.Helper()
		err := wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
			return (network.Ready() == nil) == ready, nil
		})
		if err != nil {
			t.Fatalf("waiting for ready=%v: %v", ready, network.Ready())
		}
		select {
		case <-changes:
		case <-time.After(10 * time.Second):
			t.Fatal("nobody was told")
		}
	}
	f.configure("10-skiff.conflist", "x")
	until(true)
	if err := os.Remove(filepath.Join(f.config.ConfDir, "10-skiff.conflist")); err != nil {
		t.Fatal(err)
	}
	until(false)
	f.configure("10-skiff.conflist", "y")
	until(true)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func FuzzReadConfig(f *testing.F) {
	f.Add([]byte(named("a")), ".conflist")
	f.Add([]byte(`{"name":"a","type":"b"}`), ".conf")
	f.Fuzz(func(t *testing.T, data []byte, extension string) {
		if extension != ".conf" && extension != ".conflist" && extension != ".json" {
			return
		}
		file := filepath.Join(t.TempDir(), "x"+extension)
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if list, err := readConfig(file); err == nil && !json.Valid(list.Bytes) {
			t.Errorf("%q is taken for a configuration", data)
		}
	})
}

func TestPodIPs(t *testing.T) {
	if got := podIPs(&types100.Result{}); len(got.IPs) != 0 {
		t.Errorf("got %v", got)
	}
}
