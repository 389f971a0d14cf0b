package deployment

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Fenceposts resolves spec.strategy.rollingUpdate for a size: how many pods may
// exist beyond it, and how many may be missing. Surge rounds up, unavailability
// rounds down; both zero would allow no step at all, so one may then be missing.
// A Recreate strategy has neither.
func Fenceposts(d *appsv1.Deployment) (surge, unavailable int32) {
	if d.Spec.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType || d.Spec.Strategy.RollingUpdate == nil {
		return 0, 0
	}
	size := desired(d)
	surge = scaled(d.Spec.Strategy.RollingUpdate.MaxSurge, size, true)
	unavailable = scaled(d.Spec.Strategy.RollingUpdate.MaxUnavailable, size, false)
	if surge == 0 && unavailable == 0 {
		unavailable = 1
	}
	return surge, min(unavailable, size)
}

// scaled resolves a number or percentage; validation has refused anything else.
func scaled(v *intstr.IntOrString, size int32, roundUp bool) int32 {
	n, err := intstr.GetScaledValueFromIntOrPercent(intstr.ValueOrDefault(v, intstr.FromInt32(0)), int(size), roundUp)
	if err != nil || n < 0 {
		return 0
	}
	return int32(n)
}

// NewSize returns how many replicas the ReplicaSet of the current template
// should have, given all sets (current included): as many as the surge leaves
// room for, and never more than the Deployment wants.
func NewSize(d *appsv1.Deployment, all []*appsv1.ReplicaSet, current *appsv1.ReplicaSet) int32 {
	want, have := desired(d), replicasOf(current)
	if current == nil {
		have = 0
	}
	if d.Spec.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType || have > want {
		return want
	}
	surge, _ := Fenceposts(d)
	room := want + surge - sum(all, replicasOf)
	if room <= 0 {
		return have
	}
	return have + min(room, want-have)
}

// Resize is a decision to give a ReplicaSet another number of replicas.
type Resize struct {
	Set *appsv1.ReplicaSet
	To  int32
}

// lasting counts the available pods that a set keeps: right after it was scaled
// down its status still counts pods that are about to go.
func lasting(rs *appsv1.ReplicaSet) int32 { return min(rs.Status.AvailableReplicas, replicasOf(rs)) }

// ShrinkOld returns the resizes of old sets that a rolling update allows now:
// first unhealthy pods, which serve nobody, then healthy ones as far as the new
// set's available pods make up for them.
func ShrinkOld(d *appsv1.Deployment, current *appsv1.ReplicaSet, old []*appsv1.ReplicaSet) []Resize {
	oldActive := byAge(active(old))
	if len(oldActive) == 0 {
		return nil
	}
	_, unavailable := Fenceposts(d)
	minAvailable := desired(d) - unavailable
	all := with(old, current)
	newMissing := int32(0)
	if current != nil {
		newMissing = replicasOf(current) - current.Status.AvailableReplicas
	}
	// Pods of the new set that are not available yet must be assumed to stay so:
	// otherwise old pods go before new ones serve.
	budget := sum(all, replicasOf) - minAvailable - newMissing
	if budget <= 0 {
		return nil
	}

	to := make(map[*appsv1.ReplicaSet]int32, len(oldActive))
	for _, rs := range oldActive {
		to[rs] = replicasOf(rs)
		drop := max(0, min(budget, replicasOf(rs)-rs.Status.AvailableReplicas))
		to[rs] -= drop
		budget -= drop
	}
	spare := sum(all, lasting) - minAvailable
	for _, rs := range oldActive {
		drop := max(0, min(spare, to[rs]))
		to[rs] -= drop
		spare -= drop
	}
	var out []Resize
	for _, rs := range oldActive {
		if to[rs] != replicasOf(rs) {
			out = append(out, Resize{rs, to[rs]})
		}
	}
	return out
}
