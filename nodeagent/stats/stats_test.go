package stats

import (
	"fmt"
	"io/fs"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/skiff-project/skiff/nodeagent/cgroups"
	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/runtime/fake"
	"github.com/skiff-project/skiff/nodeagent/runtime/runtimetest"
)

// tree holds what each cgroup uses.
type tree map[string]cgroups.Usage

func (t tree) Usage(_, id string) (cgroups.Usage, error) { return t.get(id) }
func (t tree) PodUsage(parent string) (cgroups.Usage, error) {
	return t.get(parent)
}
func (t tree) NodeUsage() (cgroups.Usage, error) { return t.get("/") }
func (t tree) get(key string) (cgroups.Usage, error) {
	usage, ok := t[key]
	if !ok {
		return usage, fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	return usage, nil
}

func TestSummary(t *testing.T) {
	engine := fake.New(clock.RealClock{})
	pod := runtimetest.NewPod(t, runtimetest.Env{Runtime: engine, Image: engine.AddImage("docker.io/test/app:1"), Program: "/app"})
	config := pod.Config("app", "sleep")
	config.CgroupParent = "/kubepods/burstable/pod1"
	id := pod.Start(config)
	pod.Start(pod.Config("unknown-cgroup", "sleep"))
	pod.RunToEnd(pod.Config("ended", "exit", "0"))

	usage := tree{
		"/":                        {CPUNanoseconds: 5e9, MemoryBytes: 700, WorkingSetBytes: 600},
		id:                         {CPUNanoseconds: 1e9, MemoryBytes: 100, WorkingSetBytes: 80, RSSBytes: 60, MemoryLimitBytes: 200},
		"/kubepods/burstable/pod1": {CPUNanoseconds: 2e9, MemoryBytes: 150, WorkingSetBytes: 120, Processes: 2},
	}
	now := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
	provider, err := New(Config{NodeName: "node", Pods: engine, Cgroups: usage, RootDir: t.TempDir(), NodeMemory: 1000, Clock: now})
	if err != nil {
		t.Fatal(err)
	}
	summary, err := provider.Summary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(summary.Pods) != 1 || len(summary.Pods[0].Containers) != 1 {
		t.Fatalf("pods: %+v", summary.Pods)
	}
	got := summary.Pods[0]
	app := got.Containers[0]
	if got.PodRef.UID != pod.Ref.UID || app.Name != "app" || *app.CPU.UsageCoreNanoSeconds != 1e9 || app.CPU.UsageNanoCores != nil ||
		*app.Memory.WorkingSetBytes != 80 || *app.Memory.AvailableBytes != 120 {
		t.Errorf("first: %+v", app)
	}
	if *summary.Node.Memory.AvailableBytes != 400 || summary.Node.Fs == nil || *summary.Node.Fs.CapacityBytes == 0 {
		t.Errorf("node: %+v", summary.Node)
	}
	now.SetTime(now.Now().Add(10 * time.Second))
	next := usage[id]
	next.CPUNanoseconds = 6e9
	usage[id] = next
	for range 2 { // asked twice at once, the rate stays
		summary, err = provider.Summary(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if rate := summary.Pods[0].Containers[0].CPU.UsageNanoCores; rate == nil || *rate != 5e8 {
			t.Errorf("half a core over ten seconds is %v", rate)
		}
	}
	if err := engine.RemoveContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := provider.Summary(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, kept := provider.samples[id]; kept {
		t.Error("the sample of a container that is gone is kept")
	}
}

func TestMetrics(t *testing.T) {
	engine := fake.New(clock.RealClock{})
	pod := runtimetest.NewPod(t, runtimetest.Env{Runtime: engine, Image: engine.AddImage("docker.io/test/app:1"), Program: "/app"})
	id := pod.Start(pod.Config("app", "sleep"))
	provider, err := New(Config{NodeName: "node", Pods: engine, Cgroups: tree{"/": {CPUNanoseconds: 2e9}, id: {CPUNanoseconds: 1e9, WorkingSetBytes: 80}},
		RootDir: t.TempDir(), Clock: clock.RealClock{}})
	if err != nil {
		t.Fatal(err)
	}
	scrape := func() string {
		recorder := httptest.NewRecorder()
		provider.MetricsHandler().ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics/resource", nil))
		return recorder.Body.String()
	}
	text := scrape()
	for _, want := range []string{
		"node_cpu_usage_seconds_total 2 ",
		fmt.Sprintf(`container_cpu_usage_seconds_total{container="app",namespace="test",pod=%q} 1 `, pod.Ref.Name),
		fmt.Sprintf(`container_memory_working_set_bytes{container="app",namespace="test",pod=%q} 80 `, pod.Ref.Name),
		"container_start_time_seconds{",
		"resource_scrape_error 0",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	engine.Fail("ListPods", runtime.Unreachable(fmt.Errorf("down")))
	if text := scrape(); !strings.Contains(text, "resource_scrape_error 1") {
		t.Errorf("with the engine down:\n%s", text)
	}
}

func TestNetwork(t *testing.T) {
	const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    1000      10    0    0    0     0          0         0     1000      10    0    0    0     0       0          0
  eth0:    2000      20    1    0    0     0          0         0     3000      30    2    0    0     0       0          0
`
	got := networkFrom([]byte(text), metav1.Now())
	if len(got.Interfaces) != 1 || got.Name != "eth0" || *got.RxBytes != 2000 || *got.RxErrors != 1 || *got.TxBytes != 3000 || *got.TxErrors != 2 {
		t.Errorf("got %+v", got)
	}
}
