// Package queue holds the pods that wait to be scheduled.
//
// # Life of a pod
//
//	Add ──► active ──Pop──► in flight ──bound──► gone
//	          ▲                │ rejected
//	          │ due            ▼
//	       back-off ◄──event── unschedulable
//
// An event (a node was added, a pod went) wakes only the pods that a plugin has
// rejected which registered that event, and whose hint says that it can help. A
// woken pod waits until its back-off is over. What happens while a pod is in
// flight is remembered, so that no wake-up is lost.
//
// A pod that a PreEnqueue plugin holds back is gated: it stays with the
// unschedulable ones and costs no attempts.
package queue

import (
	"container/heap"
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/utils/clock"
)

// Config is what a queue needs; all but the durations is mandatory.
type Config struct {
	// Less is the order of the active queue.
	Less fwk.LessFunc
	// PreEnqueue returns a status that holds a pod back, or nil.
	PreEnqueue func(ctx context.Context, pod *corev1.Pod) *fwk.Status
	// Events are, by plugin, those that can help the pods it rejected.
	Events map[string][]fwk.ClusterEventWithHint
	Clock  clock.WithTicker

	InitialBackoff time.Duration // 1 s
	MaxBackoff     time.Duration // 10 s
	// MaxUnschedulable is how long a pod waits for an event at most: a safety net.
	MaxUnschedulable time.Duration // 5 min
}

// Queue is safe for concurrent use.
type Queue struct {
	cfg  Config
	wake chan struct{} // holds a token if Pop should look again

	mu            sync.Mutex // guards everything below
	active        podHeap
	waiting       podHeap // for the end of their back-off
	unschedulable map[types.UID]*Pod
	inFlight      map[types.UID]*Pod
	log           []event // what happened since the oldest pod in flight was popped
	logStart      int     // the position of log[0]
}

type event struct {
	kind           fwk.ClusterEvent
	oldObj, newObj any
}

// New returns an empty queue.
func New(cfg Config) *Queue {
	setDefault(&cfg.InitialBackoff, time.Second)
	setDefault(&cfg.MaxBackoff, 10*time.Second)
	setDefault(&cfg.MaxUnschedulable, 5*time.Minute)
	return &Queue{
		cfg:           cfg,
		wake:          make(chan struct{}, 1),
		active:        podHeap{less: func(a, b *Pod) bool { return cfg.Less(a, b) }, index: map[types.UID]int{}},
		waiting:       podHeap{less: func(a, b *Pod) bool { return a.backoffUntil.Before(b.backoffUntil) }, index: map[types.UID]int{}},
		unschedulable: map[types.UID]*Pod{},
		inFlight:      map[types.UID]*Pod{},
	}
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// Add takes in a new pod.
func (q *Queue) Add(ctx context.Context, pod *corev1.Pod) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.find(pod.UID) != nil {
		return
	}
	q.activate(ctx, &Pod{Pod: pod, timestamp: q.cfg.Clock.Now()})
}

// Update takes in a new state of a waiting pod, with the kinds of change that
// plugins may have registered.
func (q *Queue) Update(ctx context.Context, oldPod, pod *corev1.Pod, changes []fwk.ClusterEvent) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if flying := q.inFlight[pod.UID]; flying != nil {
		for _, change := range changes {
			q.log = append(q.log, event{change, oldPod, pod})
		}
		return
	}
	p := q.find(pod.UID)
	if p == nil {
		q.activate(ctx, &Pod{Pod: pod, timestamp: q.cfg.Clock.Now()})
		return
	}
	p.Pod = pod
	if q.unschedulable[pod.UID] == nil {
		q.active.fix(pod.UID)
		q.waiting.fix(pod.UID)
		return
	}
	if p.gate != "" {
		delete(q.unschedulable, pod.UID)
		q.activate(ctx, p)
		return
	}
	for _, change := range changes {
		if q.helps(klog.FromContext(ctx), p, event{change, oldPod, pod}) {
			q.requeue(ctx, p)
			return
		}
	}
}

// Delete forgets a pod.
func (q *Queue) Delete(uid types.UID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.active.remove(uid)
	q.waiting.remove(uid)
	delete(q.unschedulable, uid)
}

