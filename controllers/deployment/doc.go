// Package deployment rolls Deployments out: it creates one ReplicaSet per
// revision of the pod template and moves the replicas from the old ones to the
// new one.
//
// # Model
//
// A pass reads the Deployment and its ReplicaSets and walks through steps, each
// in its own file: claim the ReplicaSets, find or create the one of the current
// template (newrs.go), scale (proportion.go when the size changed, rolling.go or
// recreate.go when the template did), clean up old revisions (history.go), write
// the status (status.go). The arithmetic is in pure functions; every write
// carries the resourceVersion that it was decided upon, so that a stale cache
// costs a conflict and another pass, never a wrong scale.
//
// # Life of a rollout
//
//	NewReplicaSetCreated -> ReplicaSetUpdated -> NewReplicaSetAvailable
//	                              |
//	                              +-> ProgressDeadlineExceeded (and back)
package deployment
