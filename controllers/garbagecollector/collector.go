package garbagecollector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/lru"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

const (
	absentCacheSize = 500
	// syncTimeout bounds the wait for the first picture of all resources; one that
	// cannot be listed must not stop the collection of all others.
	syncTimeout = 30 * time.Second
	maxRetry    = 5 * time.Minute
)

// errClusterToNamespaced says that a cluster-scoped object names a namespaced
// owner, which cannot be looked up; it is left alone.
var errClusterToNamespaced = errors.New("cluster-scoped objects cannot refer to namespaced owners")

// Deps are the things that a Collector works with; all are needed.
type Deps struct {
	Metadata  metadata.Interface
	Mapper    meta.RESTMapper
	Discovery Discovery
	Shared    SharedInformers
	Events    record.EventRecorder
	Workers   int
}

// Collector is the garbage collector.
type Collector struct {
	Deps
	graph    *graph
	absent   *lru.Cache // identities of owners that do not exist
	checks   queue
	orphans  queue
	monitors *monitors
}

type queue = workqueue.TypedRateLimitingInterface[types.UID]

// New returns the collector.
func New(deps Deps) *Collector {
	c := &Collector{Deps: deps, graph: newGraph(), absent: lru.New(absentCacheSize)}
	c.checks, c.orphans = newQueue("garbage_collector_attempt_to_delete"), newQueue("garbage_collector_attempt_to_orphan")
	c.monitors = newMonitors(deps.Discovery, deps.Metadata, deps.Shared, c)
	return c
}

func newQueue(name string) queue {
	return workqueue.NewTypedRateLimitingQueueWithConfig(
		workqueue.NewTypedItemExponentialFailureRateLimiter[types.UID](5*time.Millisecond, maxRetry),
		workqueue.TypedRateLimitingQueueConfig[types.UID]{Name: name})
}

// Name returns the controller's name.
func (c *Collector) Name() string { return "garbage-collector" }

// Register adds the collector to the manager.
func (c *Collector) Register(mgr ctrl.Manager) error {
	return mgr.Add(manager.RunnableFunc(c.Run))
}

// Run collects until ctx is cancelled.
func (c *Collector) Run(ctx context.Context) error {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(c.Name()))
	var wg sync.WaitGroup
	wg.Go(func() { c.monitors.run(ctx) })
	c.monitors.waitForSync(ctx, syncTimeout)
	for range c.Workers {
		wg.Go(func() { c.work(ctx, c.checks, c.check) })
		wg.Go(func() { c.work(ctx, c.orphans, c.orphanDependents) })
	}
	<-ctx.Done()
	c.checks.ShutDown()
	c.orphans.ShutDown()
	wg.Wait()
	return nil
}

// observed and removed take the events of the monitors.
func (c *Collector) observed(o object) { c.enqueue(c.graph.observe(o)) }

func (c *Collector) removed(id identity) {
	w, hadDependents := c.graph.remove(id.UID)
	if hadDependents {
		c.absent.Add(id, nil)
	}
	c.enqueue(w)
}

func (c *Collector) enqueue(w work) {
	for _, uid := range w.check {
		c.checks.Add(uid)
	}
	for _, uid := range w.orphan {
		c.orphans.Add(uid)
	}
	for _, m := range w.misplaced {
		c.Events.Eventf(&corev1.ObjectReference{
			APIVersion: m.dependent.APIVersion, Kind: m.dependent.Kind, Namespace: m.dependent.Namespace, Name: m.dependent.Name, UID: m.dependent.UID,
		}, corev1.EventTypeWarning, "OwnerRefInvalidNamespace", "ownerRef [%s/%s, namespace: %s, name: %s, uid: %s] does not exist in namespace %q",
			m.ref.APIVersion, m.ref.Kind, m.dependent.Namespace, m.ref.Name, m.ref.UID, m.dependent.Namespace)
	}
}

func (c *Collector) work(ctx context.Context, q queue, do func(context.Context, types.UID) error) {
	for {
		uid, shutdown := q.Get()
		if shutdown {
			return
		}
		switch err := do(ctx, uid); {
		case err == nil:
			q.Forget(uid)
		case errors.Is(err, errClusterToNamespaced):
			klog.FromContext(ctx).Info("Leaving an object with an impossible owner alone", "uid", uid, "err", err)
			q.Forget(uid)
		case ctx.Err() != nil:
		default:
			if !apierrors.IsConflict(err) {
				klog.FromContext(ctx).V(2).Info("Collecting garbage failed, will retry", "uid", uid, "err", err)
			}
			q.AddRateLimited(uid)
		}
		q.Done(uid)
	}
}

