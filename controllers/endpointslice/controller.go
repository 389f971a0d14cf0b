// Package endpointslice writes the EndpointSlices of every Service that has a
// selector. The slices themselves are computed by k8s.io/endpointslice; this
// package feeds it.
package endpointslice

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/endpointslice"
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
	managedBy    = "endpointslice-controller.k8s.io"
	maxEndpoints = 100 // per slice, kube's --max-endpoints-per-slice
	staleDelay   = 20 * time.Millisecond
)

// Deps are the things that a Reconciler works with; all are needed.
type Deps struct {
	Client    client.Client
	Clientset kubernetes.Interface
	Nodes     corelisters.NodeLister
	Events    record.EventRecorder
	Workers   int
}

// Reconciler writes EndpointSlices.
type Reconciler struct {
	Deps
	slices   *endpointslice.Reconciler
	tracker  *endpointsliceutil.EndpointSliceTracker
	triggers *endpointsliceutil.TriggerTimeTracker
}

// New returns the controller.
func New(deps Deps) *Reconciler {
	tracker := endpointsliceutil.NewEndpointSliceTracker()
	return &Reconciler{
		Deps:     deps,
		tracker:  tracker,
		triggers: endpointsliceutil.NewTriggerTimeTracker(),
		slices: endpointslice.NewReconciler(deps.Clientset, deps.Nodes, maxEndpoints, tracker, nil, deps.Events, managedBy,
			endpointslice.WithPreferSameTrafficDistributionEnabled(true)),
	}
}

// Name returns the controller's name.
func (r *Reconciler) Name() string { return "endpoint-slice-controller" }

// Register adds the controller to the manager.
func (r *Reconciler) Register(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named(r.Name()).
		For(&corev1.Service{}).
		Watches(&discoveryv1.EndpointSlice{}, handler.Funcs{
			CreateFunc: func(_ context.Context, e event.CreateEvent, q podcontrol.Queue) {
				if slice, ok := ours(e.Object); ok && r.tracker.ShouldSync(slice) {
					enqueueService(slice, q)
				}
			},
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, q podcontrol.Queue) { r.sliceUpdated(e, q) },
			DeleteFunc: func(_ context.Context, e event.DeleteEvent, q podcontrol.Queue) {
				// A deletion of our own is expected; anybody else's is to be repaired.
				if slice, ok := ours(e.Object); ok && r.tracker.Has(slice) && !r.tracker.HandleDeletion(slice) {
					enqueueService(slice, q)
				}
			},
		}).
		Watches(&corev1.Pod{}, servicepods.Events(r.Client)).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Workers}).
		Complete(r)
}

func (r *Reconciler) sliceUpdated(e event.UpdateEvent, q podcontrol.Queue) {
	before, wasOurs := ours(e.ObjectOld)
	after, isOurs := ours(e.ObjectNew)
	if wasOurs && (!isOurs || before.Labels[discoveryv1.LabelServiceName] != after.Labels[discoveryv1.LabelServiceName]) {
		enqueueService(before, q)
	}
	if isOurs && r.tracker.ShouldSync(after) {
		enqueueService(after, q)
	}
}

// ours returns the slice if it is one of this controller's.
func ours(obj client.Object) (*discoveryv1.EndpointSlice, bool) {
	slice, ok := obj.(*discoveryv1.EndpointSlice)
	return slice, ok && slice.Labels[discoveryv1.LabelManagedBy] == managedBy
}

func enqueueService(slice *discoveryv1.EndpointSlice, q podcontrol.Queue) {
	if name := slice.Labels[discoveryv1.LabelServiceName]; name != "" {
		q.Add(reconcile.Request{NamespacedName: client.ObjectKey{Namespace: slice.Namespace, Name: name}})
	}
}

// Reconcile writes the slices of one Service. Those of a Service that is gone
// are collected by their owner reference.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var svc corev1.Service
	err := r.Client.Get(ctx, req.NamespacedName, &svc)
	if apierrors.IsNotFound(err) {
		r.triggers.DeleteService(req.Namespace, req.Name)
		r.slices.DeleteService(req.Namespace, req.Name)
		r.tracker.DeleteService(req.Namespace, req.Name)
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("reading service: %w", err)
	}
	if svc.Spec.Type == corev1.ServiceTypeExternalName || len(svc.Spec.Selector) == 0 {
		return ctrl.Result{}, nil
	}
	pods, err := servicepods.List(ctx, r.Client, &svc)
	if err != nil {
		return ctrl.Result{}, err
	}
	var list discoveryv1.EndpointSliceList
	err = r.Client.List(ctx, &list, client.InNamespace(svc.Namespace), client.MatchingLabels{
		discoveryv1.LabelServiceName: svc.Name, discoveryv1.LabelManagedBy: managedBy,
	})
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("listing endpoint slices: %w", err)
	}
	slices := make([]*discoveryv1.EndpointSlice, 0, len(list.Items))
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp == nil {
			slices = append(slices, &list.Items[i])
		}
	}
	if r.tracker.StaleSlices(&svc, slices) {
		// Events of slices that were written here start no pass, so come back.
		return ctrl.Result{RequeueAfter: staleDelay}, nil
	}
	trigger := r.triggers.ComputeEndpointLastChangeTriggerTime(svc.Namespace, &svc, pods)
	err = r.slices.Reconcile(ctrl.LoggerFrom(ctx), &svc, pods, slices, trigger)
	if err != nil {
		if podcontrol.NamespaceTerminating(err) {
			return ctrl.Result{}, nil
		}
		r.Events.Eventf(&svc, corev1.EventTypeWarning, "FailedToUpdateEndpointSlices", "Error updating Endpoint Slices for Service %s/%s: %v", svc.Namespace, svc.Name, err)
		return ctrl.Result{}, fmt.Errorf("writing endpoint slices: %w", err)
	}
	return ctrl.Result{}, nil
}
