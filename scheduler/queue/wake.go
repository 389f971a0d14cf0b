package queue

import (
	"container/heap"
	"context"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
)

// helps reports whether an event may make a rejected pod schedulable: whether one
// of the plugins that rejected it has registered the event, and does not hint
// that it is of no use.
func (q *Queue) helps(logger klog.Logger, p *Pod, e event) bool {
	if len(p.rejectedBy) == 0 {
		return true
	}
	for name := range p.rejectedBy {
		registered, known := q.cfg.Events[name]
		if !known {
			return true // a plugin that says nothing of events is asked again at each
		}
		for _, r := range registered {
			if !matches(r.Event, e.kind) {
				continue
			}
			if r.QueueingHintFn == nil {
				return true
			}
			hint, err := r.QueueingHintFn(logger, p.Pod, e.oldObj, e.newObj)
			if err != nil {
				logger.Error(err, "Asking a plugin whether an event helps", "plugin", name, "event", e.kind.Label())
				return true
			}
			if hint == fwk.Queue {
				return true
			}
		}
	}
	return false
}

// matches reports whether an event is one of those that were registered.
func matches(registered, happened fwk.ClusterEvent) bool {
	if registered.Resource == fwk.WildCard {
		return true
	}
	if registered.ActionType&happened.ActionType == 0 {
		return false
	}
	if registered.Resource == happened.Resource {
		return true
	}
	isPod := happened.Resource == fwk.AssignedPod || happened.Resource == fwk.TargetPod || happened.Resource == fwk.UnscheduledPod
	return registered.Resource == fwk.Pod && isPod
}

// activate puts a pod into the active queue unless a plugin gates it.
func (q *Queue) activate(ctx context.Context, p *Pod) {
	p.gate = ""
	if status := q.cfg.PreEnqueue(ctx, p.Pod); !status.IsSuccess() {
		p.gate = status.Plugin()
		q.unschedulable[p.Pod.UID] = p
		return
	}
	heap.Push(&q.active, p)
	q.signal()
}

// requeue moves an unschedulable pod on: to the active queue, or to wait for the
// end of its back-off.
func (q *Queue) requeue(ctx context.Context, p *Pod) {
	delete(q.unschedulable, p.Pod.UID)
	if p.backoffUntil.After(q.cfg.Clock.Now()) {
		heap.Push(&q.waiting, p)
		q.signal()
		return
	}
	q.activate(ctx, p)
}

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// find returns the pod wherever it waits or flies, or nil.
func (q *Queue) find(uid types.UID) *Pod {
	if p := q.inFlight[uid]; p != nil {
		return p
	}
	if p := q.unschedulable[uid]; p != nil {
		return p
	}
	if p := q.active.get(uid); p != nil {
		return p
	}
	return q.waiting.get(uid)
}

// podHeap is a heap of pods that can be found by UID.
type podHeap struct {
	pods  []*Pod
	less  func(a, b *Pod) bool
	index map[types.UID]int
}

func (h *podHeap) Len() int           { return len(h.pods) }
func (h *podHeap) Less(i, j int) bool { return h.less(h.pods[i], h.pods[j]) }
func (h *podHeap) Swap(i, j int) {
	h.pods[i], h.pods[j] = h.pods[j], h.pods[i]
	h.index[h.pods[i].Pod.UID], h.index[h.pods[j].Pod.UID] = i, j
}

// Push and Pop are for container/heap.
func (h *podHeap) Push(x any) {
	p := x.(*Pod)
	h.index[p.Pod.UID] = len(h.pods)
	h.pods = append(h.pods, p)
}

func (h *podHeap) Pop() any {
	last := h.pods[len(h.pods)-1]
	h.pods[len(h.pods)-1] = nil
	h.pods = h.pods[:len(h.pods)-1]
	delete(h.index, last.Pod.UID)
	return last
}

func (h *podHeap) get(uid types.UID) *Pod {
	if i, found := h.index[uid]; found {
		return h.pods[i]
	}
	return nil
}

func (h *podHeap) fix(uid types.UID) {
	if i, found := h.index[uid]; found {
		heap.Fix(h, i)
	}
}

func (h *podHeap) remove(uid types.UID) {
	if i, found := h.index[uid]; found {
		heap.Remove(h, i)
	}
}
