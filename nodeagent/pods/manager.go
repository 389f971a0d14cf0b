package pods

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/skiff-project/skiff/nodeagent/cgroups"
	"github.com/skiff-project/skiff/nodeagent/dns"
	"github.com/skiff-project/skiff/nodeagent/handlers"
	"github.com/skiff-project/skiff/nodeagent/images"
	"github.com/skiff-project/skiff/nodeagent/network"
	"github.com/skiff-project/skiff/nodeagent/probes"
	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// Engine is what is needed of the container engine.
type Engine interface {
	runtime.Sandboxes
	runtime.Containers
	runtime.Pods
	runtime.Events
	runtime.Logs
}

// Network puts sandboxes in and out of the pod network.
type Network interface {
	Ready() error
	Add(ctx context.Context, pod network.Pod) (network.Result, error)
	Cached(pod network.Pod) (network.Result, bool)
	Del(ctx context.Context, pod network.Pod) error
}

// Images makes images present.
type Images interface {
	Ensure(ctx context.Context, request images.Request) (runtime.Image, error)
	RetryAfter(podUID, image string) time.Duration
	Forget(podUID string, images ...string)
}

// Volumes makes, refreshes and removes the volumes of pods.
type Volumes interface {
	Mount(ctx context.Context, pod *corev1.Pod) error
	Mounts(pod *corev1.Pod, container *corev1.Container, expand func(string) string) ([]runtime.Mount, error)
	Unmount(ctx context.Context, uid types.UID) error
	// PodDir is the directory of everything that belongs to a pod.
	PodDir(uid types.UID) (string, error)
	// Known returns the pods that have such a directory.
	Known() ([]types.UID, error)
}

// Cgroups makes and removes the cgroups of pods.
type Cgroups interface {
	EnsurePod(ctx context.Context, qos corev1.PodQOSClass, uid string, limits cgroups.Limits) (parent string, err error)
	RemovePod(ctx context.Context, uid string) error
}

// Probes knows how containers are.
type Probes interface {
	Sync(pod *corev1.Pod, podIP string, running map[string]probes.Running)
	Forget(uid types.UID)
	Started(uid types.UID, spec *corev1.Container, id string) bool
	Ready(uid types.UID, spec *corev1.Container, id string) bool
	Unhealthy(uid types.UID, name, id string) *probes.Failure
}

// Hooks runs lifecycle hooks.
type Hooks interface {
	Run(ctx context.Context, hook *corev1.LifecycleHandler, target handlers.Target) error
}

// Objects reads what pods refer to.
type Objects interface {
	// Follow says that the pod refers to objects; changes wake it. Unfollow ends that.
	Follow(pod *corev1.Pod)
	Unfollow(uid types.UID)
	ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
	// Services returns those that a pod of the namespace may learn of.
	Services(namespace string) []*corev1.Service
}

// Statuses brings statuses into the API.
type Statuses interface {
	Set(pod *corev1.Pod, status corev1.PodStatus)
	Delete(pod *corev1.Pod, status corev1.PodStatus)
	Forget(uid types.UID)
}

// Config is what a Manager needs.
type Config struct {
	Engine   Engine
	Network  Network
	Images   Images
	Volumes  Volumes
	Cgroups  Cgroups
	Probes   Probes
	Hooks    Hooks
	Objects  Objects
	Statuses Statuses
	Recorder record.EventRecorder
	Clock    clock.WithTicker

	// PauseImage of sandboxes, present in the engine.
	PauseImage string
	// Scheme of container IDs in the API.
	Scheme  string
	HostIPs []string
	DNS     dns.Cluster
	// ResolvConf and HostsFile are the host's files.
	ResolvConf, HostsFile string
	// SeccompDir holds the profiles of type Localhost.
	SeccompDir string
	// Allocatable is what pods may use, NodeMemory what the machine has.
	Allocatable corev1.ResourceList
	NodeMemory  int64
	// ContainerLabels are put on every container and sandbox.
	ContainerLabels map[string]string
	// EngineChanged is called after the engine was restarted or reached again; may be nil.
	EngineChanged func()
}

// The delays of restarts that kube's users know.
const (
	crashBackoff    = 10 * time.Second
	crashBackoffMax = 5 * time.Minute
	// resyncPeriod is the safety net under the events.
	resyncPeriod = 5 * time.Minute
	// adoptRetry is after how long an engine that could not be listed is asked again.
	adoptRetry = time.Second
)

// Manager runs the node's pods.
type Manager struct {
	config  Config
	backoff *flowcontrol.Backoff

	mu      sync.Mutex // guards what follows
	ctx     context.Context
	workers map[types.UID]*worker
	group   sync.WaitGroup
	// listed means that all that the engine held has a worker: of a new pod it has nothing.
	listed bool
}