// Pop waits for a pod and returns the first in order. It must be given back by
// Done, Reject or Retry. The only error is that of ctx.
func (q *Queue) Pop(ctx context.Context) (*Pod, error) {
	for {
		p, next := q.tryPop(ctx)
		if p != nil {
			return p, nil
		}
		timer := q.cfg.Clock.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-q.wake:
		case <-timer.C():
		}
		timer.Stop()
	}
}

// tryPop returns a pod, or after how long something will be due.
func (q *Queue) tryPop(ctx context.Context) (*Pod, time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.cfg.Clock.Now()
	next := q.flushStale(ctx, now)
	for q.waiting.Len() > 0 {
		first := q.waiting.pods[0]
		if left := first.backoffUntil.Sub(now); left > 0 {
			next = min(next, left)
			break
		}
		heap.Pop(&q.waiting)
		heap.Push(&q.active, first)
	}
	if q.active.Len() == 0 {
		return nil, next
	}
	p := heap.Pop(&q.active).(*Pod)
	p.attempts++
	if p.initial == nil {
		p.initial = &now
	}
	p.poppedAt = q.logStart + len(q.log)
	q.inFlight[p.Pod.UID] = p
	return p, 0
}

// flushStale wakes pods that have waited for an event for too long, and returns
// when to look again.
func (q *Queue) flushStale(ctx context.Context, now time.Time) time.Duration {
	next := q.cfg.MaxUnschedulable
	for _, p := range q.unschedulable {
		if p.gate != "" {
			continue
		}
		left := p.timestamp.Add(q.cfg.MaxUnschedulable).Sub(now)
		if left <= 0 {
			q.requeue(ctx, p)
			continue
		}
		next = min(next, left)
	}
	return next
}

// Done ends a flight: the pod was bound, or is no longer wanted.
func (q *Queue) Done(p *Pod) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.land(p)
}

// Reject gives back a pod that plugins rejected. It waits for an event that can
// help; if one came during the flight, it is woken at once.
func (q *Queue) Reject(ctx context.Context, p *Pod, latest *corev1.Pod, plugins sets.Set[string]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	missed := q.log[p.poppedAt-q.logStart:]
	p.Pod, p.timestamp, p.rejectedBy = latest, q.cfg.Clock.Now(), plugins
	p.tries++
	p.errors = 0
	p.backoffUntil = p.timestamp.Add(backoff(p.tries, q.cfg.InitialBackoff, q.cfg.MaxBackoff))
	q.unschedulable[latest.UID] = p
	for _, e := range missed {
		if q.helps(klog.FromContext(ctx), p, e) {
			q.requeue(ctx, p)
			break
		}
	}
	q.land(p)
}

// Retry gives back a pod whose cycle failed by mishap: it is tried again after a
// back-off, whatever happens.
func (q *Queue) Retry(ctx context.Context, p *Pod, latest *corev1.Pod) {
	q.mu.Lock()
	defer q.mu.Unlock()
	p.Pod, p.timestamp, p.rejectedBy = latest, q.cfg.Clock.Now(), nil
	p.errors++
	p.backoffUntil = p.timestamp.Add(backoff(p.errors, q.cfg.InitialBackoff, q.cfg.MaxBackoff))
	q.requeue(ctx, p)
	q.land(p)
}

// land ends a flight and drops what only it needed of the log.
func (q *Queue) land(p *Pod) {
	delete(q.inFlight, p.Pod.UID)
	oldest := q.logStart + len(q.log)
	for _, other := range q.inFlight {
		oldest = min(oldest, other.poppedAt)
	}
	q.log = q.log[oldest-q.logStart:]
	q.logStart = oldest
	if len(q.log) == 0 {
		q.log = nil
	}
}

// Notify tells the queue of an event in the cluster.
func (q *Queue) Notify(ctx context.Context, kind fwk.ClusterEvent, oldObj, newObj any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e := event{kind, oldObj, newObj}
	if len(q.inFlight) > 0 {
		q.log = append(q.log, e)
	}
	logger := klog.FromContext(ctx)
	for _, p := range q.unschedulable {
		if p.gate == "" && q.helps(logger, p, e) {
			q.requeue(ctx, p)
		}
	}
}

// Lengths returns how many pods are active, backing off and unschedulable.
func (q *Queue) Lengths() (active, backingOff, unschedulable int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.active.Len(), q.waiting.Len(), len(q.unschedulable)
}
