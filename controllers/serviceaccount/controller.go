// Package serviceaccount keeps a ServiceAccount named "default" in every
// namespace, so that pods have an identity.
package serviceaccount

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/skiff-project/skiff/controllers/podcontrol"
)

const accountName = "default"

// Reconciler creates the default ServiceAccount; requests name namespaces.
type Reconciler struct {
	client  client.Client
	workers int
}

// New returns the controller. The client reads the cache.
func New(c client.Client, workers int) *Reconciler { return &Reconciler{client: c, workers: workers} }

// Name returns the controller's name.
func (r *Reconciler) Name() string { return "service-account-controller" }

// Register adds the controller to the manager.
func (r *Reconciler) Register(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named(r.Name()).
		For(&corev1.Namespace{}).
		Watches(&corev1.ServiceAccount{}, handler.Funcs{
			DeleteFunc: func(_ context.Context, e event.DeleteEvent, q podcontrol.Queue) {
				if e.Object.GetName() == accountName {
					q.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: e.Object.GetNamespace()}})
				}
			},
		}).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.workers}).
		Complete(r)
}

// Reconcile creates the account in one namespace if it lacks it.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var ns corev1.Namespace
	if err := r.client.Get(ctx, req.NamespacedName, &ns); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if ns.Status.Phase == corev1.NamespaceTerminating || ns.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	var account corev1.ServiceAccount
	err := r.client.Get(ctx, client.ObjectKey{Namespace: ns.Name, Name: accountName}, &account)
	if err == nil {
		return ctrl.Result{}, nil
	}
	if !apierrors.IsNotFound(err) {
		return ctrl.Result{}, fmt.Errorf("reading service account: %w", err)
	}
	err = r.client.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: accountName}})
	if err == nil || apierrors.IsAlreadyExists(err) || podcontrol.NamespaceTerminating(err) {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, fmt.Errorf("creating service account: %w", err)
}
