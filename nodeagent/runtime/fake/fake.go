// Package fake is a container engine in memory: a stateful runtime.Runtime
// that passes the same scenarios (runtime/runtimetest) as the real one.
//
// Containers run program.Run in a goroutine: what a container does is what its
// command says ("sleep", "exit 3", "echo hello" ...; after a first word that is
// a path, as in "/app sleep"). A command that the program does not know is
// like a missing one: the container cannot be started. Tests that want other
// behaviour end containers themselves (Exit), lose them (Lose), restart the
// engine (Restart) and let calls fail (Fail).
package fake

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// Runtime is the fake engine.
type Runtime struct {
	clock clock.WithTicker
	info  runtime.Info

	mu         sync.Mutex // guards what follows
	nextID     int
	sandboxes  map[string]*runtime.Sandbox
	containers map[string]*fakeContainer
	images     map[string]runtime.Image // by ID
	registry   map[string]runtime.Image // by reference: what can be pulled
	failures   map[string][]error       // by method: the next calls' errors
	calls      []string
	watchers   map[chan runtime.Event]func()
	down       bool
}

var _ runtime.Runtime = (*Runtime)(nil)

// New returns an engine with no images.
func New(clk clock.WithTicker) *Runtime {
	return &Runtime{
		clock: clk,
		info: runtime.Info{
			Name: "docker", Version: "20.10.24", OperatingSystem: "Debian GNU/Linux 12 (bookworm)", KernelVersion: "6.1.0",
			Architecture: "amd64", CPUs: 2, MemoryBytes: 8 << 30, RootDir: "/var/lib/docker", CgroupDriver: "cgroupfs", CgroupVersion: 1,
		},
		sandboxes:  map[string]*runtime.Sandbox{},
		containers: map[string]*fakeContainer{},
		images:     map[string]runtime.Image{},
		registry:   map[string]runtime.Image{},
		failures:   map[string][]error{},
		watchers:   map[chan runtime.Event]func(){},
	}
}

// AddImage makes an image local under a reference ("docker.io/library/app:1").
func (r *Runtime) AddImage(ref string) runtime.Image {
	r.mu.Lock()
	defer r.mu.Unlock()
	image := newImage(ref)
	r.images[image.ID] = image
	return image
}

// AddRemoteImage makes an image that can be pulled.
func (r *Runtime) AddRemoteImage(ref string) runtime.Image {
	r.mu.Lock()
	defer r.mu.Unlock()
	image := newImage(ref)
	r.registry[ref] = image
	return image
}

func newImage(ref string) runtime.Image {
	return runtime.Image{
		ID:        fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(ref))),
		RepoTags:  []string{familiar(ref)},
		SizeBytes: 1 << 20,
	}
}

// familiar is how Docker shows a name of its Hub.
func familiar(ref string) string {
	return strings.TrimPrefix(strings.TrimPrefix(ref, "docker.io/"), "library/")
}

// Fail lets the next call of a method ("CreateSandbox", "StartContainer", "PullImage" ...) return err.
func (r *Runtime) Fail(method string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures[method] = append(r.failures[method], err)
}

// Calls returns the calls so far that change something, as "Method subject".
func (r *Runtime) Calls() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// SetInfo changes what Info returns.
func (r *Runtime) SetInfo(info runtime.Info) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.info = info
}

// Exit ends a running container's process with an exit code and reason, as if by itself.
func (r *Runtime) Exit(id string, code int, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.containers[id]; c != nil {
		r.finish(c, code, reason)
	}
}

// KillSandbox ends a sandbox's process, as if by itself.
func (r *Runtime) KillSandbox(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopSandbox(id)
}

// Lose makes a sandbox or container vanish, as if somebody had removed it.
func (r *Runtime) Lose(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.removeContainer(id)
	r.removeSandbox(id)
}

// Restart ends and starts the engine: everything that runs dies unless
// live, and the watchers are told to list again instead of what they have missed.
func (r *Runtime) Restart(live bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = true // no events
	if !live {
		for _, c := range r.containers {
			r.finish(c, 137, runtime.ReasonError)
		}
		for id := range r.sandboxes {
			r.stopSandbox(id)
		}
	}
	r.down = false
	r.publish(runtime.Event{Type: runtime.EventResync})
}

// begin records a call and returns the error that it is to fail with. The caller holds the lock.
func (r *Runtime) begin(ctx context.Context, method, subject string) error {
	r.calls = append(r.calls, method+" "+subject)
	if err := ctx.Err(); err != nil {
		return err
	}
	if queue := r.failures[method]; len(queue) > 0 {
		r.failures[method] = queue[1:]
		return queue[0]
	}
	return nil
}

func (r *Runtime) newID() string {
	r.nextID++
	return fmt.Sprintf("%064x", r.nextID)
}

