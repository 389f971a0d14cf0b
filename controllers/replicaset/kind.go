package replicaset

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/skiff-project/skiff/controllers/podcontrol"
)

func viewReplicaSet(obj client.Object) (Set, error) {
	rs, ok := obj.(*appsv1.ReplicaSet)
	if !ok {
		return Set{}, fmt.Errorf("want a ReplicaSet, got %T", obj)
	}
	selector, err := metav1.LabelSelectorAsSelector(rs.Spec.Selector)
	if err != nil {
		return Set{}, fmt.Errorf("reading the selector of replica set %s/%s: %w", rs.Namespace, rs.Name, err)
	}
	return Set{
		Replicas:        ptr.Deref(rs.Spec.Replicas, 1),
		MinReadySeconds: rs.Spec.MinReadySeconds,
		Selector:        selector,
		Template:        &rs.Spec.Template,
		Status:          rs.Status,
	}, nil
}

func withReplicaSetStatus(obj client.Object, status appsv1.ReplicaSetStatus) client.Object {
	rs, ok := obj.DeepCopyObject().(*appsv1.ReplicaSet)
	if !ok {
		return obj
	}
	rs.Status = status
	return rs
}

// replicaSetSiblings returns the replica sets of the same Deployment: during a
// rollout their pods crowd the same nodes.
func replicaSetSiblings(ctx context.Context, reader client.Reader, obj client.Object) ([]types.UID, error) {
	ref := metav1.GetControllerOf(obj)
	if ref == nil {
		return []types.UID{obj.GetUID()}, nil
	}
	sets, err := listReplicaSets(ctx, reader, client.InNamespace(obj.GetNamespace()), client.MatchingFields{podcontrol.ByController: string(ref.UID)})
	if err != nil {
		return nil, err
	}
	uids := make([]types.UID, 0, len(sets))
	for _, set := range sets {
		uids = append(uids, set.GetUID())
	}
	return uids, nil
}
