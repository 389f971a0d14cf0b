package volumes

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
)

func isTmpfs(t *testing.T, dir string) bool {
	t.Helper()
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Type == unix.TMPFS_MAGIC
}

// [sig-storage] EmptyDir volumes volume on tmpfs should have the correct mode
func TestEmptyDirInMemory(t *testing.T) {
	needMounts(t)
	f := newFixture(t)
	pod := newPod(corev1.Volume{Name: "cache", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
		Medium: corev1.StorageMediumMemory, SizeLimit: ptr.To(resource.MustParse("1Mi"))}}})
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: ptr.To[int64](4321)}
	f.mustMount(t, pod)
	dir := f.volume(pod, 0)
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil || stat.Type != unix.TMPFS_MAGIC || int64(stat.Blocks)*stat.Bsize != 1<<20 {
		t.Errorf("%+v, %v", stat, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	want := "dgtrwxrwxrwx 0:4321 .\n-rw-r--r-- 0:4321 f \"\"\n"
	if d := cmp.Diff(want, tree(t, dir)); d != "" {
		t.Error(d)
	}
	f.mustMount(t, pod) // what is mounted stays
	if d := cmp.Diff(want, tree(t, dir)); d != "" {
		t.Error(d)
	}
	if points, err := mountsBelow(f.root); err != nil || len(points) != 1 {
		t.Errorf("mounted: %v, %v", points, err)
	}
}

func TestSecret(t *testing.T) {
	needMounts(t)
	f := newFixture(t)
	f.source.secrets["ns/key"] = &corev1.Secret{Data: map[string][]byte{"user": []byte("me"), "pass": []byte("word")}}
	pod := newPod(corev1.Volume{Name: "s", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "key", DefaultMode: ptr.To[int32](0o400)}}})
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: ptr.To[int64](1001)}
	f.mustMount(t, pod)
	if !isTmpfs(t, f.volume(pod, 0)) {
		t.Error("a secret is on a disk")
	}
	want := `dgtrwxrwxrwx 0:1001 .
dgrwxr-xr-x 0:1001 VERSION
-r--r----- 0:1001 VERSION/pass "word"
-r--r----- 0:1001 VERSION/user "me"
..data -> VERSION
pass -> ..data/pass
user -> ..data/user
`
	if d := cmp.Diff(want, tree(t, f.volume(pod, 0))); d != "" {
		t.Error(d)
	}
}

// [sig-storage] Downward API volume should provide podname, labels, annotations, cpu and memory
func TestDownwardAPI(t *testing.T) {
	needMounts(t)
	f := newFixture(t, func(c *Config) {
		c.Allocatable = func() corev1.ResourceList {
			return corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi"), corev1.ResourceCPU: resource.MustParse("2")}
		}
	})
	field := func(path, field string) corev1.DownwardAPIVolumeFile {
		return corev1.DownwardAPIVolumeFile{Path: path, FieldRef: &corev1.ObjectFieldSelector{FieldPath: field}}
	}
	limit := func(path, name, divisor string) corev1.DownwardAPIVolumeFile {
		return corev1.DownwardAPIVolumeFile{Path: path, ResourceFieldRef: &corev1.ResourceFieldSelector{ContainerName: "c", Resource: name, Divisor: resource.MustParse(divisor)}}
	}
	secret := field("uid", "metadata.uid")
	secret.Mode = ptr.To[int32](0o400)
	pod := newPod(corev1.Volume{Name: "info", VolumeSource: corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{
		field("name", "metadata.name"), field("ns", "metadata.namespace"), secret, field("labels", "metadata.labels"),
		field("annotations", "metadata.annotations"), field("one/app", "metadata.labels['app']"),
		limit("cpu", "limits.cpu", "1m"), limit("memory", "limits.memory", "1Mi"), limit("asked", "requests.cpu", "1m"),
	}}}})
	pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{
		Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1250m")}, Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m")}}
	f.mustMount(t, pod)
	dir := f.volume(pod, 0)
	for path, want := range map[string]string{
		"name": "pod", "ns": "ns", "uid": "uid-1", "labels": "app=\"web\"\ntier=\"front\"", "annotations": `note="one\n\"two\""`,
		"one/app": "web", "cpu": "1250", "memory": "64", "asked": "250",
	} {
		if got := read1(t, filepath.Join(dir, path)); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "uid")); err != nil || info.Mode() != 0o400 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	// The pod's labels change.
	pod = pod.DeepCopy()
	pod.Labels["app"] = "db"
	f.mustMount(t, pod)
	if got := read1(t, filepath.Join(dir, "one/app")); got != "db" {
		t.Errorf("got %q", got)
	}
}

func projectedPod() *corev1.Pod {
	return newPod(corev1.Volume{Name: "api", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: ptr.To[int32](0o644),
		Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: ptr.To[int64](3600)}},
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "vault/token", Audience: "vault", ExpirationSeconds: ptr.To[int64](600)}},
			{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}}}}},
			{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "absent"}, Optional: ptr.To(true)}},
		},
	}}})
}

