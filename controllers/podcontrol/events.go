package podcontrol

import (
	"context"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Queue is the work queue of a controller.
type Queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// OwnedEvents turns the events of owned objects into requests for their
// controllers of that kind. matching returns the controllers that may want to
// adopt an object without one.
func OwnedEvents(kind schema.GroupKind, matching func(ctx context.Context, obj client.Object) []reconcile.Request) handler.EventHandler {
	h := ownedEvents{kind: kind, matching: matching}
	return handler.Funcs{CreateFunc: h.create, UpdateFunc: h.update, DeleteFunc: h.delete}
}

type ownedEvents struct {
	kind     schema.GroupKind
	matching func(ctx context.Context, obj client.Object) []reconcile.Request
}

func (h ownedEvents) create(ctx context.Context, e event.CreateEvent, q Queue) {
	if metav1.GetControllerOfNoCopy(e.Object) != nil {
		h.enqueueOwner(e.Object, q)
		return
	}
	h.enqueueMatching(ctx, e.Object, q)
}

func (h ownedEvents) update(ctx context.Context, e event.UpdateEvent, q Queue) {
	if e.ObjectOld.GetResourceVersion() == e.ObjectNew.GetResourceVersion() {
		return // a resync; nothing is new
	}
	before, after := metav1.GetControllerOfNoCopy(e.ObjectOld), metav1.GetControllerOfNoCopy(e.ObjectNew)
	moved := (before == nil) != (after == nil) || (before != nil && before.UID != after.UID)
	if moved {
		h.enqueueOwner(e.ObjectOld, q)
	}
	if after != nil {
		h.enqueueOwner(e.ObjectNew, q)
		return
	}
	if moved || !maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels()) {
		h.enqueueMatching(ctx, e.ObjectNew, q)
	}
}

func (h ownedEvents) delete(_ context.Context, e event.DeleteEvent, q Queue) {
	h.enqueueOwner(e.Object, q)
}

func (h ownedEvents) enqueueOwner(obj client.Object, q Queue) {
	if name, ok := OwnerName(obj, h.kind); ok {
		q.Add(reconcile.Request{NamespacedName: name})
	}
}

func (h ownedEvents) enqueueMatching(ctx context.Context, obj client.Object, q Queue) {
	if obj.GetDeletionTimestamp() != nil {
		return // nobody adopts what is on its way out
	}
	for _, request := range h.matching(ctx, obj) {
		q.Add(request)
	}
}

// OwnerName returns the name of obj's controller if that is of the kind.
func OwnerName(obj client.Object, kind schema.GroupKind) (types.NamespacedName, bool) {
	ref := metav1.GetControllerOfNoCopy(obj)
	if ref == nil || ref.Kind != kind.Kind {
		return types.NamespacedName{}, false
	}
	if gv, err := schema.ParseGroupVersion(ref.APIVersion); err != nil || gv.Group != kind.Group {
		return types.NamespacedName{}, false
	}
	return types.NamespacedName{Namespace: obj.GetNamespace(), Name: ref.Name}, true
}
