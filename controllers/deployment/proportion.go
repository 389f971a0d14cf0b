package deployment

import (
	"math"
	"sort"

	appsv1 "k8s.io/api/apps/v1"
)

// Scaled reports that the Deployment was resized since its sets were last
// scaled: a set that has pods remembers another size.
func Scaled(d *appsv1.Deployment, sets []*appsv1.ReplicaSet) bool {
	for _, rs := range active(sets) {
		if size, ok := sizeAnnotation(rs, DesiredReplicasAnnotation); ok && size != desired(d) {
			return true
		}
	}
	return false
}

// Saturated reports that the set serves the Deployment alone.
func Saturated(d *appsv1.Deployment, rs *appsv1.ReplicaSet) bool {
	if rs == nil {
		return false
	}
	size, ok := sizeAnnotation(rs, DesiredReplicasAnnotation)
	return ok && size == desired(d) && replicasOf(rs) == desired(d) && rs.Status.AvailableReplicas == desired(d)
}

// sole returns the one set that can take the whole size: the only one with
// pods, or, if none has any, the current one, or else the newest old one. nil
// while pods are spread over several sets.
func sole(current *appsv1.ReplicaSet, old []*appsv1.ReplicaSet) *appsv1.ReplicaSet {
	switch running := active(with(old, current)); len(running) {
	case 0:
		if current != nil || len(old) == 0 {
			return current
		}
		aged := byAge(old)
		return aged[len(aged)-1]
	case 1:
		return running[0]
	default:
		return nil
	}
}

// Proportional spreads a change of the Deployment's size, in the middle of a
// rollout or a pause, over its sets in proportion to theirs, so that it neither
// speeds the rollout up nor sets it back. The result has one entry for every set
// that has pods.
func Proportional(d *appsv1.Deployment, current *appsv1.ReplicaSet, old []*appsv1.ReplicaSet) []Resize {
	sets := active(with(old, current))
	allowed := int32(0)
	if desired(d) > 0 {
		surge, _ := Fenceposts(d)
		allowed = desired(d) + surge
	}
	missing := allowed - sum(sets, replicasOf)

	// The biggest go first; of equal ones the newest when growing, the oldest when
	// shrinking.
	sort.SliceStable(sets, func(i, j int) bool {
		if a, b := replicasOf(sets[i]), replicasOf(sets[j]); a != b {
			return a > b
		}
		if missing > 0 {
			return older(sets[j], sets[i])
		}
		return older(sets[i], sets[j])
	})

	out := make([]Resize, len(sets))
	added := int32(0)
	for i, rs := range sets {
		share := share(d, rs, missing, added)
		out[i] = Resize{rs, replicasOf(rs) + share}
		added += share
	}
	if len(out) > 0 && missing != 0 {
		out[0].To = max(0, out[0].To+missing-added) // what rounding left over
	}
	return out
}

// share returns how many of the missing (or, if negative, surplus) replicas a
// set takes, when added of them have found a place.
func share(d *appsv1.Deployment, rs *appsv1.ReplicaSet, missing, added int32) int32 {
	left := missing - added
	if replicasOf(rs) == 0 || missing == 0 || left == 0 {
		return 0
	}
	part := fraction(d, rs)
	if missing > 0 {
		return min(part, left)
	}
	return max(part, left)
}

// fraction returns the change of a set's size that keeps its part of the whole.
func fraction(d *appsv1.Deployment, rs *appsv1.ReplicaSet) int32 {
	if desired(d) == 0 {
		return -replicasOf(rs)
	}
	before, ok := sizeAnnotation(rs, MaxReplicasAnnotation)
	if !ok || before == 0 {
		if before = d.Status.Replicas; before == 0 {
			return 0
		}
	}
	surge, _ := Fenceposts(d)
	size := float64(replicasOf(rs)) * float64(desired(d)+surge) / float64(before)
	return int32(math.Round(size)) - replicasOf(rs)
}
