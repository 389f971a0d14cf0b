package podcontrol

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/clock"
)

// Store is what Pending asks of the pod cache.
type Store interface {
	GetByKey(key string) (item any, exists bool, err error)
	// LastStoreSyncResourceVersion is the newest resourceVersion that the cache shows.
	LastStoreSyncResourceVersion() string
}

// patience is how long Pending waits for the cache; after that something is
// wrong with it (etcd was restored from an old snapshot, say) and waiting on
// would stop the controller for good.
const patience = 5 * time.Minute

// Pending remembers, per owner, the writes of pods that the cache may not show
// yet. A controller must not count its pods while Settled is false.
type Pending struct {
	store Store
	clock clock.PassiveClock

	mu     sync.Mutex // guards owners
	owners map[types.UID]*writes
}

type writes struct {
	resourceVersion string               // newest one of the pods created
	deleted         map[types.UID]string // cache keys of pods deleted
	since           time.Time
}

// NewPending returns an empty memory over the cache's store of pods.
func NewPending(store Store, clock clock.PassiveClock) *Pending {
	return &Pending{store: store, clock: clock, owners: make(map[types.UID]*writes)}
}

func (p *Pending) of(owner types.UID) *writes {
	w := p.owners[owner]
	if w == nil {
		w = &writes{deleted: make(map[types.UID]string)}
		p.owners[owner] = w
	}
	w.since = p.clock.Now()
	return w
}

// Created notes that a pod of the owner was created.
func (p *Pending) Created(owner types.UID, pod *corev1.Pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.of(owner)
	if newer(pod.ResourceVersion, w.resourceVersion) {
		w.resourceVersion = pod.ResourceVersion
	}
}

// Deleted notes that the deletion of a pod of the owner was accepted.
func (p *Pending) Deleted(owner types.UID, pod *corev1.Pod) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(owner).deleted[pod.UID] = pod.Namespace + "/" + pod.Name
}

// Settled reports that the cache shows all noted writes of the owner. Ask before
// listing the pods, never after.
func (p *Pending) Settled(owner types.UID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.owners[owner]
	if w == nil {
		return true
	}
	if p.clock.Since(w.since) > patience {
		delete(p.owners, owner)
		return true
	}
	if newer(w.resourceVersion, p.store.LastStoreSyncResourceVersion()) {
		return false
	}
	for uid, key := range w.deleted {
		if !p.shownDeleted(uid, key) {
			return false
		}
	}
	delete(p.owners, owner)
	return true
}

func (p *Pending) shownDeleted(uid types.UID, key string) bool {
	item, exists, err := p.store.GetByKey(key)
	if err != nil || !exists {
		return err == nil
	}
	pod, ok := item.(*corev1.Pod)
	return !ok || pod.UID != uid || pod.DeletionTimestamp != nil
}

// Forget drops what is known of an owner that is gone.
func (p *Pending) Forget(owner types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.owners, owner)
}

// newer reports that resourceVersion a is later than b. Nothing is later than
// a version that cannot be read.
func newer(a, b string) bool {
	if a == "" {
		return false
	}
	if b == "" {
		return true
	}
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order > 0
}
