// Package endpointslicemirroring shows Endpoints that users write themselves,
// for Services without a selector, as EndpointSlices: proxies read only those.
package endpointslicemirroring

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/skiff-project/skiff/controllers/podcontrol"
)

const (
	managedBy  = "endpointslicemirroring-controller.k8s.io"
	staleDelay = 50 * time.Millisecond
)

// Reconciler mirrors Endpoints; requests name Services.
type Reconciler struct {
	client  client.Client
	workers int
}

// New returns the controller. The client reads the cache.
func New(c client.Client, workers int) *Reconciler { return &Reconciler{client: c, workers: workers} }

// Name returns the controller's name.
func (r *Reconciler) Name() string { return "endpoint-slice-mirroring-controller" }

// Register adds the controller to the manager.
func (r *Reconciler) Register(mgr ctrl.Manager) error {
	toService := func(_ context.Context, obj client.Object) []reconcile.Request {
		if obj.GetLabels()[discoveryv1.LabelManagedBy] != managedBy {
			return nil
		}
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: obj.GetNamespace(), Name: obj.GetLabels()[discoveryv1.LabelServiceName]}}}
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named(r.Name()).
		For(&corev1.Service{}).
		Watches(&corev1.Endpoints{}, &handler.EnqueueRequestForObject{}). //nolint:staticcheck // the deprecated API is the point
		Watches(&discoveryv1.EndpointSlice{}, handler.EnqueueRequestsFromMapFunc(toService)).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.workers}).
		Complete(r)
}

// Reconcile makes the mirrored slices of one Service what they should be.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	wanted, err := r.wanted(ctx, req)
	if err != nil {
		return ctrl.Result{}, err
	}
	var current discoveryv1.EndpointSliceList
	err = r.client.List(ctx, &current, client.InNamespace(req.Namespace), client.MatchingLabels{
		discoveryv1.LabelServiceName: req.Name, discoveryv1.LabelManagedBy: managedBy,
	})
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("listing endpoint slices: %w", err)
	}
	byName := make(map[string]*discoveryv1.EndpointSlice, len(current.Items))
	for i := range current.Items {
		byName[current.Items[i].Name] = &current.Items[i]
	}
	var errs []error
	for _, slice := range wanted {
		errs = append(errs, r.write(ctx, byName[slice.Name], slice))
		delete(byName, slice.Name)
	}
	for _, slice := range byName {
		errs = append(errs, client.IgnoreNotFound(r.client.Delete(ctx, slice, client.Preconditions{UID: &slice.UID})))
	}
	err = errors.Join(errs...)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return ctrl.Result{RequeueAfter: staleDelay}, nil
	}
	if err != nil && !podcontrol.NamespaceTerminating(err) {
		return ctrl.Result{}, fmt.Errorf("mirroring endpoints: %w", err)
	}
	return ctrl.Result{}, nil
}

// wanted returns the slices that a Service should have from us.
func (r *Reconciler) wanted(ctx context.Context, req ctrl.Request) ([]*discoveryv1.EndpointSlice, error) {
	var svc corev1.Service
	var endpoints corev1.Endpoints //nolint:staticcheck // see above
	for _, obj := range []client.Object{&svc, &endpoints} {
		if err := r.client.Get(ctx, req.NamespacedName, obj); apierrors.IsNotFound(err) {
			return nil, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading %T: %w", obj, err)
		}
	}
	_, leader := endpoints.Annotations["control-plane.alpha.kubernetes.io/leader"]
	if len(svc.Spec.Selector) > 0 || leader || endpoints.Labels[discoveryv1.LabelSkipMirror] == "true" || endpoints.DeletionTimestamp != nil {
		return nil, nil
	}
	return Mirror(&endpoints), nil
}

func (r *Reconciler) write(ctx context.Context, current, wanted *discoveryv1.EndpointSlice) error {
	if current == nil {
		return r.client.Create(ctx, wanted)
	}
	updated := current.DeepCopy()
	updated.Labels, updated.Annotations, updated.OwnerReferences = wanted.Labels, wanted.Annotations, wanted.OwnerReferences
	updated.Endpoints, updated.Ports = wanted.Endpoints, wanted.Ports
	if equality.Semantic.DeepEqual(current, updated) {
		return nil
	}
	return r.client.Update(ctx, updated)
}
