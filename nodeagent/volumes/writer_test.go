package volumes

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"k8s.io/utils/ptr"
)

func mustWrite(t *testing.T, dir string, content payload, group *int64) bool {
	t.Helper()
	content, err := content.prepare(group)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := write(dir, content, group, start)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func TestWrite(t *testing.T) {
	needRoot(t)
	old := unix.Umask(0o077) // must not count
	defer unix.Umask(old)
	dir := filepath.Join(t.TempDir(), "v")
	if err := makeScratch(dir, scratch{}); err != nil {
		t.Fatal(err)
	}
	content := payload{"a": text("1"), "d/e/f": {data: []byte("2"), mode: 0o400}, "u": {data: []byte("3"), mode: 0o600, owner: ptr.To[int64](77)}}
	if !mustWrite(t, dir, content, nil) {
		t.Error("the first content is no change")
	}
	want := `drwxrwxrwx 0:0 .
drwxr-xr-x 0:0 VERSION
-rw-r--r-- 0:0 VERSION/a "1"
drwxr-xr-x 0:0 VERSION/d
drwxr-xr-x 0:0 VERSION/d/e
-r-------- 0:0 VERSION/d/e/f "2"
-rw------- 77:0 VERSION/u "3"
..data -> VERSION
a -> ..data/a
d -> ..data/d
u -> ..data/u
`
	if d := cmp.Diff(want, tree(t, dir)); d != "" {
		t.Error(d)
	}
	version, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil || !strings.HasPrefix(version, "..2026_03_04_05_06_07.") {
		t.Errorf("version %q, %v", version, err)
	}
	// The same again writes nothing.
	if mustWrite(t, dir, content, nil) {
		t.Error("the same content is a change")
	}
	if again, _ := os.Readlink(filepath.Join(dir, dataLink)); again != version {
		t.Errorf("rewritten: %s, was %s", again, version)
	}
	// Another replaces all, and leaves nothing of the old one.
	if !mustWrite(t, dir, payload{"a": text("one"), "n": text("")}, nil) {
		t.Error("other content is no change")
	}
	want = `drwxrwxrwx 0:0 .
drwxr-xr-x 0:0 VERSION
-rw-r--r-- 0:0 VERSION/a "one"
-rw-r--r-- 0:0 VERSION/n ""
..data -> VERSION
a -> ..data/a
n -> ..data/n
`
	if d := cmp.Diff(want, tree(t, dir)); d != "" {
		t.Error(d)
	}
	// What cannot be written leaves the old content.
	before := tree(t, dir)
	if _, err := write(dir, payload{"x": text("1"), "x/y": text("2")}, nil, start); err == nil {
		t.Error("a file that is a directory, too, was written")
	}
	if d := cmp.Diff(before, tree(t, dir)); d != "" {
		t.Error(d)
	}
}

func TestWriteWithGroup(t *testing.T) {
	needRoot(t)
	dir, group := filepath.Join(t.TempDir(), "v"), ptr.To[int64](1234)
	if err := makeScratch(dir, scratch{group: group}); err != nil {
		t.Fatal(err)
	}
	content := payload{"a": {data: []byte("1"), mode: 0o600}, "d/b": {data: []byte("2"), mode: 0o400, owner: ptr.To[int64](77)}}
	mustWrite(t, dir, content, group)
	want := `dgrwxrwxrwx 0:1234 .
dgrwxr-xr-x 0:1234 VERSION
-rw-r----- 0:1234 VERSION/a "1"
dgrwxr-xr-x 0:1234 VERSION/d
-r--r----- 77:1234 VERSION/d/b "2"
..data -> VERSION
a -> ..data/a
d -> ..data/d
`
	if d := cmp.Diff(want, tree(t, dir)); d != "" {
		t.Error(d)
	}
	if mustWrite(t, dir, content, group) {
		t.Error("the same content is a change")
	}
}

// Readers see two files that belong together: both old or both new. A name that
// stays is there at every moment.
func TestWriteIsAtomic(t *testing.T) {
	dir := t.TempDir()
	at := func(s string) payload { return payload{"a": text(s), "b": text(s)} }
	mustWrite(t, dir, at("0"), nil)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := os.Stat(filepath.Join(dir, "a")); err != nil && !os.IsNotExist(err) {
				t.Error(err)
				return
			}
			version, err := os.Readlink(filepath.Join(dir, dataLink))
			if err != nil {
				t.Errorf("..data is missing: %v", err)
				return
			}
			a, errA := os.ReadFile(filepath.Join(dir, version, "a"))
			b, errB := os.ReadFile(filepath.Join(dir, version, "b"))
			// A version may be removed while we read it, as an open file can be; it is never half.
			if errA == nil && errB == nil && string(a) != string(b) {
				t.Errorf("a is %q and b is %q", a, b)
				return
			}
		}
	})
	for i := range 300 {
		mustWrite(t, dir, at(strings.Repeat("x", i+1)), nil)
	}
	close(stop)
	readers.Wait()
}
