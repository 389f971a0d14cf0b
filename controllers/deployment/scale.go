package deployment

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// scaleAll carries out resizes, and notes in each set the size of the Deployment
// that they were decided for.
func (ro *rollout) scaleAll(ctx context.Context, resizes []Resize) error {
	for _, resize := range resizes {
		if err := ro.scale(ctx, resize); err != nil {
			return err
		}
	}
	return nil
}

func (ro *rollout) scale(ctx context.Context, resize Resize) error {
	surge, _ := Fenceposts(ro.d)
	annotations, noted := annotateSize(resize.Set.Annotations, desired(ro.d), desired(ro.d)+surge)
	from := replicasOf(resize.Set)
	if !noted && from == resize.To {
		return nil
	}
	updated := resize.Set.DeepCopy()
	updated.Annotations = annotations
	updated.Spec.Replicas = &resize.To
	if err := ro.Client.Update(ctx, updated); err != nil {
		return fmt.Errorf("scaling replica set %s: %w", updated.Name, err)
	}
	ro.replace(updated)
	if from == resize.To {
		return nil
	}
	direction := "down"
	if resize.To > from {
		direction = "up"
	}
	ro.Events.Eventf(ro.d, corev1.EventTypeNormal, "ScalingReplicaSet", "Scaled %s replica set %s from %d to %d", direction, updated.Name, from, resize.To)
	return nil
}

// replace puts a set that was written in the place of its old state.
func (ro *rollout) replace(updated *appsv1.ReplicaSet) {
	if ro.current != nil && ro.current.UID == updated.UID {
		ro.current = updated
		return
	}
	for i, rs := range ro.old {
		if rs.UID == updated.UID {
			ro.old[i] = updated
		}
	}
}
