// Package endpoints writes the Endpoints object of every Service that has a
// selector. It is the old API beside EndpointSlices, which old clients and
// `kubectl get endpoints` still read.
package endpoints

import (
	"context"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/record"
	endpointsliceutil "k8s.io/endpointslice/util"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/skiff-project/skiff/controllers/podcontrol"
	"github.com/skiff-project/skiff/controllers/servicepods"
)

const (
	managedByLabel = "endpoints.kubernetes.io/managed-by"
	managedBy      = "endpoint-controller"
	truncated      = "truncated"
	staleDelay     = 20 * time.Millisecond
)

// Deps are the things that a Reconciler works with; all are needed.
type Deps struct {
	Client  client.Client
	Events  record.EventRecorder
	Workers int
}

// Reconciler writes Endpoints.
type Reconciler struct {
	Deps
	triggers *endpointsliceutil.TriggerTimeTracker
}

// New returns the controller.
func New(deps Deps) *Reconciler {
	return &Reconciler{Deps: deps, triggers: endpointsliceutil.NewTriggerTimeTracker()}
}

// Name returns the controller's name.
func (r *Reconciler) Name() string { return "endpoint-controller" }

// Register adds the controller to the manager.
func (r *Reconciler) Register(mgr ctrl.Manager) error {
	enqueue := func(obj client.Object, q podcontrol.Queue) {
		q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)})
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named(r.Name()).
		For(&corev1.Service{}).
		Watches(&corev1.Endpoints{}, handler.Funcs{ //nolint:staticcheck // the deprecated API is the point
			// Those that exist at the start may belong to services deleted while nobody
			// watched.
			CreateFunc: func(_ context.Context, e event.CreateEvent, q podcontrol.Queue) {
				if e.IsInInitialList {
					enqueue(e.Object, q)
				}
			},
			DeleteFunc: func(_ context.Context, e event.DeleteEvent, q podcontrol.Queue) { enqueue(e.Object, q) },
		}).
		Watches(&corev1.Pod{}, servicepods.Events(r.Client)).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Workers}).
		Complete(r)
}

// Reconcile writes the Endpoints of one Service, or removes those of one that is
// gone.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var svc corev1.Service
	err := r.Client.Get(ctx, req.NamespacedName, &svc)
	if apierrors.IsNotFound(err) {
		return ctrl.Result{}, r.remove(ctx, req)
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("reading service: %w", err)
	}
	if svc.Spec.Type == corev1.ServiceTypeExternalName || len(svc.Spec.Selector) == 0 {
		return ctrl.Result{}, nil // its Endpoints, if any, are the user's
	}
	pods, err := servicepods.List(ctx, r.Client, &svc)
	if err != nil {
		return ctrl.Result{}, err
	}
	trigger := r.triggers.ComputeEndpointLastChangeTriggerTime(svc.Namespace, &svc, pods)
	subsets := Subsets(&svc, pods)
	over := Truncate(subsets)
	stale, err := r.write(ctx, &svc, subsets, over, trigger)
	if err != nil || !stale {
		return ctrl.Result{}, err
	}
	// Updates of Endpoints start no pass, so come back.
	return ctrl.Result{RequeueAfter: staleDelay}, nil
}

func (r *Reconciler) remove(ctx context.Context, req ctrl.Request) error {
	r.triggers.DeleteService(req.Namespace, req.Name)
	var endpoints corev1.Endpoints //nolint:staticcheck // see above
	if err := r.Client.Get(ctx, req.NamespacedName, &endpoints); err != nil {
		return client.IgnoreNotFound(err)
	}
	if _, leader := endpoints.Annotations["control-plane.alpha.kubernetes.io/leader"]; leader {
		return nil // an old lock of leader election, not endpoints of a service
	}
	if err := r.Client.Delete(ctx, &endpoints, client.Preconditions{UID: &endpoints.UID}); podcontrol.IgnoreStale(err) != nil {
		return fmt.Errorf("deleting endpoints: %w", err)
	}
	return nil
}

// write makes the Endpoints of a Service what they should be. stale reports that
// the cache was behind and nothing was written.
func (r *Reconciler) write(ctx context.Context, svc *corev1.Service, subsets []corev1.EndpointSubset, over bool, trigger time.Time) (stale bool, err error) {
	var current corev1.Endpoints //nolint:staticcheck // see above
	err = r.Client.Get(ctx, client.ObjectKeyFromObject(svc), &current)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("reading endpoints: %w", err)
	}
	exists := err == nil
	wanted := Desired(svc, &current, subsets, over, trigger)
	if exists && equality.Semantic.DeepEqual(current.Subsets, wanted.Subsets) &&
		maps.Equal(current.Labels, wanted.Labels) && current.Annotations[corev1.EndpointsOverCapacity] == wanted.Annotations[corev1.EndpointsOverCapacity] {
		return false, nil
	}
	reason := "FailedToUpdateEndpoint"
	if exists {
		err = r.Client.Update(ctx, wanted)
	} else {
		reason = "FailedToCreateEndpoint"
		err = r.Client.Create(ctx, wanted)
	}
	switch {
	case err == nil, podcontrol.NamespaceTerminating(err):
		return false, nil
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err), exists && apierrors.IsNotFound(err):
		return true, nil
	default:
		r.Events.Eventf(svc, corev1.EventTypeWarning, reason, "Failed to %s endpoint %v/%v: %v", map[bool]string{true: "update", false: "create"}[exists], svc.Namespace, svc.Name, err)
		return false, fmt.Errorf("writing endpoints: %w", err)
	}
}

// Desired returns the Endpoints of a Service, in the place of the current ones
// (which may be empty).
func Desired(svc *corev1.Service, current *corev1.Endpoints, subsets []corev1.EndpointSubset, over bool, trigger time.Time) *corev1.Endpoints { //nolint:staticcheck // see above
	out := current.DeepCopy()
	if out.Name == "" {
		out.ObjectMeta = metav1.ObjectMeta{Namespace: svc.Namespace, Name: svc.Name}
	}
	out.Subsets = subsets
	out.Labels = maps.Clone(svc.Labels)
	if out.Labels == nil {
		out.Labels = make(map[string]string)
	}
	if svc.Spec.ClusterIP == corev1.ClusterIPNone {
		out.Labels[corev1.IsHeadlessService] = ""
	} else {
		delete(out.Labels, corev1.IsHeadlessService)
	}
	out.Labels[managedByLabel] = managedBy
	if out.Annotations == nil {
		out.Annotations = make(map[string]string)
	}
	if over {
		out.Annotations[corev1.EndpointsOverCapacity] = truncated
	} else {
		delete(out.Annotations, corev1.EndpointsOverCapacity)
	}
	if trigger.IsZero() {
		delete(out.Annotations, corev1.EndpointsLastChangeTriggerTime)
	} else {
		out.Annotations[corev1.EndpointsLastChangeTriggerTime] = trigger.UTC().Format(time.RFC3339Nano)
	}
	return out
}
