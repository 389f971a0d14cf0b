package pods

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2/ktesting"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	apiruntime "k8s.io/apimachinery/pkg/runtime"

	"github.com/skiff-project/skiff/e2e/testenv"
	"github.com/skiff-project/skiff/nodeagent/cgroups"
	"github.com/skiff-project/skiff/nodeagent/dns"
	"github.com/skiff-project/skiff/nodeagent/images"
	"github.com/skiff-project/skiff/nodeagent/lifecycle"
	"github.com/skiff-project/skiff/nodeagent/network"
	"github.com/skiff-project/skiff/nodeagent/objects"
	"github.com/skiff-project/skiff/nodeagent/probes"
	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/runtime/fake"
	"github.com/skiff-project/skiff/nodeagent/status"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	testImage = "docker.io/library/app:1"
	patience  = 20 * time.Second
)

// world is a manager on the fake engine, with a real API server.
type world struct {
	*testenv.Env
	t         *testing.T
	namespace string
	node      string
	clock     *clocktesting.FakeClock
	engine    *fake.Runtime
	network   *fakeNetwork
	volumes   *fakeVolumes
	cgroups   *fakeCgroups
	events    *eventLog
	manager   *Manager
	stop      func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	clk := clocktesting.NewFakeClock(time.Now())
	w := &world{
		Env: testenv.Shared(t), t: t, clock: clk, engine: fake.New(clk), node: strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")),
		network: &fakeNetwork{added: map[string]network.Result{}}, volumes: &fakeVolumes{root: t.TempDir()}, cgroups: &fakeCgroups{pods: map[string]bool{}},
		events: &eventLog{},
	}
	w.engine.AddImage(testImage)
	w.namespace = w.Namespace(t)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	_, _ = w.Client.CoreV1().ServiceAccounts(w.namespace).Create(t.Context(), account, metav1.CreateOptions{}) // a controller may have made it
	w.start()
	t.Cleanup(w.end)
	return w
}

// start starts a manager as the agent does; also once more after stop.
func (w *world) start() {
	w.t.Helper()
	_, ctx := ktesting.NewTestContext(w.t)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var manager *Manager
	store, err := objects.New(objects.Config{Client: w.Client, Changed: func(uid types.UID) { manager.Refresh(uid) }})
	w.must(err)
	puller, err := images.New(images.Config{Images: w.engine, Clock: w.clock})
	w.must(err)
	prober, err := probes.New(ctx, probes.Config{Engine: w.engine, Clock: w.clock, Changed: func(uid types.UID) { manager.Wake(uid) },
		Unhealthy: func(pod *corev1.Pod, c *corev1.Container, message string) {
			w.events.Event(ContainerRef(pod, c.Name), corev1.EventTypeWarning, "Unhealthy", message)
		}})
	w.must(err)
	writer, err := status.NewWriter(w.Client.CoreV1())
	w.must(err)
	manager, err = New(Config{
		Engine: w.engine, Network: w.network, Images: puller, Volumes: w.volumes, Cgroups: w.cgroups, Probes: prober,
		Hooks: lifecycle.Runner{Engine: w.engine, Clock: w.clock}, Objects: &followedObjects{store}, Statuses: writer, Recorder: w.events, Clock: w.clock,
		PauseImage: "pause", Scheme: "docker", HostIPs: []string{"192.0.2.1"}, DNS: dns.Cluster{Servers: []netip.Addr{netip.MustParseAddr("10.96.0.10")}, Domain: "cluster.local"},
		Allocatable: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")},
	})
	w.must(err)
	w.manager = manager
	selector := fields.OneTermEqualSelector("spec.nodeName", w.node)
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(w.Client.CoreV1().RESTClient(), "pods", w.namespace, selector),
		ObjectType:    &corev1.Pod{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { manager.SetPod(o.(*corev1.Pod)) },
			UpdateFunc: func(_, o any) { manager.SetPod(o.(*corev1.Pod)) },
			DeleteFunc: func(o any) {
				if pod, ok := o.(*corev1.Pod); ok {
					manager.RemovePod(pod.UID)
				}
			},
		},
	})
	var group sync.WaitGroup
	group.Go(func() { informer.RunWithContext(ctx) })
	group.Go(func() { writer.Run(ctx) })
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		w.t.Fatal("listing pods")
	}
	group.Go(func() { manager.Run(ctx) })
	w.stop = func() {
		cancel()
		store.Close()
		group.Wait()
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// end deletes all pods and checks that nothing of them is left anywhere.
func (w *world) end() {
	pods := w.Client.CoreV1().Pods(w.namespace)
	w.must(pods.DeleteCollection(context.Background(), metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](1)}, metav1.ListOptions{}))
	w.eventually("everything is gone", func(ctx context.Context) (bool, error) {
		w.clock.Step(time.Second) // grace periods pass
		list, err := pods.List(ctx, metav1.ListOptions{})
		if err != nil || len(list.Items) > 0 {
			return false, err
		}
		observed, err := w.engine.ListPods(ctx)
		return len(observed) == 0 && w.network.count() == 0 && w.cgroups.count() == 0 && w.volumes.count() == 0 && len(w.manager.Pods()) == 0, err
	})
	w.stop()
}

