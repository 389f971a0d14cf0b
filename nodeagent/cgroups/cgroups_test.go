package cgroups

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
)

func TestNames(t *testing.T) {
	const uid = "0d0b1c2e-1111-2222-3333-444455556666"
	tests := []struct {
		driver          Driver
		qos             corev1.PodQOSClass
		pod, path, ctrl string
	}{
		{Cgroupfs, corev1.PodQOSGuaranteed, "/kubepods/pod" + uid, "/kubepods/pod" + uid, "/kubepods/pod" + uid + "/abc"},
		{Cgroupfs, corev1.PodQOSBurstable, "/kubepods/burstable/pod" + uid, "/kubepods/burstable/pod" + uid, "/kubepods/burstable/pod" + uid + "/abc"},
		{Cgroupfs, corev1.PodQOSBestEffort, "/kubepods/besteffort/pod" + uid, "/kubepods/besteffort/pod" + uid, "/kubepods/besteffort/pod" + uid + "/abc"},
		{Systemd, corev1.PodQOSGuaranteed, "kubepods-pod0d0b1c2e_1111_2222_3333_444455556666.slice",
			"/kubepods.slice/kubepods-pod0d0b1c2e_1111_2222_3333_444455556666.slice",
			"/kubepods.slice/kubepods-pod0d0b1c2e_1111_2222_3333_444455556666.slice/docker-abc.scope"},
		{Systemd, corev1.PodQOSBurstable, "kubepods-burstable-pod0d0b1c2e_1111_2222_3333_444455556666.slice",
			"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0d0b1c2e_1111_2222_3333_444455556666.slice",
			"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0d0b1c2e_1111_2222_3333_444455556666.slice/docker-abc.scope"},
	}
	for _, tt := range tests {
		names := Names{Driver: tt.driver}
		pod := names.Pod(tt.qos, uid)
		if pod != tt.pod {
			t.Errorf("%s %s: Pod = %q, want %q", tt.driver, tt.qos, pod, tt.pod)
		}
		if got := names.Path(pod); got != tt.path {
			t.Errorf("%s %s: Path = %q, want %q", tt.driver, tt.qos, got, tt.path)
		}
		if got := names.Container(pod, "abc"); got != tt.ctrl {
			t.Errorf("%s %s: Container = %q, want %q", tt.driver, tt.qos, got, tt.ctrl)
		}
		if got, ok := names.podUID(filepath.Base(tt.path)); !ok || got != uid {
			t.Errorf("%s %s: podUID = %q, %v", tt.driver, tt.qos, got, ok)
		}
	}
	for _, dir := range []string{"burstable", "besteffort", "pod", "kubepods-burstable.slice", "x.scope"} {
		for _, driver := range []Driver{Cgroupfs, Systemd} {
			if uid, ok := (Names{Driver: driver}).podUID(dir); ok {
				t.Errorf("%s: %q was taken for pod %q", driver, dir, uid)
			}
		}
	}
}

func TestSharesAndQuota(t *testing.T) {
	for milli, want := range map[int64]int64{0: 2, 1: 2, 100: 102, 1000: 1024, 2500: 2560, 1 << 30: 262144} {
		if got := Shares(milli); got != want {
			t.Errorf("Shares(%d) = %d, want %d", milli, got, want)
		}
	}
	for milli, want := range map[int64]int64{0: 0, 1: 1000, 10: 1000, 100: 10000, 1500: 150000} {
		if got := Quota(milli); got != want {
			t.Errorf("Quota(%d) = %d, want %d", milli, got, want)
		}
	}
	if got := quotaPerSecond(Limits{CPUQuota: 1234, CPUPeriod: 100000}); got != 20000 {
		t.Errorf("quotaPerSecond = %d, want 20000", got)
	}
}

