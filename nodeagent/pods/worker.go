package pods

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/status"
)

// flags say what has changed since the worker last looked.
type flags struct {
	engine  bool // what the engine holds
	objects bool // a config map or secret
	network bool // the network is ready, maybe
}

// worker runs one pod. Its loop alone touches what is not guarded by mu; tasks
// give their results back as functions that the loop calls.
type worker struct {
	m    *Manager
	uid  types.UID
	ref  runtime.PodRef
	wake chan struct{}
	done chan func() // results of tasks

	// admitted is the pod while it counts against the node's resources.
	admitted atomic.Pointer[corev1.Pod]

	mu      sync.Mutex // guards what follows
	wanted  *corev1.Pod
	flags   flags
	status  *corev1.PodStatus // the last one computed
	ignored map[string]bool   // containers whose events tell nothing new

	pod      *corev1.Pod // what the loop works with; nil when gone
	observed runtime.Pod
	tasks    map[string]*task

	begun      bool
	terminal   bool // the phase in the API is an end
	stopping   bool
	stopBy     time.Time
	stopGrace  int64
	failure    *status.Failure
	ended      bool // by the restart policy
	over       bool
	cleaned    bool // everything but dead containers is removed
	removed    bool // these too
	handedOver bool // the final delete is with the status writer

	waiting  map[string]corev1.ContainerStateWaiting
	retryAt  map[string]time.Time // by task
	failures map[string]int       // in a row, by task

	volumesReady bool
	volumesStale bool   // they show the pod's own fields, which have changed
	attached     string // the sandbox that is in the network
	podIPs       []string
	cgroup       string

	messages  map[string]string // termination messages by container ID
	hooked    map[string]bool   // containers whose preStop hook was run
	detached  map[string]bool   // sandboxes that were taken out of the network
	announced map[string]bool   // containers whose Killing event was recorded
	backedOff map[string]string // by container name: the run whose BackOff event was recorded
	wakeAt    time.Time
}

// task is something that takes time.
type task struct {
	cancel context.CancelFunc
	kill   bool
	until  time.Time // of a kill: when the grace period ends
}

// newWorker returns a worker; engineKnows means that the engine may hold something of the pod.
func newWorker(m *Manager, ref runtime.PodRef, engineKnows bool) *worker {
	return &worker{
		m: m, uid: types.UID(ref.UID), ref: ref,
		wake: make(chan struct{}, 1), done: make(chan func(), 16),
		flags: flags{engine: engineKnows}, ignored: map[string]bool{},
		tasks: map[string]*task{}, waiting: map[string]corev1.ContainerStateWaiting{},
		retryAt: map[string]time.Time{}, failures: map[string]int{},
		messages: map[string]string{}, hooked: map[string]bool{}, announced: map[string]bool{}, detached: map[string]bool{}, backedOff: map[string]string{},
	}
}

func (w *worker) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // a look that has not begun will see this change too
	}
}

func (w *worker) flag(set func(*flags)) {
	w.mu.Lock()
	set(&w.flags)
	w.mu.Unlock()
	w.signal()
}

func (w *worker) setPod(pod *corev1.Pod) {
	w.mu.Lock()
	w.wanted = pod
	w.mu.Unlock()
	w.signal()
}

// engineEvent notes an event unless it only echoes what a task of this worker does.
func (w *worker) engineEvent(event runtime.Event) {
	w.mu.Lock()
	echo := event.Type != runtime.EventDied && w.ignored[event.Container]
	w.mu.Unlock()
	if !echo && event.Type != runtime.EventRemoved || event.Type == runtime.EventRemoved && !w.isStopping() {
		w.flag(func(f *flags) { f.engine = true })
	}
}

func (w *worker) isStopping() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wanted == nil || w.wanted.DeletionTimestamp != nil
}

// current returns the pod with its present status, nil if the API does not have it.
func (w *worker) current() *corev1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wanted == nil || w.status == nil {
		return w.wanted
	}
	pod := *w.wanted
	pod.Status = *w.status
	return &pod
}

// run works until the pod is gone or ctx is done.
func (w *worker) run(ctx context.Context) {
	logger := klog.FromContext(ctx).WithValues("pod", klog.KRef(w.ref.Namespace, w.ref.Name), "podUID", w.uid)
	ctx = klog.NewContext(ctx, logger)
	timer := w.m.config.Clock.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if w.sync(ctx) {
			w.forget()
			return
		}
		// wakeAt is set by sync; nothing else changes with time alone.
		timer.Stop()
		select {
		case <-timer.C():
		default:
		}
		wait := time.Hour
		if !w.wakeAt.IsZero() {
			wait = max(w.wakeAt.Sub(w.m.config.Clock.Now()), 0)
		}
		timer.Reset(wait)
		if !w.wakeAt.IsZero() && !w.m.config.Clock.Now().Before(w.wakeAt) {
			w.signal() // it has passed since sync looked; a clock that is stepped would not fire the timer
		}
		select {
		case <-ctx.Done():
			w.drain()
			return
		case <-w.wake:
		case <-timer.C():
		case apply := <-w.done:
			apply()
		}
		// Results that came meanwhile need no look of their own.
		for more := true; more; {
			select {
			case apply := <-w.done:
				apply()
			default:
				more = false
			}
		}
	}
}

// drain waits for the tasks, which end with the agent's context.
func (w *worker) drain() {
	for len(w.tasks) > 0 {
		(<-w.done)()
	}
}

// spawn runs do as the task called key. What do returns is called by the loop.
func (w *worker) spawn(ctx context.Context, key string, do func(ctx context.Context) (apply func())) *task {
	ctx, cancel := context.WithCancel(ctx)
	t := &task{cancel: cancel}
	w.tasks[key] = t
	w.mu.Lock()
	w.ignored[key] = true
	w.mu.Unlock()
	go func() {
		apply := do(ctx)
		w.done <- func() {
			defer cancel() // not before apply, which asks whether the task was called off
			delete(w.tasks, key)
			w.mu.Lock()
			delete(w.ignored, key)
			w.mu.Unlock()
			if apply != nil {
				apply()
			}
		}
	}()
	return t
}

// wakeIn makes the loop look again after a time at the latest.
func (w *worker) wakeBy(at time.Time) {
	if !at.IsZero() && (w.wakeAt.IsZero() || at.Before(w.wakeAt)) {
		w.wakeAt = at
	}
}

// retryDelay returns how long to wait before a task is tried again: from least, doubling.
func (w *worker) retryDelay(key string, least, most time.Duration) {
	delay := least << min(w.failures[key], 16)
	w.failures[key]++
	w.retryAt[key] = w.m.config.Clock.Now().Add(min(delay, most))
}

func (w *worker) succeeded(key string) {
	delete(w.failures, key)
	delete(w.retryAt, key)
}

// due reports whether a task may be tried now; if not, the loop wakes when it may.
func (w *worker) due(key string) bool {
	at, ok := w.retryAt[key]
	if !ok || !w.m.config.Clock.Now().Before(at) {
		return true
	}
	w.wakeBy(at)
	return false
}

// forget drops all that others know of the pod.
func (w *worker) forget() {
	m := w.m
	m.config.Probes.Forget(w.uid)
	m.config.Objects.Unfollow(w.uid)
	m.config.Statuses.Forget(w.uid)
	w.admitted.Store(nil)
	if w.pod != nil {
		names := make([]string, 0, len(w.pod.Spec.Containers))
		for _, c := range allContainers(w.pod) {
			names = append(names, c.Image)
			m.backoff.DeleteEntry(w.backoffKey(c))
		}
		m.config.Images.Forget(string(w.uid), names...)
	}
}
