package volumes

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/skiff-project/skiff/nodeagent/objects"
)

// start is the time at which tests begin.
var start = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// source is the API and its tokens.
type source struct {
	clock clock.PassiveClock

	mu         sync.Mutex
	configMaps map[string]*corev1.ConfigMap
	secrets    map[string]*corev1.Secret
	down       error
	tokens     int
	forgotten  []types.UID
}

func (s *source) ConfigMap(_ context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	if object := s.configMaps[namespace+"/"+name]; object != nil {
		return object, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("configmap"), name)
}

func (s *source) Secret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	if object := s.secrets[namespace+"/"+name]; object != nil {
		return object, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("secret"), name)
}

// Get makes a new token after 80 % of the life of the last one.
func (s *source) Get(_ context.Context, pod *corev1.Pod, audience string, seconds int64) (objects.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return objects.Token{}, s.down
	}
	life := time.Duration(seconds) * time.Second * 8 / 10
	generation := s.clock.Now().Sub(start) / life
	s.tokens++
	return objects.Token{
		Value:   fmt.Sprintf("token-%d of %s for %q", generation, pod.Spec.ServiceAccountName, audience),
		RenewAt: start.Add((generation + 1) * life),
	}, nil
}

func (s *source) Forget(uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten = append(s.forgotten, uid)
}

func (s *source) setConfigMap(name string, data map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.configMaps["ns/"+name] = &corev1.ConfigMap{Data: data}
}

func (s *source) setDown(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = err
}

// fixture is a Manager in a directory of its own. When the test ends nothing may be mounted there.
type fixture struct {
	*Manager
	source *source
	clock  *clocktesting.FakeClock
	root   string
}

func newFixture(t *testing.T, changes ...func(*Config)) *fixture {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	clk := clocktesting.NewFakeClock(start)
	src := &source{clock: clk, configMaps: map[string]*corev1.ConfigMap{}, secrets: map[string]*corev1.Secret{}}
	config := Config{RootDir: root, Objects: src, Tokens: src, Clock: clk}
	for _, change := range changes {
		change(&config)
	}
	m, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Manager: m, source: src, clock: clk, root: root}
	t.Cleanup(func() {
		known, err := f.Known()
		if err != nil {
			t.Error(err)
		}
		for _, uid := range known {
			if err := f.Unmount(context.Background(), uid); err != nil {
				t.Error(err)
			}
		}
		if left, err := mountsBelow(root); err != nil || len(left) > 0 {
			t.Errorf("still mounted: %v, %v", left, err)
		}
		if known, err := f.Known(); err != nil || len(known) > 0 {
			t.Errorf("left: %v, %v", known, err)
		}
	})
	return f
}

// needMounts skips a test that mounts where that is not allowed.
func needMounts(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Skipf("needs root with CAP_SYS_ADMIN, to mount: %v", err)
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to give files to others")
	}
}

func newPod(volumes ...corev1.Volume) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "pod", Namespace: "ns", UID: "uid-1",
			Labels: map[string]string{"app": "web", "tier": "front"}, Annotations: map[string]string{"note": "one\n\"two\""}},
		Spec: corev1.PodSpec{
			ServiceAccountName: "robot",
			Containers:         []corev1.Container{{Name: "c"}},
			Volumes:            volumes,
		},
	}
}

func configMapVolume(name string, source corev1.ConfigMapVolumeSource) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{ConfigMap: &source}}
}

func (f *fixture) mustMount(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if err := f.Mount(context.Background(), pod); err != nil {
		t.Fatal(err)
	}
}

// volume returns the directory of the pod's number-th volume.
func (f *fixture) volume(pod *corev1.Pod, number int) string {
	return f.dir(pod, &pod.Spec.Volumes[number])
}

// tree describes everything in a directory: mode, owner, name, and where it leads
// or what is in it. The name of a version is VERSION.
func tree(t *testing.T, dir string) string {
	t.Helper()
	version, _ := os.Readlink(filepath.Join(dir, dataLink))
	var out strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		var stat unix.Stat_t
		if err := unix.Lstat(path, &stat); err != nil {
			return err
		}
		line := fmt.Sprintf("%s %d:%d %s", info.Mode(), stat.Uid, stat.Gid, name)
		switch {
		case entry.Type()&fs.ModeSymlink != 0:
			leads, err := os.Readlink(path)
			if err != nil {
				return err
			}
			// A link's own mode and owner mean nothing.
			line = name + " -> " + leads
		case !entry.IsDir():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %q", data)
		}
		if version != "" {
			line = strings.ReplaceAll(line, version, "VERSION")
		}
		out.WriteString(line + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func read1(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(context.Background(), 5*time.Millisecond, 20*time.Second, true,
		func(context.Context) (bool, error) { return condition(), nil })
	if err != nil {
		t.Fatalf("waiting until %s: %v", what, err)
	}
}
