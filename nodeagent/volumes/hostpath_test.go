package volumes

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestHostPath(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"dir", "dangling-dir"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("dir", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	// A socket's path may not be long.
	short, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(short)
	listener, err := net.Listen("unix", filepath.Join(short, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	socket := listener.Addr().String()
	path := func(name string) string { return filepath.Join(dir, name) }
	tests := []struct {
		path string
		kind corev1.HostPathType
		err  string // what is missing: the path
		made os.FileMode
	}{
		{path: path("dir")}, {path: path("file")}, {path: socket},
		{path: path("new1/deep"), made: os.ModeDir | 0o755},
		{path: path("dir"), kind: corev1.HostPathDirectory},
		{path: path("link"), kind: corev1.HostPathDirectory},
		{path: path("none"), kind: corev1.HostPathDirectory, err: "is not a directory"},
		{path: path("file"), kind: corev1.HostPathDirectory, err: "is not a directory"},
		{path: path("dir"), kind: corev1.HostPathDirectoryOrCreate},
		{path: path("new2/deep"), kind: corev1.HostPathDirectoryOrCreate, made: os.ModeDir | 0o755},
		{path: path("file"), kind: corev1.HostPathDirectoryOrCreate, err: "is not a directory"},
		{path: path("file"), kind: corev1.HostPathFile},
		{path: path("none"), kind: corev1.HostPathFile, err: "is not a file"},
		{path: path("dir"), kind: corev1.HostPathFile, err: "is not a file"},
		{path: path("file"), kind: corev1.HostPathFileOrCreate},
		{path: path("new-file"), kind: corev1.HostPathFileOrCreate, made: 0o644},
		{path: path("dir"), kind: corev1.HostPathFileOrCreate, err: "is not a file"},
		{path: socket, kind: corev1.HostPathSocket},
		{path: path("file"), kind: corev1.HostPathSocket, err: "is not a socket file"},
		{path: path("none"), kind: corev1.HostPathSocket, err: "is not a socket file"},
		{path: "/dev/null", kind: corev1.HostPathCharDev},
		{path: path("file"), kind: corev1.HostPathCharDev, err: "is not a character device"},
		{path: "/dev/null", kind: corev1.HostPathBlockDev, err: "is not a block device"},
		{path: path("none"), kind: corev1.HostPathBlockDev, err: "is not a block device"},
	}
	for _, test := range tests {
		t.Run(string(test.kind)+strings.TrimPrefix(test.path, dir), func(t *testing.T) {
			kind := test.kind
			err := setupHostPath(&corev1.HostPathVolumeSource{Path: test.path, Type: &kind})
			switch want := "hostPath type check failed: " + test.path + " " + test.err; {
			case test.err == "" && err != nil:
				t.Fatal(err)
			case test.err != "" && (err == nil || err.Error() != want):
				t.Fatalf("got %v, want %s", err, want)
			}
			if test.made != 0 {
				if info, err := os.Stat(test.path); err != nil || info.Mode() != test.made {
					t.Errorf("made %v, %v; want %v", info, err, test.made)
				}
			}
		})
	}
	bad := corev1.HostPathType("Cloud")
	if err := setupHostPath(&corev1.HostPathVolumeSource{Path: dir, Type: &bad}); err == nil || err.Error() != "Cloud is an invalid volume type" {
		t.Errorf("got %v", err)
	}
	// Nothing is made for a file whose directory is missing.
	create := corev1.HostPathFileOrCreate
	if err := setupHostPath(&corev1.HostPathVolumeSource{Path: path("absent/file"), Type: &create}); err == nil {
		t.Error("made a file in a directory that is missing")
	}
}
