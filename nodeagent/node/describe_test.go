package node

import (
	"errors"
	"fmt"
	"net/netip"
	goruntime "runtime"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

var (
	config = described{Name: "n1", IPs: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}, MaxPods: 110, Port: 10250}
	noon   = time.Unix(1_700_000_000, 0)
)

func healthy() Facts {
	return Facts{
		Machine: Machine{
			CPUs: 4, Memory: 8 << 30, MemoryAvailable: 4 << 30, Disk: 100 << 30, DiskAvailable: 50 << 30, Inodes: 1000, InodesFree: 500,
			PIDs: 32768, PIDsUsed: 300, HugePages: map[string]int64{"hugepages-2Mi": 1 << 30}, MachineID: "m", SystemUUID: "s", BootID: "b",
		},
		Engine: runtime.Info{Name: "docker", Version: "20.10", KernelVersion: "6.1", OperatingSystem: "Debian"},
		Images: []runtime.Image{}, Now: noon,
	}
}

func TestDescribe(t *testing.T) {
	s := Describe(config, corev1.NodeStatus{}, healthy())
	for _, test := range []struct {
		list                          corev1.ResourceList
		cpu, memory, disk, pods, huge string
	}{
		{s.Capacity, "4", "8Gi", "100Gi", "110", "1Gi"},
		{s.Allocatable, "4", "7068Mi", "90Gi", "110", "1Gi"},
	} {
		got := []string{}
		for _, name := range []corev1.ResourceName{"cpu", "memory", "ephemeral-storage", "pods", "hugepages-2Mi"} {
			quantity := test.list[name]
			got = append(got, quantity.String())
		}
		if want := []string{test.cpu, test.memory, test.disk, test.pods, test.huge}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	addresses := fmt.Sprint(s.Addresses)
	if addresses != "[{InternalIP 10.0.0.1} {InternalIP fd00::1} {Hostname n1}]" {
		t.Errorf("addresses %s", addresses)
	}
	info := s.NodeInfo
	if info.ContainerRuntimeVersion != "docker://20.10" || info.Architecture != goruntime.GOARCH || info.OSImage != "Debian" || info.BootID != "b" {
		t.Errorf("info %+v", info)
	}
	small := healthy()
	small.Machine.Memory = 50 << 20
	s = Describe(config, corev1.NodeStatus{}, small)
	if memory := s.Allocatable.Memory(); memory.Sign() != 0 {
		t.Errorf("a small machine has %s", memory)
	}
}

func TestConditions(t *testing.T) {
	const sufficient = "MemoryPressure=False KubeletHasSufficientMemory: kubelet has sufficient memory available"
	for _, test := range []struct {
		name   string
		change func(*Facts)
		want   string
	}{
		{"ready", func(*Facts) {}, "Ready=True KubeletReady: kubelet is posting ready status"},
		{"engine", func(f *Facts) { f.EngineProblem = errors.New("gone") }, "Ready=False KubeletNotReady: container runtime is down: gone"},
		{
			"network", func(f *Facts) { f.NetworkProblem = errors.New("cni config uninitialized") },
			"Ready=False KubeletNotReady: container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:docker: network plugin is not ready: cni config uninitialized",
		},
		{"memory", func(*Facts) {}, sufficient},
		{"memory unknown", func(f *Facts) { f.Machine.MemoryAvailable = 0 }, sufficient},
		{
			"no memory", func(f *Facts) { f.Machine.MemoryAvailable = minimumMemory - 1 },
			"MemoryPressure=True KubeletHasInsufficientMemory: kubelet has insufficient memory available",
		},
		{"disk", func(*Facts) {}, "DiskPressure=False KubeletHasNoDiskPressure: kubelet has no disk pressure"},
		{"no disk", func(f *Facts) { f.Machine.DiskAvailable = 9 << 30 }, "DiskPressure=True KubeletHasDiskPressure: kubelet has disk pressure"},
		{"no inodes", func(f *Facts) { f.Machine.InodesFree = 49 }, "DiskPressure=True KubeletHasDiskPressure: kubelet has disk pressure"},
		{"pids", func(*Facts) {}, "PIDPressure=False KubeletHasSufficientPID: kubelet has sufficient PID available"},
		{"no pids", func(f *Facts) { f.Machine.PIDsUsed = 32767 }, "PIDPressure=True KubeletHasInsufficientPID: kubelet has insufficient PID available"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := healthy()
			test.change(&f)
			var got []string
			for _, c := range conditions(f) {
				got = append(got, fmt.Sprintf("%s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message))
			}
			if !slices.Contains(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// What others wrote stays; transitions keep their time; a heartbeat alone is no change.
func TestDescribeAgain(t *testing.T) {
	first := Describe(config, corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: "Theirs", Status: "True"}}}, healthy())
	first.Images = []corev1.ContainerImage{{Names: []string{"kept"}}}
	later := healthy()
	later.Now, later.Images = noon.Add(time.Hour), nil
	second := Describe(config, first, later)
	if differs(first, second) {
		t.Error("a heartbeat is a change")
	}
	if second.Conditions[0].Type != "Theirs" || len(second.Conditions) != 5 || len(second.Images) != 1 {
		t.Errorf("got %+v", second)
	}
	later.EngineProblem = errors.New("gone")
	third := Describe(config, second, later)
	ready, calm := third.Conditions[4], third.Conditions[1]
	if !differs(second, third) || !ready.LastTransitionTime.Equal(&metav1.Time{Time: later.Now}) || !calm.LastTransitionTime.Equal(&metav1.Time{Time: noon}) {
		t.Errorf("got %+v", third.Conditions)
	}
	if third.NodeInfo.OSImage != "Debian" {
		t.Error("the status has lost what the engine knows")
	}
}

func TestImageList(t *testing.T) {
	images := []runtime.Image{{ID: "dangling", SizeBytes: 1 << 40}, {RepoTags: []string{"b"}, SizeBytes: 7}, {RepoTags: []string{"a"}, SizeBytes: 7}}
	for i := range 60 {
		images = append(images, runtime.Image{RepoTags: []string{fmt.Sprint("t", i), "2", "3", "4", "5"}, RepoDigests: []string{"d"}, SizeBytes: int64(1000 + i)})
	}
	got := imageList(images)
	if len(got) != 50 || got[0].SizeBytes != 1059 || got[49].SizeBytes != 1010 || !slices.Equal(got[0].Names, []string{"d", "t59", "2", "3", "4"}) {
		t.Errorf("got %d images, %+v ... %+v", len(got), got[0], got[len(got)-1])
	}
	if got := imageList(images[:3]); len(got) != 2 || got[0].Names[0] != "a" {
		t.Errorf("got %+v", got)
	}
}

func FuzzParseMeminfo(f *testing.F) {
	f.Add("MemTotal:       16000 kB\nMemAvailable:    8000 kB\nHugePages_Total:       0\n")
	f.Add("A: -1 kB\nB: 99999999999999999999 kB\nC: 9007199254740993 kB")
	f.Fuzz(func(t *testing.T, text string) {
		for name, bytes := range parseMeminfo(text) {
			if bytes < 0 || bytes%1024 != 0 {
				t.Errorf("%q is %d", name, bytes)
			}
		}
	})
}

func FuzzParseTasks(f *testing.F) {
	f.Add("0.1 0.2 0.3 1/234 5678")
	f.Add("0 0 0 1/-5 1")
	f.Fuzz(func(t *testing.T, line string) {
		if n := parseTasks(line); n < 0 {
			t.Errorf("%q has %d tasks", line, n)
		}
	})
}

func TestParsers(t *testing.T) {
	m := parseMeminfo("MemTotal:       16000 kB\nHugePages_Total:       3\nbad\nA: -1 kB\n")
	if len(m) != 1 || m["MemTotal"] != 16000<<10 {
		t.Errorf("got %v", m)
	}
	for line, want := range map[string]int64{"0.1 0.2 0.3 1/234 5678": 234, "": 0, "0 0 0 x 1": 0, "0 0 0 1/-5 1": 0} {
		if got := parseTasks(line); got != want {
			t.Errorf("%q has %d tasks, want %d", line, got, want)
		}
	}
}
