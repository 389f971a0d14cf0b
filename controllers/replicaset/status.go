package replicaset

import (
	"context"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/skiff-project/skiff/controllers/podcontrol"
)

// Status returns the status that a set should show: the counts, and condition
// ReplicaFailure as long as scaling fails.
func Status(set Set, generation int64, active, terminating []*corev1.Pod, scaleErr error, now time.Time) appsv1.ReplicaSetStatus {
	status := podcontrol.Count(active, terminating, set.Template, set.MinReadySeconds, now)
	status.ObservedGeneration = max(generation, set.Status.ObservedGeneration)
	status.Conditions = slices.Clone(set.Status.Conditions)
	failure := slices.IndexFunc(status.Conditions, func(c appsv1.ReplicaSetCondition) bool {
		return c.Type == appsv1.ReplicaSetReplicaFailure
	})
	switch {
	case scaleErr != nil && failure < 0:
		reason := "FailedCreate"
		if len(active) > int(set.Replicas) {
			reason = "FailedDelete"
		}
		status.Conditions = append(status.Conditions, appsv1.ReplicaSetCondition{
			Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue,
			LastTransitionTime: metav1.NewTime(now), Reason: reason, Message: scaleErr.Error(),
		})
	case scaleErr == nil && failure >= 0:
		status.Conditions = slices.Delete(status.Conditions, failure, failure+1)
	}
	return status
}

func (r *Reconciler) writeStatus(ctx context.Context, obj client.Object, set Set, status appsv1.ReplicaSetStatus) error {
	updated := r.kind.WithStatus(obj, status)
	// Compare what the kind can hold: ReplicationControllers lack some counts.
	view, err := r.kind.View(updated)
	if err != nil {
		return err
	}
	if equality.Semantic.DeepEqual(set.Status, view.Status) {
		return nil
	}
	err = r.Client.Status().Update(ctx, updated)
	if podcontrol.IgnoreStale(err) != nil {
		return fmt.Errorf("updating status: %w", err)
	}
	return nil
}