// [sig-auth] ServiceAccounts should set ownership and permission when RunAsUser or FsGroup is present
func TestProjected(t *testing.T) {
	needMounts(t)
	const rest = `..data -> VERSION
ca.crt -> ..data/ca.crt
namespace -> ..data/namespace
token -> ..data/token
vault -> ..data/vault
`
	tests := []struct {
		name     string
		security *corev1.PodSecurityContext
		want     string
	}{
		{"root", nil, `dtrwxrwxrwx 0:0 .
drwxr-xr-x 0:0 VERSION
-rw-r--r-- 0:0 VERSION/ca.crt "CERT"
-rw-r--r-- 0:0 VERSION/namespace "ns"
-rw-r--r-- 0:0 VERSION/token "token-0 of robot for \"\""
drwxr-xr-x 0:0 VERSION/vault
-rw-r--r-- 0:0 VERSION/vault/token "token-0 of robot for \"vault\""
`},
		{"a user", &corev1.PodSecurityContext{RunAsUser: ptr.To[int64](1000)}, `dtrwxrwxrwx 0:0 .
drwxr-xr-x 0:0 VERSION
-rw-r--r-- 0:0 VERSION/ca.crt "CERT"
-rw-r--r-- 0:0 VERSION/namespace "ns"
-rw------- 1000:0 VERSION/token "token-0 of robot for \"\""
drwxr-xr-x 0:0 VERSION/vault
-rw------- 1000:0 VERSION/vault/token "token-0 of robot for \"vault\""
`},
		{"a group", &corev1.PodSecurityContext{FSGroup: ptr.To[int64](2000)}, `dgtrwxrwxrwx 0:2000 .
dgrwxr-xr-x 0:2000 VERSION
-rw-r--r-- 0:2000 VERSION/ca.crt "CERT"
-rw-r--r-- 0:2000 VERSION/namespace "ns"
-rw-r----- 0:2000 VERSION/token "token-0 of robot for \"\""
dgrwxr-xr-x 0:2000 VERSION/vault
-rw-r----- 0:2000 VERSION/vault/token "token-0 of robot for \"vault\""
`},
		{"both", &corev1.PodSecurityContext{RunAsUser: ptr.To[int64](1000), FSGroup: ptr.To[int64](2000)}, `dgtrwxrwxrwx 0:2000 .
dgrwxr-xr-x 0:2000 VERSION
-rw-r--r-- 0:2000 VERSION/ca.crt "CERT"
-rw-r--r-- 0:2000 VERSION/namespace "ns"
-rw-r----- 1000:2000 VERSION/token "token-0 of robot for \"\""
dgrwxr-xr-x 0:2000 VERSION/vault
-rw-r----- 1000:2000 VERSION/vault/token "token-0 of robot for \"vault\""
`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.source.setConfigMap("kube-root-ca.crt", map[string]string{"ca.crt": "CERT"})
			pod := projectedPod()
			pod.Spec.SecurityContext = test.security
			f.mustMount(t, pod)
			if d := cmp.Diff(test.want+rest, tree(t, f.volume(pod, 0))); d != "" {
				t.Error(d)
			}
		})
	}
}

// An agent that starts again finds everything as it was, and removes all of it.
func TestUnmountAfterRestart(t *testing.T) {
	needMounts(t)
	f := newFixture(t)
	f.source.setConfigMap("kube-root-ca.crt", map[string]string{"ca.crt": "CERT"})
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "precious"), []byte("data"), 0o644); err != nil {
		t.Fatal(err)
	}
	pod := projectedPod()
	pod.Spec.Volumes = append(pod.Spec.Volumes,
		corev1.Volume{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: outside}}},
		corev1.Volume{Name: "work", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "host", MountPath: "/h", SubPath: "precious"}}
	f.mustMount(t, pod)
	before := tree(t, f.volume(pod, 0))
	if _, err := f.Mounts(pod, &pod.Spec.Containers[0], nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(f.volume(pod, 2), "link")); err != nil {
		t.Fatal(err)
	}
	again, err := New(f.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Mount(context.Background(), pod); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, tree(t, f.volume(pod, 0))); d != "" {
		t.Error(d)
	}
	for range 2 {
		if err := again.Unmount(context.Background(), pod.UID); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(filepath.Join(f.root, "pods")); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if got := read1(t, filepath.Join(outside, "precious")); got != "data" {
		t.Errorf("the host's file has %q", got)
	}
}

// Mounts of the host that show up below a pod stay where they belong.
func TestUnmountSparesTheHost(t *testing.T) {
	needMounts(t)
	host, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	mountAt := func(dir string, shared bool) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		if shared { // as systemd makes all mounts
			if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() {
			if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
				t.Errorf("unmounting %s: %v", dir, err)
			}
		})
	}
	mountAt(host, true)
	if err := os.MkdirAll(filepath.Join(host, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t)
	pod := newPod(corev1.Volume{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: host}}})
	pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "host", MountPath: "/h", SubPath: "sub"}}
	f.mustMount(t, pod)
	if _, err := f.Mounts(pod, &pod.Spec.Containers[0], nil); err != nil {
		t.Fatal(err)
	}
	// A disk that is mounted later appears in the bind as well.
	disk := filepath.Join(host, "sub", "a disk")
	mountAt(disk, false)
	if err := os.WriteFile(filepath.Join(disk, "precious"), []byte("data"), 0o644); err != nil {
		t.Fatal(err)
	}
	if points, err := mountsBelow(f.root); err != nil || len(points) != 2 {
		t.Fatalf("below the pod: %v, %v; want the bind and the disk in it", points, err)
	}
	if err := f.Unmount(context.Background(), pod.UID); err != nil {
		t.Fatal(err)
	}
	if got := read1(t, filepath.Join(disk, "precious")); got != "data" {
		t.Errorf("got %q", got)
	}
}
