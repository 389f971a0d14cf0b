package local

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skiff-project/skiff/cluster/layout"
	"github.com/skiff-project/skiff/cluster/process"
)

func TestReadStatusOfNothing(t *testing.T) {
	for name, dir := range map[string]string{"no folder": "/nonexistent/skiff", "no lock": t.TempDir()} {
		status, err := ReadStatus(t.Context(), layout.DataDir(dir))
		if err != nil || status.Process != nil {
			t.Errorf("%s: got %+v, %v", name, status, err)
		}
	}
}

// The lock file of a process that was killed is no sign of life.
func TestReadStatusAfterDeath(t *testing.T) {
	dir := layout.DataDir(t.TempDir())
	if err := os.WriteFile(dir.Lock(), []byte(`{"pid":1,"version":"v1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, err := ReadStatus(t.Context(), dir); err != nil || status.Process != nil {
		t.Errorf("got %+v, %v", status, err)
	}
}

// A kubeconfig that cannot be read is a finding: the rest is still said.
func TestReadStatusWithoutKubeconfig(t *testing.T) {
	dir := layout.DataDir(t.TempDir())
	lock, err := process.Acquire(dir.Lock(), process.Info{PID: os.Getpid(), StartedAt: time.Now(), Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	status, err := ReadStatus(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if status.Process == nil || status.Usage.RSS == 0 || len(status.Problems) != 1 || !strings.Contains(status.Problems[0], "administrator's kubeconfig") {
		t.Errorf("got %+v", status)
	}
}

func TestPrintStatus(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	for name, test := range map[string]struct {
		status Status
		want   string
	}{
		"not running": {want: "skiff does not run. Start it with: skiff up\n"},
		"well": {
			status: Status{
				Process: &process.Info{PID: 42, StartedAt: start, Version: "v1", Server: "https://127.0.0.1:6443"},
				Usage:   process.Usage{RSS: 200 << 20, CPU: 6 * time.Second},
				Nodes: []corev1.Node{{
					ObjectMeta: metav1.ObjectMeta{Name: "boat"},
					Status:     corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{KubeletVersion: "v1.37.2+skiff", ContainerRuntimeVersion: "docker://20.10.24"}},
				}},
				Pods: map[corev1.PodPhase]int{corev1.PodRunning: 3, corev1.PodPending: 1},
			},
			want: `skiff v1 runs since 2026-01-02 03:04:05 (10m), process 42
  parts    etcd, apiserver, controller-manager, scheduler, proxy, cni, nodeagent
  server   https://127.0.0.1:6443
  memory   200 MiB RSS
  cpu      1.0% of a core on average, 6.0s in all
  node     boat, v1.37.2+skiff, docker://20.10.24
  pods     3 running, 1 pending, 0 failed
  all is well
`,
		},
		"unwell": {
			status: Status{
				Process:  &process.Info{PID: 42, StartedAt: start, Version: "v1", Server: "https://127.0.0.1:6443"},
				Problems: []string{"the sea is rough"},
			},
			want: `skiff v1 runs since 2026-01-02 03:04:05 (10m), process 42
  parts    etcd, apiserver, controller-manager, scheduler, proxy, cni, nodeagent
  server   https://127.0.0.1:6443
  memory   0 MiB RSS
  cpu      0.0% of a core on average, 0.0s in all
  PROBLEM  the sea is rough
`,
		},
	} {
		var out bytes.Buffer
		test.status.Print(&out, start.Add(10*time.Minute))
		if out.String() != test.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, out.String(), test.want)
		}
	}
}

func TestFailedChecks(t *testing.T) {
	refused := errors.New("connection refused")
	for name, test := range map[string]struct {
		verbose string
		want    []string
	}{
		"no answer":   {want: []string{"the API server does not answer: connection refused (see: skiff logs apiserver)"}},
		"one of them": {verbose: "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed\n", want: []string{"API server check failed: etcd failed: reason withheld"}},
	} {
		if got := failedChecks(test.verbose, refused); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestNodeProblems(t *testing.T) {
	node := func(conditions ...corev1.NodeCondition) []corev1.Node {
		return []corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "boat"}, Status: corev1.NodeStatus{Conditions: conditions}}}
	}
	for name, test := range map[string]struct {
		nodes []corev1.Node
		want  []string
	}{
		"none": {want: []string{"no node has registered (see: skiff logs nodeagent)"}},
		"well": {nodes: node(
			corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue},
			corev1.NodeCondition{Type: corev1.NodeDiskPressure, Status: corev1.ConditionFalse},
		)},
		"not ready": {
			nodes: node(corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Message: "no word"}),
			want:  []string{"node boat: Ready is Unknown: no word"},
		},
		"pressure": {
			nodes: node(corev1.NodeCondition{Type: corev1.NodeDiskPressure, Status: corev1.ConditionTrue, Message: "full"}),
			want:  []string{"node boat: DiskPressure is True: full"},
		},
	} {
		if got := nodeProblems(test.nodes); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

func TestPodProblems(t *testing.T) {
	waiting := func(name, reason string) []corev1.ContainerStatus {
		return []corev1.ContainerStatus{{Name: name, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}}
	}
	pods := []corev1.Pod{
		{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "starting"}, Status: corev1.PodStatus{ContainerStatuses: waiting("c", "ContainerCreating")}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "runs"}, Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "c"}}}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "bad"}, Status: corev1.PodStatus{ContainerStatuses: waiting("c", "ImagePullBackOff")}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "first"}, Status: corev1.PodStatus{
			InitContainerStatuses: waiting("i", "CrashLoopBackOff"), ContainerStatuses: waiting("c", "PodInitializing"),
		}},
	}
	want := []string{
		"pod a/bad: container c waits: ImagePullBackOff",
		"pod a/first: container i waits: CrashLoopBackOff",
	}
	if got := podProblems(pods); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
