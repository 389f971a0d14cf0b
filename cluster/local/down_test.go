package local

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/skiff-project/skiff/cluster/layout"
)

func TestPurgeable(t *testing.T) {
	own := layout.DataDir(t.TempDir())
	if err := own.WriteFormat("v1"); err != nil {
		t.Fatal(err)
	}
	foreign := layout.DataDir(t.TempDir())
	if err := os.WriteFile(filepath.Join(string(foreign), "letters"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		dir  layout.DataDir
		want string // in the error; empty: none
	}{
		"own":     {dir: own},
		"empty":   {dir: layout.DataDir(t.TempDir())},
		"missing": {dir: "/nonexistent/skiff"},
		"foreign": {dir: foreign, want: "is not a skiff data directory (it has no format.json): nothing was removed"},
	} {
		err := purgeable(test.dir)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

func TestRemoveAll(t *testing.T) {
	dir := layout.DataDir(filepath.Join(t.TempDir(), "data"))
	if err := os.MkdirAll(dir.Kubelet(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := dir.WriteFormat("v1"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // doing it twice does no harm
		if err := removeAll(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(string(dir)); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("%s is still there: %v", dir, err)
		}
	}
}

// What is mounted into the data directory belongs to somebody else: nothing is
// removed, even where a link leads to the data directory, and a second try works.
func TestRemoveAllSparesMounts(t *testing.T) {
	parent := t.TempDir()
	real := layout.DataDir(filepath.Join(parent, "real"))
	mounted, theirs := filepath.Join(real.Kubelet(), "volume"), filepath.Join(parent, "theirs")
	for _, dir := range []string{mounted, theirs} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	letter := filepath.Join(theirs, "letter")
	if err := os.WriteFile(letter, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := layout.DataDir(filepath.Join(parent, "link"))
	if err := os.Symlink(string(real), string(link)); err != nil {
		t.Fatal(err)
	}
	if err := real.WriteFormat("v1"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(theirs, mounted, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("needs to mount: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(mounted, unix.MNT_DETACH) })

	if err := removeAll(link); err == nil || !strings.Contains(err.Error(), mounted) {
		t.Errorf("got %v, want the mount point", err)
	}
	if _, err := os.Stat(letter); err != nil {
		t.Error(err)
	}
	if err := unix.Unmount(mounted, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if err := purgeable(real); err != nil {
		t.Error(err)
	}
	if err := removeAll(real); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(letter); err != nil {
		t.Error(err)
	}
}
