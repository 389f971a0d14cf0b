package volumes

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

var compare = cmp.AllowUnexported(file{}, change{})

func text(s string) file { return file{data: []byte(s), mode: 0o644} }

func TestAddKeys(t *testing.T) {
	data := map[string][]byte{"a": []byte("1"), "b": []byte("2")}
	tests := []struct {
		name     string
		keys     []corev1.KeyToPath
		optional bool
		want     payload
		missing  string
	}{
		{name: "all keys", want: payload{"a": text("1"), "b": text("2")}},
		{name: "some, elsewhere, with a mode", keys: []corev1.KeyToPath{{Key: "b", Path: "deep/er/b", Mode: ptr.To[int32](0o400)}},
			want: payload{"deep/er/b": {data: []byte("2"), mode: 0o400}}},
		{name: "one key twice", keys: []corev1.KeyToPath{{Key: "a", Path: "x"}, {Key: "a", Path: "y"}},
			want: payload{"x": text("1"), "y": text("1")}},
		{name: "missing", keys: []corev1.KeyToPath{{Key: "c", Path: "c"}}, want: payload{}, missing: "c"},
		{name: "missing, optional", keys: []corev1.KeyToPath{{Key: "c", Path: "c"}, {Key: "a", Path: "a"}}, optional: true,
			want: payload{"a": text("1")}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := payload{}
			if missing := got.addKeys(data, test.keys, 0o644, test.optional); missing != test.missing {
				t.Errorf("missing %q, want %q", missing, test.missing)
			}
			if diff := cmp.Diff(test.want, got, compare); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPrepare(t *testing.T) {
	for path, clean := range map[string]string{
		"a": "a", "a/b": "a/b", "./a": "a", "a//b/": "a/b", "a/../b": "b", ".hidden": ".hidden", "a..b": "a..b",
		"": "", ".": "", "..": "", "../a": "", "/a": "", "a/../../b": "", "..data": "", "..data/x": "", "a/..": "",
	} {
		got, err := payload{path: text("x")}.prepare(nil)
		switch {
		case clean == "" && err == nil:
			t.Errorf("%q: accepted as %v", path, got)
		case clean != "" && err != nil:
			t.Errorf("%q: %v", path, err)
		case clean != "":
			if _, ok := got[clean]; !ok {
				t.Errorf("%q: got %v, want %q", path, got, clean)
			}
		}
	}
	modes := []struct {
		mode, want fs.FileMode
		group      *int64
	}{
		{0o600, 0o600, nil}, {0o600, 0o640, ptr.To[int64](5)}, {0o400, 0o440, ptr.To[int64](5)}, {0o777, 0o777, ptr.To[int64](5)},
	}
	for _, test := range modes {
		got, err := payload{"a": {mode: test.mode}}.prepare(test.group)
		if err != nil || got["a"].mode != test.want {
			t.Errorf("%o with group %v: %o, %v; want %o", test.mode, test.group, got["a"].mode, err, test.want)
		}
	}
}

func FuzzPrepare(f *testing.F) {
	for _, seed := range []string{"a", "../a", "/a", "a/../../b", "..data", ".", "a//b", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := payload{path: text("x")}.prepare(nil)
		if err != nil {
			return
		}
		for name := range got {
			if !filepath.IsLocal(name) || name == "." || strings.HasPrefix(name, "..") || filepath.Clean(name) != name {
				t.Errorf("%q became %q", path, name)
			}
		}
	})
}

func TestDiff(t *testing.T) {
	const version = "..2026_01_02_03_04_05.1"
	tests := []struct {
		name string
		have present
		want payload
		todo change
	}{
		{name: "a new volume", want: payload{"a": text("1"), "d/b": text("2"), "d/c": text("3")},
			todo: change{rewrite: true, link: []string{"a", "d"}}},
		{name: "a new volume without files", want: payload{}, todo: change{rewrite: true}},
		{name: "nothing to do",
			have: present{version: version, files: payload{"a": text("1")}, names: map[string]string{dataLink: version, version: "", "a": "..data/a"}},
			want: payload{"a": text("1")}},
		{name: "nothing to do without files",
			have: present{version: version, files: payload{}, names: map[string]string{dataLink: version, version: ""}},
			want: payload{}},
		{name: "other content",
			have: present{version: version, files: payload{"a": text("1")}, names: map[string]string{dataLink: version, version: "", "a": "..data/a"}},
			want: payload{"a": text("2")}, todo: change{rewrite: true, remove: []string{version}}},
		{name: "other mode",
			have: present{version: version, files: payload{"a": text("1")}, names: map[string]string{dataLink: version, version: "", "a": "..data/a"}},
			want: payload{"a": {data: []byte("1"), mode: 0o600}}, todo: change{rewrite: true, remove: []string{version}}},
		{name: "a key comes, one goes",
			have: present{version: version, files: payload{"a": text("1")}, names: map[string]string{dataLink: version, version: "", "a": "..data/a"}},
			want: payload{"b": text("1")}, todo: change{rewrite: true, remove: []string{version, "a"}, link: []string{"b"}}},
		{name: "one file of a directory goes: its link stays",
			have: present{version: version, files: payload{"d/a": text("1"), "d/b": text("1")}, names: map[string]string{dataLink: version, version: "", "d": "..data/d"}},
			want: payload{"d/a": text("1")}, todo: change{rewrite: true, remove: []string{version}}},
		{name: "after a crash before the swap",
			have: present{version: version, files: payload{"a": text("1")}, names: map[string]string{dataLink: version, newDataLink: "x", version: "", version + "x": "", "a": "..data/a"}},
			want: payload{"a": text("1")}, todo: change{remove: []string{version + "x", newDataLink}}},
		{name: "after a crash after the swap",
			have: present{version: version, files: payload{"a": text("1")}, names: map[string]string{dataLink: version, version: ""}},
			want: payload{"a": text("1")}, todo: change{link: []string{"a"}}},
		{name: "unreadable", have: present{version: version, names: map[string]string{dataLink: version, "a": "..data/a"}},
			want: payload{"a": text("1")}, todo: change{rewrite: true}},
		{name: "a strange file in the place of a link",
			have: present{version: version, files: payload{"a": text("1")}, names: map[string]string{dataLink: version, version: "", "a": ""}},
			want: payload{"a": text("1")}, todo: change{remove: []string{"a"}, link: []string{"a"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := diff(test.have, test.want)
			slices.Sort(test.todo.remove)
			if d := cmp.Diff(test.todo, got, compare); d != "" {
				t.Error(d)
			}
		})
	}
}
