package cgroups

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWrites(t *testing.T) {
	limits := Limits{CPUShares: 512, CPUQuota: 50000, CPUPeriod: 100000, MemoryBytes: 1 << 20, PidsLimit: 10}
	wantV1 := []write{{"cpu", "cpu.shares", "512"}, {"cpu", "cpu.cfs_period_us", "100000"}, {"cpu", "cpu.cfs_quota_us", "50000"},
		{"memory", "memory.limit_in_bytes", "1048576"}, {"pids", "pids.max", "10"}}
	if diff := cmp.Diff(wantV1, writesV1(limits), cmp.AllowUnexported(write{})); diff != "" {
		t.Errorf("version 1: %s", diff)
	}
	wantV2 := []write{{"cpu", "cpu.weight", "20"}, {"cpu", "cpu.max", "50000 100000"}, {"memory", "memory.max", "1048576"}, {"pids", "pids.max", "10"}}
	if diff := cmp.Diff(wantV2, writesV2(limits), cmp.AllowUnexported(write{})); diff != "" {
		t.Errorf("version 2: %s", diff)
	}
	wantV2 = []write{{"cpu", "cpu.weight", "1"}, {"cpu", "cpu.max", "max 100000"}, {"memory", "memory.max", "max"}, {"pids", "pids.max", "max"}}
	if diff := cmp.Diff(wantV2, writesV2(Limits{}), cmp.AllowUnexported(write{})); diff != "" {
		t.Errorf("version 2, unlimited: %s", diff)
	}
}

// TestApplyV2 runs on plain directories that look like a cgroup tree.
func TestApplyV2(t *testing.T) {
	root := t.TempDir()
	pod := filepath.Join(root, "kubepods", "pod1")
	if err := os.MkdirAll(pod, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{root, filepath.Dir(pod), pod} {
		for file, text := range map[string]string{"cgroup.controllers": "cpu memory\n", "cgroup.subtree_control": "memory\n"} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := applyV2(root, "/kubepods/pod1", Limits{CPUShares: 1024, MemoryBytes: 4096, PidsLimit: 5}); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"cpu.weight": "39", "memory.max": "4096", "cgroup.subtree_control": "+cpu"} {
		if got, _ := os.ReadFile(filepath.Join(pod, file)); string(got) != want {
			t.Errorf("%s = %q, want %q", file, got, want)
		}
	}
	if _, err := os.Stat(filepath.Join(pod, "pids.max")); err == nil {
		t.Error("a controller that the host does not have was written")
	}
}
