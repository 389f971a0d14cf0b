package garbagecollector

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const (
	// rediscover is the safety net; changes of the API are noticed by the events of
	// CRDs and APIServices.
	rediscover = 5 * time.Minute
	// retryDiscovery follows an answer that was incomplete.
	retryDiscovery = 15 * time.Second
	// settle is the time that a new API takes to show in discovery.
	settle = 2 * time.Second
)

// Discovery tells which resources there are.
type Discovery interface {
	ServerPreferredResources() ([]*metav1.APIResourceList, error)
}

// SharedInformers returns the informer of a kind that other controllers watch
// anyway, or nil.
type SharedInformers func(ctx context.Context, kind schema.GroupVersionKind) (cache.SharedIndexInformer, error)

// sink takes what monitors see.
type sink interface {
	observed(o object)
	removed(id identity)
}

// ignored resources have no owners, come in masses, or are views of others.
var ignored = sets.New(
	schema.GroupResource{Resource: "events"},
	schema.GroupResource{Group: "events.k8s.io", Resource: "events"},
)

// apiSources are the resources whose change changes discovery.
var apiSources = sets.New(
	schema.GroupResource{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"},
	schema.GroupResource{Group: "apiregistration.k8s.io", Resource: "apiservices"},
)

// monitors keeps one watch per resource.
type monitors struct {
	discovery Discovery
	metadata  metadata.Interface
	shared    SharedInformers
	sink      sink
	changed   chan struct{} // discovery should be asked again

	mu      sync.Mutex // guards what follows
	running map[schema.GroupVersionResource]*monitor
	started bool // discovery has answered once
}

type monitor struct {
	informer     cache.SharedIndexInformer
	registration cache.ResourceEventHandlerRegistration
	stop         context.CancelFunc
}

func newMonitors(d Discovery, m metadata.Interface, shared SharedInformers, s sink) *monitors {
	return &monitors{
		discovery: d, metadata: m, shared: shared, sink: s,
		changed: make(chan struct{}, 1),
		running: make(map[schema.GroupVersionResource]*monitor),
	}
}

// collectable returns the resources that can be watched and deleted, with their
// kinds.
func collectable(lists []*metav1.APIResourceList) map[schema.GroupVersionResource]schema.GroupVersionKind {
	out := make(map[schema.GroupVersionResource]schema.GroupVersionKind)
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue
		}
		for _, r := range list.APIResources {
			gvr := gv.WithResource(r.Name)
			if strings.Contains(r.Name, "/") || ignored.Has(gvr.GroupResource()) || !sets.New(r.Verbs...).HasAll("delete", "list", "watch") {
				continue
			}
			out[gvr] = gv.WithKind(r.Kind)
		}
	}
	return out
}

// run keeps the watches in step with discovery until ctx is cancelled.
func (m *monitors) run(ctx context.Context) {
	logger := klog.FromContext(ctx)
	for ctx.Err() == nil {
		delay := rediscover
		lists, err := m.discovery.ServerPreferredResources()
		if err != nil {
			delay = retryDiscovery
			logger.V(1).Info("Discovery is incomplete", "err", err)
		}
		partial := discovery.IsGroupDiscoveryFailedError(err)
		if err == nil || partial {
			m.sync(ctx, collectable(lists), partial)
		} else if !m.hasStarted() {
			delay = time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		case <-m.changed:
			// One API is rarely changed alone, and takes a moment to be served.
			select {
			case <-ctx.Done():
			case <-time.After(settle):
			}
		}
	}
	m.stopAll()
}

func (m *monitors) hasStarted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.started
}

// sync starts the watches that are missing and stops those of resources that
// are gone. A partial answer of discovery takes nothing away.
func (m *monitors) sync(ctx context.Context, wanted map[schema.GroupVersionResource]schema.GroupVersionKind, partial bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for gvr, mon := range m.running {
		if _, ok := wanted[gvr]; !ok && !partial {
			m.stop(mon)
			delete(m.running, gvr)
		}
	}
	for gvr, kind := range wanted {
		if m.running[gvr] != nil {
			continue
		}
		mon, err := m.start(ctx, gvr, kind)
		if err != nil {
			klog.FromContext(ctx).Error(err, "Watching a resource for garbage", "resource", gvr)
			continue
		}
		m.running[gvr] = mon
	}
	m.started = true
}

