package volumes

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/nodeagent/env"
	"github.com/skiff-project/skiff/nodeagent/runtime"
)

func expandWith(variables ...env.Var) func(string) string {
	return func(s string) string { return env.Expand(s, env.Lookup(variables)) }
}

func TestMounts(t *testing.T) {
	f := newFixture(t)
	f.source.setConfigMap("settings", map[string]string{"a": "1"})
	host := t.TempDir()
	pod := newPod(
		corev1.Volume{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: host}}},
		corev1.Volume{Name: "work", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		configMapVolume("conf", corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}}),
	)
	f.mustMount(t, pod)
	c := &pod.Spec.Containers[0]
	c.VolumeMounts = []corev1.VolumeMount{
		{Name: "work", MountPath: "/work"},
		{Name: "conf", MountPath: "/srv/conf"},
		{Name: "host", MountPath: "host", ReadOnly: true, RecursiveReadOnly: ptr.To(corev1.RecursiveReadOnlyEnabled)},
		{Name: "host", MountPath: "/shared", MountPropagation: ptr.To(corev1.MountPropagationBidirectional)},
		{Name: "host", MountPath: "/none", MountPropagation: ptr.To(corev1.MountPropagationNone)},
	}
	got, err := f.Mounts(pod, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []runtime.Mount{
		{HostPath: filepath.Join(f.root, "pods/uid-1/volumes/kubernetes.io~empty-dir/work"), ContainerPath: "/work"},
		{HostPath: filepath.Join(f.root, "pods/uid-1/volumes/kubernetes.io~configmap/conf"), ContainerPath: "/srv/conf", ReadOnly: true},
		{HostPath: host, ContainerPath: "/host", ReadOnly: true, RecursiveReadOnly: true},
		{HostPath: host, ContainerPath: "/shared", Propagation: corev1.MountPropagationBidirectional},
		{HostPath: host, ContainerPath: "/none"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	c.VolumeMounts = []corev1.VolumeMount{{Name: "gone", MountPath: "/x"}}
	if _, err := f.Mounts(pod, c, nil); err == nil || err.Error() != `cannot find volume "gone" to mount into container "c"` {
		t.Errorf("got %v", err)
	}
}

// [sig-node] Variable Expansion should succeed in writing subpaths in container;
// should fail substituting values in a volume subpath with absolute path
func TestSubPathText(t *testing.T) {
	expand := expandWith(env.Var{Name: "POD", Value: "web-1"}, env.Var{Name: "ABS", Value: "/etc"}, env.Var{Name: "UP", Value: ".."}, env.Var{Name: "EMPTY"})
	for _, test := range []struct{ sub, expr, want, err string }{
		{},
		{sub: "a/b", want: "a/b"},
		{sub: "a//./b/", want: "a/b"},
		{sub: "$(POD)", want: "$(POD)"},
		{expr: "logs/$(POD)", want: "logs/web-1"},
		{expr: "$$(POD)", want: "$(POD)"},
		{expr: "$(EMPTY)", want: ""},
		{expr: "$(NONE)/x", err: `missing value for "NONE"`},
		{expr: "$(ABS)", err: "error SubPath `/etc` must not be an absolute path"},
		{expr: "$(UP)/x", err: "unable to provision SubPath `../x`: must not contain '..'"},
		{sub: "/etc", err: "error SubPath `/etc` must not be an absolute path"},
		{sub: "a/../..", err: "unable to provision SubPath `a/../..`: must not contain '..'"},
	} {
		got, err := subPath(&corev1.VolumeMount{SubPath: test.sub, SubPathExpr: test.expr}, expand)
		message := ""
		if err != nil {
			message = err.Error()
		}
		if got != test.want || message != test.err {
			t.Errorf("%q %q: got %q, %v; want %q, %s", test.sub, test.expr, got, err, test.want, test.err)
		}
	}
}

// TestOpenBeneath needs no rights: what leads out of a volume is never opened.
func TestOpenBeneath(t *testing.T) {
	outside := t.TempDir()
	dir, err := os.MkdirTemp("", "v") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.WriteFile(filepath.Join(outside, "secret"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "d", "e"), 0o755); err != nil {
		t.Fatal(err)
	}
	up, err := filepath.Rel(dir, outside)
	if err != nil {
		t.Fatal(err)
	}
	for name, leads := range map[string]string{
		"inside": "d/e", "d/back": "../d/e", "chain": "inside",
		"abs": outside, "rel": up, "d/up": "../..", "chain-out": "abs", "self": "self", "proc": "/proc/self/root", "abs-inside": filepath.Join(dir, "d"),
	} {
		if err := os.Symlink(leads, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, sub := range []string{"d", "d/e", "inside", "d/back", "chain", "socket"} {
		file, err := openBeneath(dir, sub)
		if err != nil {
			t.Errorf("%s: %v", sub, err)
			continue
		}
		want, err := os.Stat(filepath.Join(dir, sub))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := file.Stat(); err != nil || !os.SameFile(got, want) {
			t.Errorf("%s: opened something else", sub)
		}
		file.Close()
	}
	for _, open := range []func(string, string) (*os.File, error){openBeneath, openInRoot} {
		for _, sub := range []string{"abs", "abs/secret", "rel", "rel/secret", "d/up", "chain-out", "self", "proc/etc", "abs-inside", "../x"} {
			if file, err := open(dir, sub); err == nil {
				t.Errorf("%s: opened %s", sub, file.Name())
				file.Close()
			}
		}
	}
	if err := makeBeneath(dir, "abs/new"); err == nil {
		t.Error("made a directory through a link")
	}
	if err := makeBeneath(dir, "rel/new"); err == nil {
		t.Error("made a directory through a link")
	}
	if _, err := os.Stat(filepath.Join(outside, "new")); err == nil {
		t.Error("made a directory outside")
	}
}

// [sig-storage] Subpath Atomic writer volumes should support subpaths with configmap pod
func TestSubPaths(t *testing.T) {
	needMounts(t)
	f := newFixture(t)
	f.source.setConfigMap("settings", map[string]string{"a": "1"})
	pod := newPod(
		corev1.Volume{Name: "work", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		configMapVolume("conf", corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}}),
	)
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: ptr.To[int64](4321)}
	f.mustMount(t, pod)
	c := &pod.Spec.Containers[0]
	c.VolumeMounts = []corev1.VolumeMount{
		{Name: "work", MountPath: "/data", SubPathExpr: "deep/$(POD)"},
		{Name: "conf", MountPath: "/etc/a", SubPath: "a"},
	}
	expand := expandWith(env.Var{Name: "POD", Value: "p"})
	mounts := func() []runtime.Mount {
		t.Helper()
		got, err := f.Mounts(pod, c, expand)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := mounts()
	want := []runtime.Mount{
		{HostPath: filepath.Join(f.root, "pods/uid-1/volume-subpaths/work/c/0"), ContainerPath: "/data"},
		{HostPath: filepath.Join(f.root, "pods/uid-1/volume-subpaths/conf/c/1"), ContainerPath: "/etc/a", ReadOnly: true},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
	// The directories look like the volume, and what is written is in it.
	if err := os.WriteFile(filepath.Join(got[0].HostPath, "f"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	wantTree := "dgrwxrwxrwx 0:4321 .\ndgrwxrwxrwx 0:4321 deep\ndgrwxrwxrwx 0:4321 deep/p\n-rw-r--r-- 0:4321 deep/p/f \"x\"\n"
	if d := cmp.Diff(wantTree, tree(t, f.volume(pod, 0))); d != "" {
		t.Error(d)
	}
	if got := read1(t, got[1].HostPath); got != "1" {
		t.Errorf("got %q", got)
	}
	// Once more changes nothing, and a new version of the file is in the next container.
	mounts()
	if points, err := mountsBelow(f.root); err != nil || len(points) != 2 {
		t.Errorf("mounted: %v, %v", points, err)
	}
	f.source.setConfigMap("settings", map[string]string{"a": "2"})
	f.mustMount(t, pod)
	if got := read1(t, got[1].HostPath); got != "1" {
		t.Errorf("a running container sees %q", got)
	}
	mounts()
	if got := read1(t, got[1].HostPath); got != "2" {
		t.Errorf("the next container sees %q", got)
	}
	// From a file to a directory.
	f.source.setConfigMap("settings", map[string]string{"b": "2"})
	f.mustMount(t, pod)
	c.VolumeMounts[1].SubPath = "sub"
	if info, err := os.Stat(mounts()[1].HostPath); err != nil || !info.IsDir() {
		t.Errorf("%v, %v", info, err)
	}
	// The container has put a link there that leads out.
	if err := os.RemoveAll(filepath.Join(f.volume(pod, 0), "deep")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(f.root, filepath.Join(f.volume(pod, 0), "deep")); err != nil {
		t.Fatal(err)
	}
	_, err := f.Mounts(pod, c, expand)
	if err == nil || !strings.HasPrefix(err.Error(), `failed to prepare subPath for volumeMount "work" of container "c"`) {
		t.Errorf("got %v", err)
	}
}
