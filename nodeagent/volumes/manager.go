package volumes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"github.com/skiff-project/skiff/nodeagent/env"
)

// Sources gives what volumes are filled with.
type Sources interface {
	ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
	// Token returns a service account token bound to the pod, and when to ask for the next.
	Token(ctx context.Context, pod *corev1.Pod, audience string, seconds int64) (token string, renewAt time.Time, err error)
}

// Config is what a Manager needs.
type Config struct {
	// Root is kubelet's directory, /var/lib/kubelet.
	Root    string
	Sources Sources
	Mounter Mounter
	Clock   clock.PassiveClock
	// Fields answers the downward API's resource questions.
	Fields env.Fields
}

// Manager makes and removes the volumes of pods.
type Manager struct {
	config Config
}

// New returns a Manager.
func New(config Config) (*Manager, error) {
	switch {
	case config.Root == "":
		return nil, errors.New("volumes: Root is missing")
	case config.Sources == nil:
		return nil, errors.New("volumes: Sources is missing")
	case config.Mounter == nil:
		return nil, errors.New("volumes: Mounter is missing")
	case config.Clock == nil:
		return nil, errors.New("volumes: Clock is missing")
	}
	return &Manager{config: config}, nil
}

// SetupError says which volume could not be made; its text is that of the event FailedMount.
type SetupError struct {
	Volume string
	Err    error
}

func (e *SetupError) Error() string {
	return fmt.Sprintf("MountVolume.SetUp failed for volume %q : %v", e.Volume, e.Err)
}

func (e *SetupError) Unwrap() error { return e.Err }

// Setup makes all volumes of the pod, or brings them up to date. It returns when
// to do so again because of a token that grows old; zero for never. Each volume
// that fails is a SetupError in the joined error; the others are made.
func (m *Manager) Setup(ctx context.Context, pod *corev1.Pod) (time.Time, error) {
	if err := os.MkdirAll(filepath.Join(m.PodDir(string(pod.UID)), "volumes"), 0o750); err != nil {
		return time.Time{}, fmt.Errorf("making the pod's directory: %w", err)
	}
	var next time.Time
	var errs []error
	for i := range pod.Spec.Volumes {
		volume := &pod.Spec.Volumes[i]
		at, err := m.setup(ctx, pod, volume)
		if err != nil {
			errs = append(errs, &SetupError{Volume: volume.Name, Err: err})
		}
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next, errors.Join(errs...)
}

func (m *Manager) setup(ctx context.Context, pod *corev1.Pod, volume *corev1.Volume) (time.Time, error) {
	switch {
	case volume.HostPath != nil:
		return time.Time{}, setupHostPath(volume.HostPath)
	case volume.EmptyDir != nil:
		return time.Time{}, m.setupEmptyDir(pod, volume)
	}
	fill := filler(volume)
	if fill == nil {
		return time.Time{}, errors.New("no volume plugin matched")
	}
	return m.setupPayload(ctx, pod, volume, fill)
}

// fillFunc makes a volume's content.
type fillFunc func(ctx context.Context, m *Manager, pod *corev1.Pod, volume *corev1.Volume) (Payload, time.Time, error)

// filler returns how the volume is filled, nil if it is of an unknown kind.
func filler(volume *corev1.Volume) fillFunc {
	switch {
	case volume.ConfigMap != nil:
		return fillConfigMap
	case volume.Secret != nil:
		return fillSecret
	case volume.DownwardAPI != nil:
		return fillDownwardAPI
	case volume.Projected != nil:
		return fillProjected
	default:
		return nil
	}
}

func (m *Manager) setupPayload(ctx context.Context, pod *corev1.Pod, volume *corev1.Volume, fill fillFunc) (time.Time, error) {
	payload, next, err := fill(ctx, m, pod, volume)
	if err != nil {
		return time.Time{}, err
	}
	dir := m.Dir(pod, volume)
	if err := m.ensureDir(dir, volume.ConfigMap == nil); err != nil {
		return time.Time{}, err
	}
	if err := write(dir, payload, fsGroup(pod), m.config.Clock.Now()); err != nil {
		return time.Time{}, err
	}
	return next, nil
}

// ensureDir makes a volume's directory, in memory if what comes in must never be on a disk.
func (m *Manager) ensureDir(dir string, memory bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the volume's directory: %w", err)
	}
	if !memory {
		return nil
	}
	mounted, err := m.config.Mounter.IsMounted(dir)
	if err != nil || mounted {
		return err
	}
	if err := m.config.Mounter.MountTmpfs(dir, 0); err != nil {
		return fmt.Errorf("mounting a tmpfs: %w", err)
	}
	return os.Chmod(dir, 0o755)
}

func fsGroup(pod *corev1.Pod) *int64 {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	return pod.Spec.SecurityContext.FSGroup
}

// PodDir is the directory of everything that belongs to a pod.
func (m *Manager) PodDir(uid string) string { return filepath.Join(m.config.Root, "pods", uid) }

// Dir is where a volume's content is on the host.
func (m *Manager) Dir(pod *corev1.Pod, volume *corev1.Volume) string {
	var kind string
	switch {
	case volume.HostPath != nil:
		return volume.HostPath.Path
	case volume.EmptyDir != nil:
		kind = "empty-dir"
	case volume.ConfigMap != nil:
		kind = "configmap"
	case volume.Secret != nil:
		kind = "secret"
	case volume.DownwardAPI != nil:
		kind = "downward-api"
	default:
		kind = "projected"
	}
	return filepath.Join(m.PodDir(string(pod.UID)), "volumes", "kubernetes.io~"+kind, volume.Name)
}

// Teardown removes everything of a pod from the host. It is safe to repeat.
func (m *Manager) Teardown(uid string) error {
	dir := m.PodDir(uid)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	points, err := m.config.Mounter.Below(dir)
	if err != nil {
		return fmt.Errorf("listing the mounts of pod %s: %w", uid, err)
	}
	// The deepest first.
	slices.SortFunc(points, func(a, b string) int { return strings.Count(b, "/") - strings.Count(a, "/") })
	for _, point := range points {
		if err := m.config.Mounter.Unmount(point); err != nil {
			return fmt.Errorf("unmounting %s: %w", point, err)
		}
	}
	// What is mounted may be the user's own data.
	left, err := m.config.Mounter.Below(dir)
	if err != nil {
		return fmt.Errorf("listing the mounts of pod %s: %w", uid, err)
	}
	if len(left) > 0 {
		return fmt.Errorf("mounts are left below %s: %v", dir, left)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing the directory of pod %s: %w", uid, err)
	}
	return nil
}

// Pods returns the UIDs of the pods that have a directory.
func (m *Manager) Pods() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(m.config.Root, "pods"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing the pods' directories: %w", err)
	}
	var uids []string
	for _, entry := range entries {
		if entry.IsDir() {
			uids = append(uids, entry.Name())
		}
	}
	return uids, nil
}