func (w *world) eventually(what string, condition wait.ConditionWithContextFunc) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := wait.PollUntilContextCancel(ctx, 5*time.Millisecond, true, condition); err != nil {
		w.t.Fatalf("waiting until %s: %v; events: %s", what, err, strings.Join(w.events.all(), "\n"))
	}
}

// create makes a pod of a spec, with defaults for what does not matter.
func (w *world) create(name string, spec corev1.PodSpec) *corev1.Pod {
	w.t.Helper()
	spec.NodeName = w.node
	spec.AutomountServiceAccountToken = ptr.To(false)
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			if list[i].Image == "" {
				list[i].Image = "app:1"
			}
			list[i].ImagePullPolicy = corev1.PullIfNotPresent
		}
	}
	pod, err := w.Client.CoreV1().Pods(w.namespace).Create(w.t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{})
	w.must(err)
	return pod
}

func (w *world) until(name, what string, condition func(*corev1.Pod) bool) *corev1.Pod {
	w.t.Helper()
	var pod *corev1.Pod
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := wait.PollUntilContextCancel(ctx, 5*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		var err error
		pod, err = w.Client.CoreV1().Pods(w.namespace).Get(ctx, name, metav1.GetOptions{})
		return err == nil && condition(pod), err
	})
	if err != nil {
		w.t.Fatalf("waiting until %s: %v; status %+v; events:\n%s", what, err, pod.Status, strings.Join(w.events.all(), "\n"))
	}
	return pod
}

func (w *world) delete(name string, grace int64) {
	w.t.Helper()
	w.must(w.Client.CoreV1().Pods(w.namespace).Delete(w.t.Context(), name, metav1.DeleteOptions{GracePeriodSeconds: &grace}))
}

func (w *world) untilGone(name string) {
	w.t.Helper()
	w.eventually("pod "+name+" is gone", func(ctx context.Context) (bool, error) {
		list, err := w.Client.CoreV1().Pods(w.namespace).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
		return err == nil && len(list.Items) == 0, err
	})
}

// container returns the newest run of a container in the engine.
func (w *world) container(uid types.UID, name string) runtime.Container {
	w.t.Helper()
	pod, err := w.engine.GetPod(w.t.Context(), string(uid))
	w.must(err)
	for _, c := range pod.Containers {
		if c.Name == name {
			return c
		}
	}
	w.t.Fatalf("the engine has no container %q", name)
	return runtime.Container{}
}

func (w *world) expectEvent(want string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("event %q is there", want), func(context.Context) (bool, error) {
		return slices.Contains(w.events.all(), want), nil
	})
}

func ready(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func waitingFor(reason string) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool {
		return len(pod.Status.ContainerStatuses) > 0 && pod.Status.ContainerStatuses[0].State.Waiting != nil &&
			pod.Status.ContainerStatuses[0].State.Waiting.Reason == reason
	}
}