func (m *monitors) start(ctx context.Context, gvr schema.GroupVersionResource, kind schema.GroupVersionKind) (*monitor, error) {
	ctx, cancel := context.WithCancel(ctx)
	informer, err := m.shared(ctx, kind)
	if err != nil {
		cancel()
		return nil, err
	}
	own := informer == nil
	if own {
		informer = metadatainformer.NewFilteredMetadataInformer(m.metadata, gvr, metav1.NamespaceAll, 0, cache.Indexers{}, nil).Informer()
		if err := informer.SetTransform(slim); err != nil {
			cancel()
			return nil, err
		}
	}
	registration, err := informer.AddEventHandler(m.handler(gvr, kind))
	if err != nil {
		cancel()
		return nil, err
	}
	mon := &monitor{informer: informer, registration: registration, stop: cancel}
	if own {
		go informer.RunWithContext(ctx)
	}
	return mon, nil
}

func (m *monitors) handler(gvr schema.GroupVersionResource, kind schema.GroupVersionKind) cache.ResourceEventHandler {
	seen := func(obj any) {
		if o, ok := read(obj, kind); ok {
			m.sink.observed(o)
		}
	}
	gone := func(obj any) {
		if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = tombstone.Obj
		}
		if o, ok := read(obj, kind); ok {
			m.sink.removed(o.identity)
		}
	}
	changed := func(old, obj any) {
		before, okBefore := read(old, kind)
		after, okAfter := read(obj, kind)
		if okBefore && okAfter && before.UID != after.UID {
			m.sink.removed(before.identity) // the watch missed that one went and its namesake came
		}
		seen(obj)
	}
	if !apiSources.Has(gvr.GroupResource()) {
		return cache.ResourceEventHandlerFuncs{AddFunc: seen, UpdateFunc: changed, DeleteFunc: gone}
	}
	notify := func() {
		select {
		case m.changed <- struct{}{}:
		default:
		}
	}
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, initial bool) {
			seen(obj)
			if !initial {
				notify()
			}
		},
		UpdateFunc: func(old, obj any) { changed(old, obj); notify() },
		DeleteFunc: func(obj any) { gone(obj); notify() },
	}
}

func (m *monitors) stop(mon *monitor) {
	// Removing the handler of a shared informer leaves that to its other users.
	_ = mon.informer.RemoveEventHandler(mon.registration)
	mon.stop()
}

func (m *monitors) stopAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for gvr, mon := range m.running {
		m.stop(mon)
		delete(m.running, gvr)
	}
}

// synced reports that every watch has delivered what exists.
func (m *monitors) synced() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.started {
		return false
	}
	for _, mon := range m.running {
		if !mon.registration.HasSynced() {
			return false
		}
	}
	return true
}

func (m *monitors) waitForSync(ctx context.Context, timeout time.Duration) {
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, timeout, true, func(context.Context) (bool, error) { return m.synced(), nil })
	if err != nil && ctx.Err() == nil {
		klog.FromContext(ctx).Info("Collecting garbage although some resources could not be listed yet")
	}
}

// read returns what the graph needs of an API object.
func read(obj any, kind schema.GroupVersionKind) (object, bool) {
	m, err := meta.Accessor(obj)
	if err != nil {
		return object{}, false
	}
	return object{
		identity: identity{
			APIVersion: kind.GroupVersion().String(), Kind: kind.Kind,
			Namespace: m.GetNamespace(), Name: m.GetName(), UID: m.GetUID(),
		},
		owners:     m.GetOwnerReferences(),
		deleting:   m.GetDeletionTimestamp() != nil,
		foreground: slices.Contains(m.GetFinalizers(), metav1.FinalizerDeleteDependents),
		orphan:     slices.Contains(m.GetFinalizers(), metav1.FinalizerOrphanDependents),
	}, true
}

// slim keeps of an object only what read uses: these copies are as many as there
// are objects in the cluster.
func slim(obj any) (any, error) {
	p, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return obj, nil
	}
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: p.Name, Namespace: p.Namespace, UID: p.UID, ResourceVersion: p.ResourceVersion,
		OwnerReferences: p.OwnerReferences, Finalizers: p.Finalizers, DeletionTimestamp: p.DeletionTimestamp,
	}}, nil
}