// New returns a Manager that runs nothing yet.
func New(config Config) (*Manager, error) {
	for name, missing := range map[string]bool{
		"Engine": config.Engine == nil, "Network": config.Network == nil, "Images": config.Images == nil, "Volumes": config.Volumes == nil,
		"Cgroups": config.Cgroups == nil, "Probes": config.Probes == nil, "Hooks": config.Hooks == nil, "Objects": config.Objects == nil,
		"Statuses": config.Statuses == nil, "Recorder": config.Recorder == nil, "Clock": config.Clock == nil,
		"PauseImage": config.PauseImage == "", "Scheme": config.Scheme == "", "HostIPs": len(config.HostIPs) == 0,
	} {
		if missing {
			return nil, fmt.Errorf("pods: %s is missing", name)
		}
	}
	backoff := flowcontrol.NewBackOff(crashBackoff, crashBackoffMax)
	backoff.Clock = config.Clock
	return &Manager{config: config, backoff: backoff, workers: map[types.UID]*worker{}}, nil
}

// Run runs pods until ctx is done; containers keep running after that. The pods
// of the API must be known by then (SetPod), or they are taken for gone.
func (m *Manager) Run(ctx context.Context) {
	m.mu.Lock()
	m.ctx = ctx
	for _, w := range m.workers {
		m.launch(w)
	}
	m.mu.Unlock()
	events := m.config.Engine.Watch(ctx)
	ticker := m.config.Clock.NewTicker(resyncPeriod)
	defer ticker.Stop()
	m.adoptDirectories(ctx)
	var again <-chan time.Time // the engine could not be listed; nothing else would say that it can
	for events != nil {
		listed := true
		select {
		case event, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			listed = m.engineEvent(ctx, event)
		case <-again:
			again = nil
			listed = m.adopt(ctx)
		case <-ticker.C():
			listed = m.adopt(ctx)
			m.adoptDirectories(ctx)
			m.backoff.GC()
		}
		if !listed {
			again = m.config.Clock.After(adoptRetry)
		}
	}
	m.group.Wait()
}

// launch starts the worker's goroutine. The caller holds the lock, and Run has begun.
func (m *Manager) launch(w *worker) {
	m.group.Go(func() {
		w.run(m.ctx)
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.ctx.Err() == nil {
			delete(m.workers, w.uid)
		}
	})
}

// worker returns the pod's worker, made if need be. The caller holds the lock.
func (m *Manager) worker(ref runtime.PodRef) *worker {
	uid := types.UID(ref.UID)
	w := m.workers[uid]
	if w == nil {
		w = newWorker(m, ref, !m.listed)
		m.workers[uid] = w
		if m.ctx != nil {
			m.launch(w)
		}
	}
	return w
}

// SetPod says how the API has a pod of this node now.
func (m *Manager) SetPod(pod *corev1.Pod) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.worker(runtime.PodRef{UID: string(pod.UID), Namespace: pod.Namespace, Name: pod.Name})
	w.setPod(pod)
}

// RemovePod says that the API has the pod no more.
func (m *Manager) RemovePod(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.workers[uid]; w != nil {
		w.setPod(nil)
	}
}

// Wake makes the worker of a pod look again: a probe has turned.
func (m *Manager) Wake(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.workers[uid]; w != nil {
		w.signal()
	}
}

// Refresh makes the worker of a pod try again what failed: an object that it
// refers to has changed.
func (m *Manager) Refresh(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.workers[uid]; w != nil {
		w.flag(func(f *flags) { f.objects = true })
	}
}

// WakeAll makes all workers look again: the network has become ready.
func (m *Manager) WakeAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.workers {
		w.flag(func(f *flags) { f.network = true })
	}
}

// Pods returns the node's pods with their present status.
func (m *Manager) Pods() []*corev1.Pod {
	m.mu.Lock()
	defer m.mu.Unlock()
	pods := make([]*corev1.Pod, 0, len(m.workers))
	for _, w := range m.workers {
		if pod := w.current(); pod != nil {
			pods = append(pods, pod)
		}
	}
	return pods
}

// Pod returns one of them.
func (m *Manager) Pod(name types.NamespacedName) (*corev1.Pod, bool) {
	for _, pod := range m.Pods() {
		if pod.Namespace == name.Namespace && pod.Name == name.Name {
			return pod, true
		}
	}
	return nil, false
}

// engineEvent acts on an event. It returns false if the engine had to be listed and could not be.
func (m *Manager) engineEvent(ctx context.Context, event runtime.Event) bool {
	if event.Type == runtime.EventResync {
		listed := m.adopt(ctx)
		if m.config.EngineChanged != nil {
			m.config.EngineChanged()
		}
		return listed
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if w := m.workers[types.UID(event.PodUID)]; w != nil {
		w.engineEvent(event)
	}
	return true
}

// adopt makes every worker look at the engine again, and makes workers for pods
// that only the engine knows: they are to be ended. It returns false if the engine could not be listed.
func (m *Manager) adopt(ctx context.Context) bool {
	observed, err := m.config.Engine.ListPods(ctx)
	if err != nil {
		if ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Listing the pods of the container engine")
		}
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range observed {
		m.worker(observed[i].PodRef)
	}
	m.listed = true
	for _, w := range m.workers {
		w.flag(func(f *flags) { f.engine = true })
	}
	return true
}

// adoptDirectories makes workers for pods of which only volumes are left.
func (m *Manager) adoptDirectories(ctx context.Context) {
	uids, err := m.config.Volumes.Known()
	if err != nil {
		klog.FromContext(ctx).Error(err, "Looking for leftover volumes")
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, uid := range uids {
		m.worker(runtime.PodRef{UID: string(uid)}).signal()
	}
}
