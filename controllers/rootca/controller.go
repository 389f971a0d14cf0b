// Package rootca publishes the CA bundle of the API server as ConfigMap
// kube-root-ca.crt in every namespace, for pods to verify the server with.
package rootca

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/skiff-project/skiff/controllers/podcontrol"
)

const (
	// ConfigMapName is where pods find the bundle, under key DataKey.
	ConfigMapName = "kube-root-ca.crt"
	DataKey       = "ca.crt"

	descriptionAnnotation = "kubernetes.io/description"
	description           = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. " +
		"No other usage is guaranteed across distributions of Kubernetes clusters."
)

// Reconciler publishes the bundle; requests name namespaces.
type Reconciler struct {
	client  client.Client
	bundle  string
	workers int
}

// New returns the controller for a PEM bundle. The client reads the cache.
func New(c client.Client, bundle []byte, workers int) *Reconciler {
	return &Reconciler{client: c, bundle: string(bundle), workers: workers}
}

// Name returns the controller's name.
func (r *Reconciler) Name() string { return "root-ca-certificate-publisher" }

// Register adds the controller to the manager.
func (r *Reconciler) Register(mgr ctrl.Manager) error {
	toNamespace := func(_ context.Context, obj client.Object) []reconcile.Request {
		if obj.GetName() != ConfigMapName {
			return nil
		}
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: obj.GetNamespace()}}}
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named(r.Name()).
		For(&corev1.Namespace{}).
		Watches(&corev1.ConfigMap{}, handler.EnqueueRequestsFromMapFunc(toNamespace)).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.workers}).
		Complete(r)
}

// Reconcile makes the ConfigMap of one namespace what it should be.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var ns corev1.Namespace
	if err := r.client.Get(ctx, req.NamespacedName, &ns); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if ns.Status.Phase == corev1.NamespaceTerminating || ns.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	var current corev1.ConfigMap
	err := r.client.Get(ctx, client.ObjectKey{Namespace: ns.Name, Name: ConfigMapName}, &current)
	if apierrors.IsNotFound(err) {
		err = r.client.Create(ctx, r.wanted(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: ConfigMapName}}))
		if err == nil || apierrors.IsAlreadyExists(err) || podcontrol.NamespaceTerminating(err) {
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("creating %s: %w", ConfigMapName, err)
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("reading %s: %w", ConfigMapName, err)
	}
	wanted := r.wanted(&current)
	if maps.Equal(current.Data, wanted.Data) && maps.Equal(current.Annotations, wanted.Annotations) {
		return ctrl.Result{}, nil
	}
	if err := r.client.Update(ctx, wanted); podcontrol.IgnoreStale(err) != nil {
		return ctrl.Result{}, fmt.Errorf("updating %s: %w", ConfigMapName, err)
	}
	return ctrl.Result{}, nil
}

// wanted returns a copy of the ConfigMap with the bundle as its only data.
func (r *Reconciler) wanted(current *corev1.ConfigMap) *corev1.ConfigMap {
	out := current.DeepCopy()
	out.Data = map[string]string{DataKey: r.bundle}
	if out.Annotations == nil {
		out.Annotations = make(map[string]string)
	}
	out.Annotations[descriptionAnnotation] = description
	return out
}
