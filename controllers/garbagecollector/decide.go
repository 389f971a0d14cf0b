package garbagecollector

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// standing is what the server says about an owner.
type standing int

const (
	solid    standing = iota // exists and stays
	dangling                 // does not exist
	waiting                  // is being deleted in the foreground
)

// action is what to do with an object.
type action int

const (
	keep     action = iota
	dropRefs        // remove the references to dead owners
	unblock         // delete in the foreground, but let go of the owners first: a circle
	destroy         // delete, by policy
)

// verdict is an action with its parameters.
type verdict struct {
	action action
	// refs are what remains of metadata.ownerReferences (dropRefs, unblock).
	refs   []metav1.OwnerReference
	policy metav1.DeletionPropagation
}

// decide says what becomes of an object, given its references, what their owners
// are like, its finalizers and its dependents.
func decide(refs []metav1.OwnerReference, standings []standing, finalizers []string, dependents []dependent) verdict {
	if len(refs) == 0 {
		return verdict{action: keep}
	}
	hasSolid, hasWaiting := slices.Contains(standings, solid), slices.Contains(standings, waiting)
	switch {
	case hasSolid && !hasWaiting && !slices.Contains(standings, dangling):
		return verdict{action: keep}
	case hasSolid:
		var alive []metav1.OwnerReference
		for i, ref := range refs {
			if standings[i] == solid {
				alive = append(alive, ref)
			}
		}
		return verdict{action: dropRefs, refs: alive}
	case hasWaiting && len(dependents) > 0:
		// The owner waits for this object, so this object must wait for its own
		// dependents. If one of them waits already, the circle would wait forever.
		if slices.ContainsFunc(dependents, func(d dependent) bool { return d.waiting }) {
			return verdict{action: unblock, refs: unblocked(refs), policy: metav1.DeletePropagationForeground}
		}
		return verdict{action: destroy, policy: metav1.DeletePropagationForeground}
	case slices.Contains(finalizers, metav1.FinalizerOrphanDependents):
		return verdict{action: destroy, policy: metav1.DeletePropagationOrphan}
	case slices.Contains(finalizers, metav1.FinalizerDeleteDependents):
		return verdict{action: destroy, policy: metav1.DeletePropagationForeground}
	default:
		return verdict{action: destroy, policy: metav1.DeletePropagationBackground}
	}
}

// unblocked returns the references with blockOwnerDeletion off.
func unblocked(refs []metav1.OwnerReference) []metav1.OwnerReference {
	out := slices.Clone(refs)
	for i := range out {
		if out[i].BlockOwnerDeletion != nil {
			out[i].BlockOwnerDeletion = ptr.To(false)
		}
	}
	return out
}

// blockers returns the dependents that a foreground deletion waits for.
func blockers(dependents []dependent) []dependent {
	var out []dependent
	for _, d := range dependents {
		if d.blocks {
			out = append(out, d)
		}
	}
	return out
}
