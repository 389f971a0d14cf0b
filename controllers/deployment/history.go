package deployment

import (
	"math"
	"sort"

	appsv1 "k8s.io/api/apps/v1"
)

// Expired returns the old sets beyond spec.revisionHistoryLimit, the lowest
// revisions first. Sets that still have or want pods are never among them.
func Expired(d *appsv1.Deployment, old []*appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	if d.Spec.RevisionHistoryLimit == nil || *d.Spec.RevisionHistoryLimit == math.MaxInt32 {
		return nil
	}
	var alive []*appsv1.ReplicaSet
	for _, rs := range byAge(old) {
		if rs.DeletionTimestamp == nil {
			alive = append(alive, rs)
		}
	}
	surplus := len(alive) - int(*d.Spec.RevisionHistoryLimit)
	if surplus <= 0 {
		return nil
	}
	sort.SliceStable(alive, func(i, j int) bool { return Revision(alive[i].Annotations) < Revision(alive[j].Annotations) })
	var out []*appsv1.ReplicaSet
	for _, rs := range alive[:surplus] {
		if rs.Status.Replicas == 0 && replicasOf(rs) == 0 && rs.Generation <= rs.Status.ObservedGeneration {
			out = append(out, rs)
		}
	}
	return out
}
