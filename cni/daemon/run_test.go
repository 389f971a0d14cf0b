package daemon

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/skiff-project/skiff/e2e/testenv"
	"github.com/skiff-project/skiff/e2e/testnet"
)

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, 20*time.Second, true, func(context.Context) (bool, error) { return ok(), nil })
	if err != nil {
		t.Fatalf("waiting until %s: %v", what, err)
	}
}

// TestRun: the node gets its pod CIDR after the daemon has begun, and the
// configuration appears; what is taken away comes back at the next look.
func TestRun(t *testing.T) {
	testnet.Require(t, "iptables", "ip")
	env := testenv.Start(t)
	nodes := env.Client.CoreV1().Nodes()
	if _, err := nodes.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-a"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	clock := testingclock.NewFakeClock(time.Now())
	config := Config{RESTConfig: env.ConfigFor("system:skiff:cni"), NodeName: "node-a", ClusterCIDRs: prefixes("10.244.0.0/16"),
		ConfDir: filepath.Join(t.TempDir(), "net.d"), DataDir: t.TempDir(), Bridge: "cni-test", Clock: clock}
	d, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	logger, ctx := ktesting.NewTestContext(t)
	ctx, cancel := context.WithCancel(klog.NewContext(ctx, logger))
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stop := func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		done <- nil
	}
	defer stop()

	file := filepath.Join(config.ConfDir, ConfigFile)
	has := func(text string) func() bool {
		return func() bool { now, err := os.ReadFile(file); return err == nil && strings.Contains(string(now), text) }
	}
	patch := []byte(`{"spec":{"podCIDR":"10.244.3.0/24","podCIDRs":["10.244.3.0/24"]}}`)
	if _, err := nodes.Patch(ctx, "node-a", types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	eventually(t, "the configuration is there", has("10.244.3.0/24"))
	t.Logf("pod CIDR to configuration: %s", time.Since(start))
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	clock.Step(defaultResync)
	eventually(t, "the configuration is back", has("10.244.3.0/24"))
	stop()
	if err := Cleanup(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

func TestNew(t *testing.T) {
	for _, test := range []struct {
		name    string
		config  Config
		problem string
	}{
		{"good", Config{RESTConfig: &rest.Config{}, NodeName: "a"}, ""},
		{"no client", Config{NodeName: "a"}, "RESTConfig"},
		{"no node", Config{RESTConfig: &rest.Config{}}, "NodeName"},
		{"bad MTU", Config{RESTConfig: &rest.Config{}, NodeName: "a", MTU: -1}, "MTU"},
	} {
		_, err := New(test.config)
		if (err == nil) != (test.problem == "") || err != nil && !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.problem)
		}
	}
	o := NewOptions()
	o.Kubeconfig, o.ClusterCIDR = "", "10.244.0.0"
	if problems := o.Validate(); len(problems) != 2 {
		t.Errorf("got %v, want two problems", problems)
	}
}
