// Package replicaset keeps as many pods as a ReplicaSet, or a
// ReplicationController, asks for.
//
// # Model
//
// One engine serves both kinds; Kind adapts it to one of them. Each pass lists
// the pods that the set owns or may adopt, settles who owns what, creates or
// deletes the difference, and writes the counts to the status. Pods are counted
// only when the cache shows all that earlier passes wrote (podcontrol.Pending);
// until then a pass only refreshes the status.
package replicaset

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/skiff-project/skiff/controllers/podcontrol"
)

// Set is what the engine needs to know of an object.
type Set struct {
	Replicas        int32
	MinReadySeconds int32
	Selector        labels.Selector
	Template        *corev1.PodTemplateSpec
	Status          appsv1.ReplicaSetStatus
}

// Kind adapts the engine to one kind of object. All fields are needed.
type Kind struct {
	// Name is the controller's name, GVK the kind it serves.
	Name string
	GVK  schema.GroupVersionKind
	// New returns an empty object, List all objects of a namespace from the cache.
	New  func() client.Object
	List func(ctx context.Context, reader client.Reader, namespace string) ([]client.Object, error)
	// View reads an object, WithStatus returns a copy of it with another status.
	View       func(obj client.Object) (Set, error)
	WithStatus func(obj client.Object, status appsv1.ReplicaSetStatus) client.Object
	// Siblings returns the UIDs of the sets that run pods of the same application,
	// the object's own included.
	Siblings func(ctx context.Context, reader client.Reader, obj client.Object) ([]types.UID, error)
}

// Deps are the things that a Reconciler works with; all are needed.
type Deps struct {
	Client  client.Client // reads the cache, which has the index podcontrol.ByController
	Live    client.Reader
	Pods    podcontrol.Store
	Events  record.EventRecorder
	Clock   clock.PassiveClock
	Workers int
}

// Reconciler is the engine for one kind.
type Reconciler struct {
	Deps
	kind    Kind
	pending *podcontrol.Pending
}

// New returns the engine for a kind.
func New(kind Kind, deps Deps) *Reconciler {
	return &Reconciler{Deps: deps, kind: kind, pending: podcontrol.NewPending(deps.Pods, deps.Clock)}
}

// Name returns the controller's name.
func (r *Reconciler) Name() string { return r.kind.Name }

// Register adds the controller to the manager.
func (r *Reconciler) Register(mgr ctrl.Manager) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named(r.kind.Name).
		Watches(r.kind.New(), handler.Funcs{
			CreateFunc: func(_ context.Context, e event.CreateEvent, q podcontrol.Queue) { enqueue(e.Object, q) },
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, q podcontrol.Queue) {
				if e.ObjectOld.GetUID() != e.ObjectNew.GetUID() {
					r.pending.Forget(e.ObjectOld.GetUID())
				}
				enqueue(e.ObjectNew, q)
			},
			DeleteFunc: func(_ context.Context, e event.DeleteEvent, _ podcontrol.Queue) {
				r.pending.Forget(e.Object.GetUID())
			},
		}).
		Watches(&corev1.Pod{}, podcontrol.OwnedEvents(r.kind.GVK.GroupKind(), r.matching)).
		WithOptions(controller.Options{MaxConcurrentReconciles: r.Workers}).
		Complete(r)
}

func enqueue(obj client.Object, q podcontrol.Queue) {
	q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)})
}

// matching returns the sets whose selector covers a pod without controller.
func (r *Reconciler) matching(ctx context.Context, pod client.Object) []reconcile.Request {
	if len(pod.GetLabels()) == 0 {
		return nil
	}
	objs, err := r.kind.List(ctx, r.Client, pod.GetNamespace())
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Looking for sets that match a pod", "pod", pod.GetName())
		return nil
	}
	var out []reconcile.Request
	for _, obj := range objs {
		set, err := r.kind.View(obj)
		if err != nil || set.Selector.Empty() || !set.Selector.Matches(labels.Set(pod.GetLabels())) {
			continue
		}
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)})
	}
	return out
}

// ReplicaSets adapts the engine to apps/v1 ReplicaSets.
func ReplicaSets() Kind {
	return Kind{
		Name: "replicaset-controller",
		GVK:  appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
		New:  func() client.Object { return &appsv1.ReplicaSet{} },
		List: func(ctx context.Context, reader client.Reader, namespace string) ([]client.Object, error) {
			return listReplicaSets(ctx, reader, client.InNamespace(namespace))
		},
		View:       viewReplicaSet,
		WithStatus: withReplicaSetStatus,
		Siblings:   replicaSetSiblings,
	}
}

func listReplicaSets(ctx context.Context, reader client.Reader, opts ...client.ListOption) ([]client.Object, error) {
	var list appsv1.ReplicaSetList
	if err := reader.List(ctx, &list, opts...); err != nil {
		return nil, fmt.Errorf("listing replica sets: %w", err)
	}
	out := make([]client.Object, len(list.Items))
	for i := range list.Items {
		out[i] = &list.Items[i]
	}
	return out, nil
}
