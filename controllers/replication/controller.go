// Package replication serves ReplicationControllers with the engine of
// ReplicaSets; all it adds is the translation between the two kinds.
package replication

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/skiff-project/skiff/controllers/replicaset"
)

// New returns the controller of ReplicationControllers.
func New(deps replicaset.Deps) *replicaset.Reconciler {
	return replicaset.New(replicaset.Kind{
		Name:       "replication-controller",
		GVK:        corev1.SchemeGroupVersion.WithKind("ReplicationController"),
		New:        func() client.Object { return &corev1.ReplicationController{} },
		List:       list,
		View:       view,
		WithStatus: withStatus,
		Siblings: func(_ context.Context, _ client.Reader, obj client.Object) ([]types.UID, error) {
			return []types.UID{obj.GetUID()}, nil
		},
	}, deps)
}

func list(ctx context.Context, reader client.Reader, namespace string) ([]client.Object, error) {
	var list corev1.ReplicationControllerList
	if err := reader.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("listing replication controllers: %w", err)
	}
	out := make([]client.Object, len(list.Items))
	for i := range list.Items {
		out[i] = &list.Items[i]
	}
	return out, nil
}

func view(obj client.Object) (replicaset.Set, error) {
	rc, ok := obj.(*corev1.ReplicationController)
	if !ok {
		return replicaset.Set{}, fmt.Errorf("want a ReplicationController, got %T", obj)
	}
	// An empty selector selects nothing here, other than in a LabelSelector.
	selector := labels.Nothing()
	if len(rc.Spec.Selector) > 0 {
		selector = labels.SelectorFromSet(rc.Spec.Selector)
	}
	return replicaset.Set{
		Replicas:        ptr.Deref(rc.Spec.Replicas, 1),
		MinReadySeconds: rc.Spec.MinReadySeconds,
		Selector:        selector,
		Template:        rc.Spec.Template,
		Status:          statusToSet(rc.Status),
	}, nil
}

func withStatus(obj client.Object, status appsv1.ReplicaSetStatus) client.Object {
	rc, ok := obj.DeepCopyObject().(*corev1.ReplicationController)
	if !ok {
		return obj
	}
	rc.Status = statusFromSet(status)
	return rc
}

func statusToSet(in corev1.ReplicationControllerStatus) appsv1.ReplicaSetStatus {
	out := appsv1.ReplicaSetStatus{
		Replicas:             in.Replicas,
		FullyLabeledReplicas: in.FullyLabeledReplicas,
		ReadyReplicas:        in.ReadyReplicas,
		AvailableReplicas:    in.AvailableReplicas,
		ObservedGeneration:   in.ObservedGeneration,
	}
	for _, c := range in.Conditions {
		out.Conditions = append(out.Conditions, appsv1.ReplicaSetCondition{
			Type: appsv1.ReplicaSetConditionType(c.Type), Status: c.Status,
			LastTransitionTime: c.LastTransitionTime, Reason: c.Reason, Message: c.Message,
		})
	}
	return out
}

func statusFromSet(in appsv1.ReplicaSetStatus) corev1.ReplicationControllerStatus {
	out := corev1.ReplicationControllerStatus{
		Replicas:             in.Replicas,
		FullyLabeledReplicas: in.FullyLabeledReplicas,
		ReadyReplicas:        in.ReadyReplicas,
		AvailableReplicas:    in.AvailableReplicas,
		ObservedGeneration:   in.ObservedGeneration,
	}
	for _, c := range in.Conditions {
		out.Conditions = append(out.Conditions, corev1.ReplicationControllerCondition{
			Type: corev1.ReplicationControllerConditionType(c.Type), Status: c.Status,
			LastTransitionTime: c.LastTransitionTime, Reason: c.Reason, Message: c.Message,
		})
	}
	return out
}
