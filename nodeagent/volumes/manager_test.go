package volumes

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

func TestNew(t *testing.T) {
	src := &source{}
	full := Config{RootDir: "/x", Objects: src, Tokens: src, Clock: newFixture(t).clock}
	if _, err := New(full); err != nil {
		t.Error(err)
	}
	for name, remove := range map[string]func(*Config){
		"RootDir": func(c *Config) { c.RootDir = "" }, "Objects": func(c *Config) { c.Objects = nil },
		"Tokens": func(c *Config) { c.Tokens = nil }, "Clock": func(c *Config) { c.Clock = nil },
	} {
		config := full
		remove(&config)
		if _, err := New(config); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// [sig-storage] ConfigMap should be consumable from pods in volume with mappings and Item mode set
func TestConfigMap(t *testing.T) {
	f := newFixture(t)
	f.source.configMaps["ns/settings"] = &corev1.ConfigMap{
		Data: map[string]string{"color": "blue", "size": "xl"}, BinaryData: map[string][]byte{"blob": {0, 0xff}},
	}
	pod := newPod(
		configMapVolume("all", corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}, DefaultMode: ptr.To[int32](0o640)}),
		configMapVolume("some", corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"},
			Items: []corev1.KeyToPath{{Key: "size", Path: "how/big", Mode: ptr.To[int32](0o400)}}}),
		configMapVolume("none", corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "absent"}, Optional: ptr.To(true)}),
	)
	f.mustMount(t, pod)
	if want, got := filepath.Join(f.root, "pods/uid-1/volumes/kubernetes.io~configmap/all"), f.volume(pod, 0); got != want {
		t.Errorf("in %s, want %s", got, want)
	}
	for i, want := range []string{
		`drwxrwxrwx 0:0 .
drwxr-xr-x 0:0 VERSION
-rw-r----- 0:0 VERSION/blob "\x00\xff"
-rw-r----- 0:0 VERSION/color "blue"
-rw-r----- 0:0 VERSION/size "xl"
..data -> VERSION
blob -> ..data/blob
color -> ..data/color
size -> ..data/size
`, `drwxrwxrwx 0:0 .
drwxr-xr-x 0:0 VERSION
drwxr-xr-x 0:0 VERSION/how
-r-------- 0:0 VERSION/how/big "xl"
..data -> VERSION
how -> ..data/how
`, `drwxrwxrwx 0:0 .
drwxr-xr-x 0:0 VERSION
..data -> VERSION
`,
	} {
		if os.Getuid() != 0 {
			want = strings.ReplaceAll(want, "0:0", strings.Fields(tree(t, f.root))[1])
		}
		if d := cmp.Diff(want, tree(t, f.volume(pod, i))); d != "" {
			t.Errorf("%s: %s", pod.Spec.Volumes[i].Name, d)
		}
	}
}