func list(pairs ...string) corev1.ResourceList {
	result := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		result[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return result
}

func TestPodLimits(t *testing.T) {
	limited := corev1.Container{Resources: corev1.ResourceRequirements{
		Requests: list("cpu", "250m", "memory", "64Mi"), Limits: list("cpu", "500m", "memory", "128Mi")}}
	onlyMemory := corev1.Container{Resources: corev1.ResourceRequirements{
		Requests: list("memory", "1Mi"), Limits: list("memory", "2Mi")}}
	tests := []struct {
		name string
		spec corev1.PodSpec
		want Limits
	}{
		{"nothing", corev1.PodSpec{Containers: []corev1.Container{{}}}, Limits{CPUShares: 2}},
		{"two limited", corev1.PodSpec{Containers: []corev1.Container{limited, limited}},
			Limits{CPUShares: 512, CPUQuota: 100000, CPUPeriod: 100000, MemoryBytes: 256 << 20}},
		{"one without a cpu limit", corev1.PodSpec{Containers: []corev1.Container{limited, onlyMemory}},
			Limits{CPUShares: 256, MemoryBytes: 130 << 20}},
		{"an unlimited init container", corev1.PodSpec{InitContainers: []corev1.Container{{}}, Containers: []corev1.Container{limited}},
			Limits{CPUShares: 256}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := PodLimits(&corev1.Pod{Spec: tt.spec}, 0); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestOOMScoreAdj(t *testing.T) {
	const node = 8 << 30
	tests := []struct {
		name     string
		priority *int32
		qos      corev1.PodQOSClass
		request  string
		want     int
	}{
		{"best effort", nil, corev1.PodQOSBestEffort, "0", 1000},
		{"guaranteed", nil, corev1.PodQOSGuaranteed, "1Gi", -997},
		{"half of the node", nil, corev1.PodQOSBurstable, "4Gi", 500},
		{"a whole node", nil, corev1.PodQOSBurstable, "8Gi", 3},
		{"next to nothing", nil, corev1.PodQOSBurstable, "1Ki", 999},
		{"node critical", ptr.To[int32](2000001000), corev1.PodQOSBestEffort, "0", -997},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{Priority: tt.priority}}
			container := &corev1.Container{Resources: corev1.ResourceRequirements{Requests: list("memory", tt.request)}}
			if got := OOMScoreAdj(pod, tt.qos, container, node); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestReadUsage(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	v1 := fstest.MapFS{
		"cpuacct/cpuacct.usage":        file("123456789\n"),
		"memory/memory.usage_in_bytes": file("10000\n"),
		"memory/memory.limit_in_bytes": file("9223372036854771712\n"),
		"memory/memory.stat":           file("cache 7\ntotal_rss 3000\ntotal_inactive_file 4000\ntotal_pgfault 12\ntotal_pgmajfault 2\n"),
		"pids/pids.current":            file("5\n"),
	}
	want := Usage{CPUNanoseconds: 123456789, MemoryBytes: 10000, WorkingSetBytes: 6000, RSSBytes: 3000, PageFaults: 12, MajorPageFaults: 2, Processes: 5}
	got, err := readV1(func(c string) fs.FS { sub, _ := fs.Sub(v1, c); return sub })
	if err != nil || got != want {
		t.Errorf("version 1: got %+v, %v, want %+v", got, err, want)
	}
	v2 := fstest.MapFS{
		"cpu.stat":       file("usage_usec 1000\nuser_usec 1\n"),
		"memory.stat":    file("anon 3000\nfile 5000\ninactive_file 4000\npgfault 12\npgmajfault 2\n"),
		"memory.current": file("10000\n"),
		"memory.max":     file("max\n"),
		"pids.current":   file("5\n"),
	}
	want.CPUNanoseconds = 1000000
	if got, err := readV2(v2); err != nil || got != want {
		t.Errorf("version 2: got %+v, %v, want %+v", got, err, want)
	}
	if _, err := readV2(fstest.MapFS{}); err == nil {
		t.Error("a missing cgroup was read")
	}
}

// TestPodCgroup makes a cgroup on the host as a pod has it, and removes it.
func TestPodCgroup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making cgroups needs root")
	}
	manager, err := NewManager(Cgroupfs, HostVersion())
	if err != nil {
		t.Fatal(err)
	}
	if entry, err := os.ReadDir(Mount); err != nil || len(entry) == 0 {
		t.Skipf("no cgroups at %s", Mount)
	}
	ctx := context.Background()
	uid := uuid.NewString()
	t.Cleanup(func() {
		if err := manager.RemovePod(ctx, uid); err != nil {
			t.Error(err)
		}
		uids, err := manager.Pods()
		if err != nil || slices.Contains(uids, uid) {
			t.Errorf("after removal: %v, %v", uids, err)
		}
	})
	parent, err := manager.EnsurePod(ctx, corev1.PodQOSBurstable, uid, Limits{CPUShares: 512, CPUQuota: 50000, CPUPeriod: 100000, MemoryBytes: 64 << 20, PidsLimit: 100})
	if err != nil {
		if strings.Contains(err.Error(), "read-only") {
			t.Skipf("the host's cgroups cannot be written: %v", err)
		}
		t.Fatal(err)
	}
	uids, err := manager.Pods()
	if err != nil || !slices.Contains(uids, uid) {
		t.Fatalf("Pods = %v, %v; want %s among them", uids, err, uid)
	}
	usage, err := manager.PodUsage(parent)
	if err != nil {
		t.Fatal(err)
	}
	if usage.MemoryLimitBytes != 64<<20 {
		t.Errorf("memory limit = %d, want %d", usage.MemoryLimitBytes, 64<<20)
	}
}
