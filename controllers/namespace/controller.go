// Package namespace empties namespaces that are being deleted, and lets go of
// them when they are empty.
//
// # Model
//
//	Active --delete--> Terminating --content gone--> finalizer "kubernetes"
//	removed from spec.finalizers --> the server removes the object
//
// What a namespace may contain is asked of discovery in each pass, so that custom
// resources and aggregated ones are found. While content remains (pods in their
// grace period, finalizers), the events of pods and a growing delay bring the
// next pass.
package namespace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/skiff-project/skiff/controllers/podcontrol"
)

// Discovery tells which resources there are.
type Discovery interface {
	ServerPreferredNamespacedResources() ([]*metav1.APIResourceList, error)
}

// Deps are the things that a Reconciler works with; all are needed.
type Deps struct {
	Client    client.Client
	Discovery Discovery
	Metadata  metadata.Interface
	Clock     clock.PassiveClock
	Workers   int
}

// Reconciler finishes namespaces.
type Reconciler struct{ Deps }

// New returns the controller.
func New(deps Deps) *Reconciler { return &Reconciler{deps} }

// Name returns the controller's name.
func (r *Reconciler) Name() string { return "namespace-controller" }

// Register adds the controller to the manager.
func (r *Reconciler) Register(mgr ctrl.Manager) error {
	terminating := predicate.NewPredicateFuncs(func(obj client.Object) bool { return obj.GetDeletionTimestamp() != nil })
	return ctrl.NewControllerManagedBy(mgr).
		Named(r.Name()).
		Watches(&corev1.Namespace{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(terminating)).
		Watches(&corev1.Pod{}, handler.Funcs{DeleteFunc: r.podDeleted}).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: r.Workers,
			// No event tells that an aggregated API answers again, so that what failed
			// must be tried at least so often.
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](5*time.Millisecond, time.Minute),
		}).
		Complete(r)
}

// podDeleted continues the deletion of a namespace that waited for its pods.
func (r *Reconciler) podDeleted(ctx context.Context, e event.DeleteEvent, q podcontrol.Queue) {
	name := types.NamespacedName{Name: e.Object.GetNamespace()}
	var ns corev1.Namespace
	if err := r.Client.Get(ctx, name, &ns); err == nil && ns.DeletionTimestamp != nil {
		q.Add(reconcile.Request{NamespacedName: name})
	}
}

// Reconcile takes one terminating namespace a step nearer to its end.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var cached corev1.Namespace
	if err := r.Client.Get(ctx, req.NamespacedName, &cached); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if cached.DeletionTimestamp == nil {
		return ctrl.Result{}, nil
	}
	ns := cached.DeepCopy()
	if ns.Status.Phase != corev1.NamespaceTerminating {
		ns.Status.Phase = corev1.NamespaceTerminating
		if err := r.Client.Status().Update(ctx, ns); err != nil {
			return ctrl.Result{}, staleOr("setting phase Terminating", err)
		}
	}
	if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
		return ctrl.Result{}, nil // our part is done; somebody else's finalizer is left
	}
	found := r.empty(ctx, ns.Name)
	if updated, changed := conditions(ns.Status.Conditions, found, r.Clock.Now()); changed {
		ns.Status.Conditions = updated
		if err := r.Client.Status().Update(ctx, ns); err != nil {
			return ctrl.Result{}, staleOr("writing conditions", err)
		}
	}
	if err := errors.Join(found.discoveryErr, found.parseErr, found.contentErr); err != nil {
		return ctrl.Result{}, fmt.Errorf("emptying namespace: %w", err)
	}
	if !found.left.empty() {
		return ctrl.Result{RequeueAfter: nextPass(r.Clock.Since(ns.DeletionTimestamp.Time))}, nil
	}
	return ctrl.Result{}, r.finalize(ctx, ns)
}

// empty deletes what the namespace contains. Where discovery knows only a part,
// that part is deleted; the error keeps the namespace.
func (r *Reconciler) empty(ctx context.Context, name string) pass {
	lists, err := r.Discovery.ServerPreferredNamespacedResources()
	p := pass{discoveryErr: err}
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) && len(lists) == 0 {
		return p
	}
	var resources []resource
	resources, p.parseErr = deletable(lists)
	p.left, p.contentErr = sweeper{metadata: r.Metadata, namespace: name}.sweep(ctx, resources)
	return p
}

func (r *Reconciler) finalize(ctx context.Context, ns *corev1.Namespace) error {
	ns.Spec.Finalizers = slices.DeleteFunc(ns.Spec.Finalizers, func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
	return staleOr("removing the finalizer", r.Client.SubResource("finalize").Update(ctx, ns))
}

// nextPass returns the delay of the next pass over a namespace that has been
// terminating for so long: content that is quick to go is looked for soon.
func nextPass(age time.Duration) time.Duration {
	return min(max(age/4, 100*time.Millisecond), 15*time.Second)
}

// staleOr wraps an error, unless it only says that the cache was behind.
func staleOr(action string, err error) error {
	if podcontrol.IgnoreStale(err) == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", action, err)
}