// Watch implements runtime.Events.
func (r *Runtime) Watch(ctx context.Context) <-chan runtime.Event {
	// Unbounded between publish and the receiver, so that publishing never
	// waits under the lock.
	in, out := make(chan runtime.Event), make(chan runtime.Event)
	ctx, cancel := context.WithCancel(ctx)
	r.mu.Lock()
	r.watchers[in] = cancel
	r.mu.Unlock()
	go func() {
		defer close(out)
		defer func() {
			r.mu.Lock()
			delete(r.watchers, in)
			r.mu.Unlock()
		}()
		queue := []runtime.Event{{Type: runtime.EventResync, Time: r.clock.Now()}}
		for {
			var next runtime.Event
			var to chan<- runtime.Event
			if len(queue) > 0 {
				next, to = queue[0], out
			}
			select {
			case event := <-in:
				queue = append(queue, event)
			case to <- next:
				queue = queue[1:]
			case <-ctx.Done():
				r.drain(in)
				return
			}
		}
	}()
	return out
}

// drain lets a publish that holds the lock at this moment pass.
func (r *Runtime) drain(in chan runtime.Event) {
	for {
		if r.mu.TryLock() {
			delete(r.watchers, in)
			r.mu.Unlock()
			return
		}
		select {
		case <-in:
		case <-time.After(time.Millisecond):
		}
	}
}

// publish tells all watchers. The caller holds the lock.
func (r *Runtime) publish(event runtime.Event) {
	if r.down {
		return
	}
	event.Time = r.clock.Now()
	for watcher := range r.watchers {
		watcher <- event
	}
}

// Info implements runtime.Host.
func (r *Runtime) Info(ctx context.Context) (runtime.Info, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if queue := r.failures["Info"]; len(queue) > 0 {
		r.failures["Info"] = queue[1:]
		return runtime.Info{}, queue[0]
	}
	return r.info, ctx.Err()
}

// GetPod implements runtime.Pods.
func (r *Runtime) GetPod(ctx context.Context, uid string) (runtime.Pod, error) {
	pods, err := r.ListPods(ctx)
	if err != nil {
		return runtime.Pod{}, err
	}
	for _, pod := range pods {
		if pod.UID == uid {
			return pod, nil
		}
	}
	return runtime.Pod{PodRef: runtime.PodRef{UID: uid}}, nil
}

// ListPods implements runtime.Pods.
func (r *Runtime) ListPods(ctx context.Context) ([]runtime.Pod, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if queue := r.failures["ListPods"]; len(queue) > 0 {
		r.failures["ListPods"] = queue[1:]
		return nil, queue[0]
	}
	pods := map[string]*runtime.Pod{}
	get := func(ref runtime.PodRef) *runtime.Pod {
		if pods[ref.UID] == nil {
			pods[ref.UID] = &runtime.Pod{PodRef: ref}
		}
		return pods[ref.UID]
	}
	for _, sandbox := range r.sandboxes {
		pod := get(sandbox.Pod)
		pod.Sandboxes = append(pod.Sandboxes, *sandbox)
	}
	for _, c := range r.containers {
		pod := get(c.Pod)
		pod.Containers = append(pod.Containers, c.Container)
	}
	result := make([]runtime.Pod, 0, len(pods))
	for _, uid := range slices.Sorted(maps.Keys(pods)) {
		pod := pods[uid]
		slices.SortFunc(pod.Sandboxes, func(a, b runtime.Sandbox) int { return b.Attempt - a.Attempt })
		// IDs grow, and many containers are created at one instant of a fake clock.
		slices.SortFunc(pod.Containers, func(a, b runtime.Container) int { return strings.Compare(b.ID, a.ID) })
		result = append(result, *pod)
	}
	return result, ctx.Err()
}

// InspectImage implements runtime.Images.
func (r *Runtime) InspectImage(ctx context.Context, ref string) (runtime.Image, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if queue := r.failures["InspectImage"]; len(queue) > 0 {
		r.failures["InspectImage"] = queue[1:]
		return runtime.Image{}, queue[0]
	}
	for id, image := range r.images {
		if id == ref || slices.Contains(image.RepoTags, familiar(ref)) || slices.Contains(image.RepoDigests, familiar(ref)) {
			return image, ctx.Err()
		}
	}
	return runtime.Image{}, runtime.NotFound(fmt.Errorf("inspecting image %s: no such image", ref))
}

// PullImage implements runtime.Images.
func (r *Runtime) PullImage(ctx context.Context, ref string, _ *runtime.RegistryAuth, progress func(runtime.PullProgress)) (runtime.Image, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.begin(ctx, "PullImage", ref); err != nil {
		return runtime.Image{}, err
	}
	image, ok := r.registry[ref]
	if !ok {
		return runtime.Image{}, runtime.NotFound(fmt.Errorf("manifest for %s not found: manifest unknown", ref))
	}
	if progress != nil {
		progress(runtime.PullProgress{CurrentBytes: image.SizeBytes, TotalBytes: image.SizeBytes, Message: "Download complete"})
	}
	r.images[image.ID] = image
	return image, nil
}

// ListImages implements runtime.Images.
func (r *Runtime) ListImages(ctx context.Context) ([]runtime.Image, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	result := slices.Collect(maps.Values(r.images))
	slices.SortFunc(result, func(a, b runtime.Image) int { return strings.Compare(a.ID, b.ID) })
	return result, ctx.Err()
}

// RemoveImage implements runtime.Images.
func (r *Runtime) RemoveImage(ctx context.Context, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.begin(ctx, "RemoveImage", id); err != nil {
		return err
	}
	delete(r.images, id)
	return nil
}
