// Package servicepods finds the Services whose endpoints a change of a pod may
// alter, and the pods of a Service; both endpoints controllers watch the same
// things.
package servicepods

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	endpointsliceutil "k8s.io/endpointslice/util"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/skiff-project/skiff/controllers/podcontrol"
)

// Events turns pod events into requests for the Services that select the pod,
// before or after the change. Changes that no endpoint shows are dropped.
func Events(reader client.Reader) handler.EventHandler {
	enqueue := func(ctx context.Context, pod client.Object, q podcontrol.Queue, labelSets ...map[string]string) {
		names, err := matching(ctx, reader, pod.GetNamespace(), labelSets...)
		if err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "Looking for the services of a pod", "pod", pod.GetName())
			return
		}
		for name := range names {
			q.Add(reconcile.Request{NamespacedName: name})
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q podcontrol.Queue) {
			enqueue(ctx, e.Object, q, e.Object.GetLabels())
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q podcontrol.Queue) {
			enqueue(ctx, e.Object, q, e.Object.GetLabels())
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q podcontrol.Queue) {
			// The library knows which fields of a pod matter.
			key := endpointsliceutil.GetPodUpdateProjectionKey(e.ObjectOld, e.ObjectNew)
			if key == nil {
				return
			}
			enqueue(ctx, e.ObjectNew, q, key.Labels, key.OldLabels)
		},
	}
}

func matching(ctx context.Context, reader client.Reader, namespace string, labelSets ...map[string]string) (sets.Set[types.NamespacedName], error) {
	out := sets.New[types.NamespacedName]()
	var list corev1.ServiceList
	if err := reader.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing services: %w", err)
	}
	for i := range list.Items {
		svc := &list.Items[i]
		if len(svc.Spec.Selector) == 0 {
			continue
		}
		selector := labels.Set(svc.Spec.Selector).AsSelectorPreValidated()
		for _, set := range labelSets {
			if len(set) > 0 && selector.Matches(labels.Set(set)) {
				out.Insert(client.ObjectKeyFromObject(svc))
			}
		}
	}
	return out, nil
}

// List returns the pods that the Service selects.
func List(ctx context.Context, reader client.Reader, svc *corev1.Service) ([]*corev1.Pod, error) {
	return podcontrol.List(ctx, reader, client.InNamespace(svc.Namespace), client.MatchingLabelsSelector{
		Selector: labels.Set(svc.Spec.Selector).AsSelectorPreValidated(),
	})
}
