package docker

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"golang.org/x/sync/errgroup"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// parallelInspects bounds the requests at once; the engine answers each in about a millisecond.
const parallelInspects = 8

// GetPod implements runtime.Pods.
func (r *Runtime) GetPod(ctx context.Context, uid string) (runtime.Pod, error) {
	pods, _, err := r.list(ctx, filters.Arg("label", labelPodUID+"="+uid))
	if err != nil {
		return runtime.Pod{}, fmt.Errorf("reading the containers of pod %s: %w", uid, err)
	}
	if len(pods) == 0 {
		return runtime.Pod{PodRef: runtime.PodRef{UID: uid}}, nil
	}
	return pods[0], nil
}

// ListPods implements runtime.Pods.
func (r *Runtime) ListPods(ctx context.Context) ([]runtime.Pod, error) {
	pods, ids, err := r.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the containers of all pods: %w", err)
	}
	r.ended.keep(ids)
	return pods, nil
}

// list returns the pods whose containers pass the filter, and all IDs.
func (r *Runtime) list(ctx context.Context, extra ...filters.KeyValuePair) ([]runtime.Pod, map[string]bool, error) {
	args := filters.NewArgs(append(extra, r.ownLabel())...)
	summaries, err := r.client.ContainerList(ctx, container.ListOptions{All: true, Filters: args})
	if err != nil {
		return nil, nil, err
	}
	inspected := make([]*container.InspectResponse, len(summaries))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(parallelInspects)
	ids := map[string]bool{}
	for i, summary := range summaries {
		ids[summary.ID] = true
		if known, ok := r.ended.get(summary.ID, summary.State); ok {
			inspected[i] = known
			continue
		}
		group.Go(func() error {
			response, err := r.client.ContainerInspect(groupCtx, summary.ID)
			if cerrdefs.IsNotFound(err) {
				return nil // removed since the list was made
			}
			if err != nil {
				return err
			}
			r.ended.put(response)
			inspected[i] = &response
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	pods, err := assemble(inspected)
	return pods, ids, err
}

// assemble sorts sandboxes and containers into pods.
func assemble(inspected []*container.InspectResponse) ([]runtime.Pod, error) {
	pods := map[string]*runtime.Pod{}
	for _, c := range inspected {
		if c == nil {
			continue
		}
		ref := podOf(c.Config.Labels)
		pod := pods[ref.UID]
		if pod == nil {
			pod = &runtime.Pod{PodRef: ref}
			pods[ref.UID] = pod
		}
		if c.Config.Labels[labelType] == typeSandbox {
			sandbox, err := sandboxFrom(*c)
			if err != nil {
				return nil, err
			}
			pod.Sandboxes = append(pod.Sandboxes, sandbox)
			continue
		}
		translated, err := containerFrom(*c)
		if err != nil {
			return nil, err
		}
		pod.Containers = append(pod.Containers, translated)
	}
	result := make([]runtime.Pod, 0, len(pods))
	for _, uid := range slices.Sorted(maps.Keys(pods)) {
		pod := pods[uid]
		slices.SortFunc(pod.Sandboxes, func(a, b runtime.Sandbox) int { return b.Attempt - a.Attempt })
		slices.SortFunc(pod.Containers, func(a, b runtime.Container) int {
			return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), b.Attempt-a.Attempt, cmp.Compare(a.ID, b.ID))
		})
		result = append(result, *pod)
	}
	return result, nil
}

// endedCache keeps what Docker said about containers that have ended: they do not change any more.
type endedCache struct {
	mu      sync.Mutex
	entries map[string]*container.InspectResponse
}

// get returns the entry if the list says that the container still is ended.
func (c *endedCache) get(id, listed string) (*container.InspectResponse, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if listed != container.StateExited {
		delete(c.entries, id) // somebody has started it by hand
		return nil, false
	}
	entry, ok := c.entries[id]
	return entry, ok
}

func (c *endedCache) put(response container.InspectResponse) {
	if response.State.Status != container.StateExited {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = map[string]*container.InspectResponse{}
	}
	c.entries[response.ID] = &response
}

func (c *endedCache) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, id)
}

// keep drops all that are gone.
func (c *endedCache) keep(ids map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.entries, func(id string, _ *container.InspectResponse) bool { return !ids[id] })
}