// check looks at one object and deletes it, or cleans its references, if its
// owners call for it.
func (c *Collector) check(ctx context.Context, uid types.UID) error {
	known, ok := c.graph.get(uid)
	if !ok || (known.deleting && !known.foreground) {
		return nil
	}
	live, err := c.live(ctx, known.identity)
	if err != nil {
		return err
	}
	if live == nil {
		if known.virtual {
			c.absent.Add(known.identity, nil)
		}
		c.removed(known.identity)
		return nil
	}
	if known.virtual {
		return nil // it exists; its own event will say more
	}
	if known.deleting && known.foreground {
		return c.finishForeground(ctx, known, live)
	}
	standings, err := c.standings(ctx, known.identity, live.OwnerReferences)
	if err != nil {
		return err
	}
	return c.carryOut(ctx, known.identity, live, decide(live.OwnerReferences, standings, live.Finalizers, known.dependents))
}

func (c *Collector) carryOut(ctx context.Context, id identity, live *metav1.PartialObjectMetadata, v verdict) error {
	switch v.action {
	case dropRefs:
		return c.patchRefs(ctx, id, live, v.refs)
	case unblock:
		if err := c.patchRefs(ctx, id, live, v.refs); err != nil {
			return err
		}
		return c.delete(ctx, id, "", v.policy)
	case destroy:
		return c.delete(ctx, id, live.ResourceVersion, v.policy)
	}
	return nil
}

// finishForeground lets an object go when nothing blocks its deletion any more;
// until then it makes sure that the dependents are being worked on.
func (c *Collector) finishForeground(ctx context.Context, known view, live *metav1.PartialObjectMetadata) error {
	blocking := blockers(known.dependents)
	if len(blocking) == 0 {
		return c.removeFinalizer(ctx, known.identity, live, metav1.FinalizerDeleteDependents)
	}
	for _, d := range blocking {
		if !d.waiting {
			c.checks.Add(d.UID)
		}
	}
	return nil
}

// standings asks the server about each owner.
func (c *Collector) standings(ctx context.Context, id identity, refs []metav1.OwnerReference) ([]standing, error) {
	out := make([]standing, len(refs))
	for i, ref := range refs {
		owner := identityOf(ref, id.Namespace)
		if _, known := c.absent.Get(owner); known {
			out[i] = dangling
			continue
		}
		live, err := c.live(ctx, owner)
		switch {
		case err != nil:
			return nil, err
		case live == nil:
			c.absent.Add(owner, nil)
			out[i] = dangling
		case live.DeletionTimestamp != nil && slices.Contains(live.Finalizers, metav1.FinalizerDeleteDependents):
			out[i] = waiting
		}
	}
	return out, nil
}

// orphanDependents removes the references to an owner from its dependents and
// then lets the owner go.
func (c *Collector) orphanDependents(ctx context.Context, uid types.UID) error {
	known, ok := c.graph.get(uid)
	if !ok {
		return nil
	}
	var errs []error
	for _, d := range known.dependents {
		errs = append(errs, c.orphanOne(ctx, d.identity, uid))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("orphaning the dependents of %s %s: %w", known.Kind, known.Name, err)
	}
	live, err := c.live(ctx, known.identity)
	if err != nil || live == nil {
		return err
	}
	return c.removeFinalizer(ctx, known.identity, live, metav1.FinalizerOrphanDependents)
}

func (c *Collector) orphanOne(ctx context.Context, id identity, owner types.UID) error {
	live, err := c.live(ctx, id)
	if err != nil || live == nil || find(live.OwnerReferences, owner) == nil {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(live.OwnerReferences), func(ref metav1.OwnerReference) bool { return ref.UID == owner })
	return c.patchRefs(ctx, id, live, rest)
}

// resource returns the API of an object's kind.
func (c *Collector) resource(id identity) (metadata.ResourceInterface, error) {
	gv, err := schema.ParseGroupVersion(id.APIVersion)
	if err != nil {
		return nil, fmt.Errorf("reading apiVersion %q: %w", id.APIVersion, err)
	}
	mapping, err := c.Mapper.RESTMapping(gv.WithKind(id.Kind).GroupKind(), gv.Version)
	if err != nil {
		return nil, fmt.Errorf("finding the resource of %s: %w", gv.WithKind(id.Kind), err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return c.Metadata.Resource(mapping.Resource), nil
	}
	if id.Namespace == "" {
		return nil, fmt.Errorf("%s %s: %w", id.Kind, id.Name, errClusterToNamespaced)
	}
	return c.Metadata.Resource(mapping.Resource).Namespace(id.Namespace), nil
}