func inPhase(phase corev1.PodPhase) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool { return pod.Status.Phase == phase }
}

// followedObjects is the object store as pods want it.
type followedObjects struct{ *objects.Store }

func (o *followedObjects) Follow(pod *corev1.Pod)            { o.Register(pod.UID, objects.Refs(pod)) }
func (o *followedObjects) Unfollow(uid types.UID)            { o.Register(uid, nil) }
func (o *followedObjects) Services(string) []*corev1.Service { return nil }

// fakeNetwork gives out addresses.
type fakeNetwork struct {
	mu    sync.Mutex
	down  bool
	added map[string]network.Result // by sandbox
	next  byte
}

func (n *fakeNetwork) Ready() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		return errors.New("cni plugin not initialized")
	}
	return nil
}

func (n *fakeNetwork) Add(_ context.Context, pod network.Pod) (network.Result, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next++
	n.added[pod.SandboxID] = network.Result{IPs: []netip.Addr{netip.AddrFrom4([4]byte{10, 244, 0, n.next})}}
	return n.added[pod.SandboxID], nil
}

func (n *fakeNetwork) Cached(pod network.Pod) (network.Result, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	result, ok := n.added[pod.SandboxID]
	return result, ok
}

func (n *fakeNetwork) Del(_ context.Context, pod network.Pod) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.added, pod.SandboxID)
	return nil
}

func (n *fakeNetwork) setDown(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = down
}

func (n *fakeNetwork) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.added)
}

// fakeVolumes makes the pods' directories only.
type fakeVolumes struct {
	root string
	mu   sync.Mutex
	fail error
}

func (v *fakeVolumes) Mount(_ context.Context, pod *corev1.Pod) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fail != nil {
		return v.fail
	}
	return os.MkdirAll(filepath.Join(v.root, string(pod.UID)), 0o755)
}

func (v *fakeVolumes) setFail(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fail = err
}

func (v *fakeVolumes) Mounts(*corev1.Pod, *corev1.Container, func(string) string) ([]runtime.Mount, error) {
	return nil, nil
}

func (v *fakeVolumes) Unmount(_ context.Context, uid types.UID) error {
	return os.RemoveAll(filepath.Join(v.root, string(uid)))
}

func (v *fakeVolumes) PodDir(uid types.UID) (string, error) {
	return filepath.Join(v.root, string(uid)), nil
}

func (v *fakeVolumes) Known() ([]types.UID, error) {
	entries, err := os.ReadDir(v.root)
	var uids []types.UID
	for _, e := range entries {
		uids = append(uids, types.UID(e.Name()))
	}
	return uids, err
}

func (v *fakeVolumes) count() int {
	uids, _ := v.Known()
	return len(uids)
}

// fakeCgroups remembers which pods have one.
type fakeCgroups struct {
	mu   sync.Mutex
	pods map[string]bool
}

func (c *fakeCgroups) EnsurePod(_ context.Context, _ corev1.PodQOSClass, uid string, _ cgroups.Limits) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pods[uid] = true
	return "/kubepods/pod" + uid, nil
}

func (c *fakeCgroups) RemovePod(_ context.Context, uid string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pods, uid)
	return nil
}

func (c *fakeCgroups) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pods)
}

// eventLog keeps events as "Type Reason: message".
type eventLog struct {
	mu     sync.Mutex
	events []string
}

func (l *eventLog) Event(_ apiruntime.Object, eventType, reason, message string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, fmt.Sprintf("%s %s: %s", eventType, reason, message))
}

func (l *eventLog) Eventf(object apiruntime.Object, eventType, reason, format string, args ...any) {
	l.Event(object, eventType, reason, fmt.Sprintf(format, args...))
}

func (l *eventLog) AnnotatedEventf(object apiruntime.Object, _ map[string]string, eventType, reason, format string, args ...any) {
	l.Eventf(object, eventType, reason, format, args...)
}

func (l *eventLog) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events)
}
