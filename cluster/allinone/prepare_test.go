package allinone

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInstall(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := install(from, to); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Fatalf("without a program: got %v", err)
	}
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(from, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	installed := func(want string) os.FileInfo {
		t.Helper()
		if err := install(from, to); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(to)
		if err != nil || string(content) != want {
			t.Fatalf("got %q, %v, want %q", content, err, want)
		}
		info, err := os.Stat(to)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	write("old")
	first := installed("old")
	if first.Mode()&0o100 == 0 {
		t.Errorf("its mode is %v", first.Mode())
	}
	if again := installed("old"); !os.SameFile(first, again) {
		t.Error("the same program was written again")
	}
	// Somebody runs the old one: it must not be written over.
	write("new")
	if second := installed("new"); os.SameFile(first, second) {
		t.Error("the running program was written over")
	}
	if left, err := filepath.Glob(to + ".*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestConfigNamesWhatLacks(t *testing.T) {
	err := (&Config{}).validate()
	for _, want := range []string{"data directory", "node name", "IP address", "pod CIDR", "service CIDR", "skiff-cni"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in %v", want, err)
		}
	}
}
