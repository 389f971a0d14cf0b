package volumes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/keymutex"

	"github.com/skiff-project/skiff/nodeagent/env"
	"github.com/skiff-project/skiff/nodeagent/objects"
)

// Objects reads what volumes are filled with; objects.Store does.
type Objects interface {
	ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
}

// Tokens gets service account tokens that are bound to pods; objects.Tokens does.
type Tokens interface {
	Get(ctx context.Context, pod *corev1.Pod, audience string, seconds int64) (objects.Token, error)
	Forget(pod types.UID)
}

// Config is what a Manager needs.
type Config struct {
	// RootDir is kubelet's directory, /var/lib/kubelet.
	RootDir string
	Objects Objects
	Tokens  Tokens
	Clock   clock.Clock

	// Changed, if set, is told the pods whose volumes have got new content from a refresh.
	Changed func(podUID types.UID)
	// Failed, if set, is told why a volume that containers may be using could not be
	// refreshed; it keeps its content.
	Failed func(pod *corev1.Pod, err *SetupError)
	// Allocatable, if set, is what the node has for pods: the downward API's value of a
	// limit that is not set, and the bound of volumes in memory.
	Allocatable func() corev1.ResourceList
}

// Manager makes and removes the volumes of pods.
type Manager struct {
	config Config
	// busy is held while something of the pod on the host changes.
	busy keymutex.KeyMutex
	wake chan struct{} // tells Run that something is due earlier

	mu   sync.Mutex // guards pods
	pods map[types.UID]*refreshState
}

// lockBuckets makes it unlikely that two pods wait for each other.
const lockBuckets = 1024

// New returns a Manager that has no pods yet.
func New(config Config) (*Manager, error) {
	switch {
	case config.RootDir == "":
		return nil, errors.New("volumes: RootDir is missing")
	case config.Objects == nil:
		return nil, errors.New("volumes: Objects is missing")
	case config.Tokens == nil:
		return nil, errors.New("volumes: Tokens is missing")
	case config.Clock == nil:
		return nil, errors.New("volumes: Clock is missing")
	}
	if config.Changed == nil {
		config.Changed = func(types.UID) {}
	}
	if config.Failed == nil {
		config.Failed = func(*corev1.Pod, *SetupError) {}
	}
	if config.Allocatable == nil {
		config.Allocatable = func() corev1.ResourceList { return nil }
	}
	return &Manager{
		config: config,
		busy:   keymutex.NewHashed(lockBuckets),
		wake:   make(chan struct{}, 1),
		pods:   map[types.UID]*refreshState{},
	}, nil
}

// SetupError says which volume could not be made; its text is that of the event FailedMount.
type SetupError struct {
	Volume string
	Err    error
	// kept is set if the volume has the content of an earlier time.
	kept bool
}

func (e *SetupError) Error() string {
	return fmt.Sprintf("MountVolume.SetUp failed for volume %q : %v", e.Volume, e.Err)
}

func (e *SetupError) Unwrap() error { return e.Err }

// Mount makes all volumes of the pod or brings them up to date, and remembers the
// pod as it is now, for refreshes. Each volume that could not be made is a
// *SetupError in the joined error; the others are made. A volume that was made
// before is no error if only its content cannot be renewed: that is tried again
// by Run.
func (m *Manager) Mount(ctx context.Context, pod *corev1.Pod) error {
	dir, err := m.PodDir(pod.UID)
	if err != nil {
		return err
	}
	m.busy.LockKey(string(pod.UID))
	defer m.unlock(pod.UID)
	if err := os.MkdirAll(filepath.Join(dir, "volumes"), 0o750); err != nil {
		return fmt.Errorf("making the directory of pod %s: %w", pod.UID, err)
	}
	result := m.apply(ctx, pod, pod.Spec.Volumes)
	m.remember(pod, result)
	var failures []error
	for _, failure := range result.failures {
		if failure.kept {
			m.reportKept(ctx, pod, failure)
			continue
		}
		failures = append(failures, failure)
	}
	return errors.Join(failures...)
}

// unlock ends what LockKey began. The only error there can be is that of a lock that is not held.
func (m *Manager) unlock(uid types.UID) { _ = m.busy.UnlockKey(string(uid)) }

func (m *Manager) reportKept(ctx context.Context, pod *corev1.Pod, failure *SetupError) {
	klog.FromContext(ctx).Error(failure.Err, "Refreshing a volume", "pod", klog.KObj(pod), "volume", failure.Volume)
	m.config.Failed(pod, failure)
}

// outcome is what came of making volumes.
type outcome struct {
	changed  bool
	renewAt  time.Time // when content grows old, zero for never
	failures []*SetupError
}

func (m *Manager) apply(ctx context.Context, pod *corev1.Pod, volumes []corev1.Volume) outcome {
	var result outcome
	for i := range volumes {
		volume := &volumes[i]
		one, err := m.setup(ctx, pod, volume)
		if err != nil {
			kept := payloadOf(volume) != nil && isWritten(m.dir(pod, volume))
			result.failures = append(result.failures, &SetupError{Volume: volume.Name, Err: err, kept: kept})
		}
		result.changed = result.changed || one.changed
		result.renewAt = earlier(result.renewAt, one.renewAt)
	}
	return result
}

// earlier returns the earlier time; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func (m *Manager) setup(ctx context.Context, pod *corev1.Pod, volume *corev1.Volume) (outcome, error) {
	switch {
	case volume.HostPath != nil:
		return outcome{}, setupHostPath(volume.HostPath)
	case volume.EmptyDir != nil:
		return outcome{}, m.setupEmptyDir(pod, volume)
	}
	fill := payloadOf(volume)
	if fill == nil {
		return outcome{}, fmt.Errorf("unsupported volume type of volume %q", volume.Name)
	}
	content, renewAt, err := fill(ctx, m, pod, volume)
	if err != nil {
		return outcome{}, err
	}
	content, err = content.prepare(fsGroup(pod))
	if err != nil {
		return outcome{}, err
	}
	dir := m.dir(pod, volume)
	if err := makeScratch(dir, scratch{memory: volume.ConfigMap == nil, group: fsGroup(pod)}); err != nil {
		return outcome{}, err
	}
	changed, err := write(dir, content, fsGroup(pod), m.config.Clock.Now())
	return outcome{changed: changed, renewAt: renewAt}, err
}

// fillFunc makes a volume's content, and says when it grows old.
type fillFunc func(ctx context.Context, m *Manager, pod *corev1.Pod, volume *corev1.Volume) (payload, time.Time, error)

// payloadOf returns how the volume's content is made, nil if the agent does not fill it.
func payloadOf(volume *corev1.Volume) fillFunc {
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

// fields answers the downward API. A pod's volumes cannot refer to its addresses.
func (m *Manager) fields() env.Fields { return env.Fields{Allocatable: m.config.Allocatable()} }

func fsGroup(pod *corev1.Pod) *int64 {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	return pod.Spec.SecurityContext.FSGroup
}