func TestErrors(t *testing.T) {
	optionalKey := []corev1.KeyToPath{{Key: "nope", Path: "nope"}}
	named := func(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }
	projected := func(source corev1.VolumeProjection) corev1.VolumeSource {
		return corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{source}}}
	}
	tests := []struct {
		name   string
		volume corev1.VolumeSource
		want   string
	}{
		{"config map", corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: named("y")}}, `configmap "y" not found`},
		{"key", corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: named("have"), Items: optionalKey}},
			`configmap references non-existent config key: nope`},
		{"secret", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "y"}}, `secret "y" not found`},
		{"secret key", corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "have", Items: optionalKey}}, `references non-existent secret key: nope`},
		{"projected config map", projected(corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: named("y")}}), `configmap "y" not found`},
		{"trust bundle", projected(corev1.VolumeProjection{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{}}),
			`projected source clusterTrustBundle is not supported by this node`},
		{"claim", corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}, `unsupported volume type of volume "x"`},
		{"nfs", corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{}}, `unsupported volume type of volume "x"`},
		{"huge pages", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: "HugePages-2Mi"}}, `storage medium "HugePages-2Mi" is not supported by this node`},
		{"medium", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: "Paper"}}, `unknown storage medium "Paper"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.source.setConfigMap("have", nil)
			f.source.secrets["ns/have"] = &corev1.Secret{}
			pod := newPod(corev1.Volume{Name: "x", VolumeSource: test.volume},
				corev1.Volume{Name: "good", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
			err := f.Mount(context.Background(), pod)
			if want := `MountVolume.SetUp failed for volume "x" : ` + test.want; err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
			var setup *SetupError
			if !errors.As(err, &setup) || setup.Volume != "x" {
				t.Errorf("not a SetupError of x: %#v", err)
			}
			if _, err := os.Stat(f.volume(pod, 1)); err != nil {
				t.Errorf("the other volume is missing: %v", err)
			}
		})
	}
}

func TestBadUIDs(t *testing.T) {
	f := newFixture(t)
	f.mustMount(t, newPod())
	for _, uid := range []types.UID{"", ".", "..", "../x", "a/b", "/"} {
		pod := newPod()
		pod.UID = uid
		if err := f.Mount(context.Background(), pod); err == nil {
			t.Errorf("mounted %q", uid)
		}
		if err := f.Unmount(context.Background(), uid); err == nil {
			t.Errorf("unmounted %q", uid)
		}
		if _, err := f.Mounts(pod, &pod.Spec.Containers[0], nil); err == nil {
			t.Errorf("mounts of %q", uid)
		}
	}
	if known, err := f.Known(); err != nil || len(known) != 1 || known[0] != "uid-1" {
		t.Errorf("known are %v, %v", known, err)
	}
}

// [sig-storage] EmptyDir volumes volume on default medium should have the correct mode
func TestEmptyDirOnDisk(t *testing.T) {
	f := newFixture(t)
	pod := newPod(corev1.Volume{Name: "work", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
	want := os.ModeDir | 0o777
	if os.Getuid() == 0 {
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: ptr.To[int64](4321)}
		want |= os.ModeSetgid
	}
	f.mustMount(t, pod)
	dir := f.volume(pod, 0)
	if info, err := os.Stat(dir); err != nil || info.Mode() != want {
		t.Errorf("%v, %v; want %v", info.Mode(), err, want)
	}
	if os.Getuid() == 0 && !strings.HasPrefix(tree(t, dir), "dgrwxrwxrwx 0:4321 .") {
		t.Error(tree(t, dir))
	}
	// Containers own it from now on: nothing is reset, not even by another agent.
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	again, err := New(f.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Mount(context.Background(), pod); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if got := read1(t, filepath.Join(dir, "f")); got != "kept" {
		t.Errorf("got %q", got)
	}
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the volume: %v, %v", entries, err)
	}
}

func TestMemorySize(t *testing.T) {
	limited := newPod()
	limited.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("100Mi")}
	const mi = 1 << 20
	for _, test := range []struct {
		name  string
		limit string
		pod   *corev1.Pod
		node  int64
		want  int64
	}{
		{"nothing known", "", newPod(), 0, 0},
		{"the node's", "", newPod(), 300 * mi, 300 * mi},
		{"the pod's", "", limited, 300 * mi, 100 * mi},
		{"its own", "50Mi", limited, 300 * mi, 50 * mi},
		{"more than the pod's", "200Mi", limited, 300 * mi, 100 * mi},
		{"more than the node's", "1Gi", newPod(), 300 * mi, 300 * mi},
		{"its own alone", "1Gi", newPod(), 0, 1024 * mi},
	} {
		t.Run(test.name, func(t *testing.T) {
			source := &corev1.EmptyDirVolumeSource{}
			if test.limit != "" {
				source.SizeLimit = ptr.To(resource.MustParse(test.limit))
			}
			if got := memorySize(source, test.pod, test.node); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestCommonUser(t *testing.T) {
	container := func(user *int64) corev1.Container {
		return corev1.Container{SecurityContext: &corev1.SecurityContext{RunAsUser: user}}
	}
	id := ptr.To[int64]
	for _, test := range []struct {
		name string
		pod  *int64
		init []corev1.Container
		main []corev1.Container
		want *int64
	}{
		{name: "nobody says", main: []corev1.Container{{}}},
		{name: "the pod says", pod: id(5), main: []corev1.Container{{}, {}}, want: id(5)},
		{name: "containers agree", main: []corev1.Container{container(id(6)), container(id(6))}, want: id(6)},
		{name: "containers differ", main: []corev1.Container{container(id(6)), container(id(7))}},
		{name: "one does not say", main: []corev1.Container{container(id(6)), {}}},
		{name: "an init container differs", pod: id(5), init: []corev1.Container{container(id(1))}, main: []corev1.Container{{}}},
		{name: "root is a user", pod: id(0), main: []corev1.Container{{}}, want: id(0)},
	} {
		t.Run(test.name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{RunAsUser: test.pod}, InitContainers: test.init, Containers: test.main,
				EphemeralContainers: []corev1.EphemeralContainer{{}}}}
			if d := cmp.Diff(test.want, commonUser(pod)); d != "" {
				t.Error(d)
			}
		})
	}
}
