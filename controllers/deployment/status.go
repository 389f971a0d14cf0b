package deployment

import (
	"fmt"
	"math"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// Reasons of the Deployment's conditions, as kubectl rollout status reads them.
const (
	reasonSetCreated       = "NewReplicaSetCreated"
	reasonSetFound         = "FoundNewReplicaSet"
	reasonSetCreateError   = "ReplicaSetCreateError"
	reasonSetUpdated       = "ReplicaSetUpdated"
	reasonSetAvailable     = "NewReplicaSetAvailable"
	reasonDeadlineExceeded = "ProgressDeadlineExceeded"
	reasonPaused           = "DeploymentPaused"
	reasonResumed          = "DeploymentResumed"
	reasonMinAvailable     = "MinimumReplicasAvailable"
	reasonMinUnavailable   = "MinimumReplicasUnavailable"
)

func condition(status *appsv1.DeploymentStatus, kind appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range status.Conditions {
		if status.Conditions[i].Type == kind {
			return &status.Conditions[i]
		}
	}
	return nil
}

func newCondition(kind appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string, now time.Time) appsv1.DeploymentCondition {
	return appsv1.DeploymentCondition{
		Type: kind, Status: status, Reason: reason, Message: message,
		LastUpdateTime: metav1.NewTime(now), LastTransitionTime: metav1.NewTime(now),
	}
}

// setCondition puts a condition in the place of the one of its type, unless that
// already says the same (status and reason).
func setCondition(status *appsv1.DeploymentStatus, c appsv1.DeploymentCondition) {
	old := condition(status, c.Type)
	if old != nil && old.Status == c.Status && old.Reason == c.Reason {
		return
	}
	if old != nil && old.Status == c.Status {
		c.LastTransitionTime = old.LastTransitionTime
	}
	removeCondition(status, c.Type)
	status.Conditions = append(status.Conditions, c)
}

func removeCondition(status *appsv1.DeploymentStatus, kind appsv1.DeploymentConditionType) {
	status.Conditions = slices.DeleteFunc(status.Conditions, func(c appsv1.DeploymentCondition) bool { return c.Type == kind })
}

func hasDeadline(d *appsv1.Deployment) bool {
	return d.Spec.ProgressDeadlineSeconds != nil && *d.Spec.ProgressDeadlineSeconds != math.MaxInt32
}

// CountStatus returns the status with the counts and condition Available as the
// sets show them; the other conditions are as they were.
func CountStatus(d *appsv1.Deployment, current *appsv1.ReplicaSet, old []*appsv1.ReplicaSet, now time.Time) appsv1.DeploymentStatus {
	all := with(old, current)
	availableNow := sum(all, available)
	status := appsv1.DeploymentStatus{
		ObservedGeneration:  d.Generation,
		Replicas:            sum(all, actual),
		UpdatedReplicas:     sum([]*appsv1.ReplicaSet{current}, actual),
		ReadyReplicas:       sum(all, ready),
		AvailableReplicas:   availableNow,
		UnavailableReplicas: max(0, sum(all, replicasOf)-availableNow),
		TerminatingReplicas: terminating(all),
		CollisionCount:      d.Status.CollisionCount,
		Conditions:          slices.Clone(d.Status.Conditions),
	}
	_, unavailable := Fenceposts(d)
	if availableNow >= desired(d)-unavailable {
		setCondition(&status, newCondition(appsv1.DeploymentAvailable, corev1.ConditionTrue, reasonMinAvailable, "Deployment has minimum availability.", now))
	} else {
		setCondition(&status, newCondition(appsv1.DeploymentAvailable, corev1.ConditionFalse, reasonMinUnavailable, "Deployment does not have minimum availability.", now))
	}
	return status
}

// terminating adds up the terminating pods; unknown if one set does not know.
func terminating(sets []*appsv1.ReplicaSet) *int32 {
	total := int32(0)
	for _, rs := range sets {
		if rs.Status.TerminatingReplicas == nil {
			return nil
		}
		total += *rs.Status.TerminatingReplicas
	}
	return ptr.To(total)
}

// Complete reports that the rollout is done: all pods are of the current
// template and available.
func Complete(d *appsv1.Deployment, status *appsv1.DeploymentStatus) bool {
	return status.UpdatedReplicas == desired(d) && status.Replicas == desired(d) &&
		status.AvailableReplicas == desired(d) && status.ObservedGeneration >= d.Generation
}

// progressing reports that the new status is nearer to the goal than the old.
func progressing(before, after *appsv1.DeploymentStatus) bool {
	return after.UpdatedReplicas > before.UpdatedReplicas ||
		after.Replicas-after.UpdatedReplicas < before.Replicas-before.UpdatedReplicas ||
		after.ReadyReplicas > before.ReadyReplicas ||
		after.AvailableReplicas > before.AvailableReplicas
}

// timedOut reports that nothing has moved for spec.progressDeadlineSeconds.
func timedOut(d *appsv1.Deployment, status *appsv1.DeploymentStatus, now time.Time) bool {
	if !hasDeadline(d) {
		return false
	}
	c := condition(status, appsv1.DeploymentProgressing)
	if c == nil || c.Reason == reasonSetAvailable {
		return false
	}
	if c.Reason == reasonDeadlineExceeded {
		return true
	}
	deadline := c.LastUpdateTime.Add(time.Duration(*d.Spec.ProgressDeadlineSeconds) * time.Second)
	return deadline.Before(now)
}

// RolloutStatus returns the status to show in the course of a rollout: counts,
// Available, Progressing with its deadline, and ReplicaFailure.
func RolloutStatus(d *appsv1.Deployment, current *appsv1.ReplicaSet, old []*appsv1.ReplicaSet, now time.Time) appsv1.DeploymentStatus {
	status := CountStatus(d, current, old, now)
	if !hasDeadline(d) {
		removeCondition(&status, appsv1.DeploymentProgressing)
	}
	was := condition(&d.Status, appsv1.DeploymentProgressing)
	// A finished rollout stays finished when a pod dies later; only a new template
	// or size reopens it.
	finished := status.Replicas == status.UpdatedReplicas && was != nil && was.Reason == reasonSetAvailable
	if hasDeadline(d) && !finished {
		progress(d, current, &status, was, now)
	}
	setReplicaFailure(&status, current, old, now)
	return status
}

func progress(d *appsv1.Deployment, current *appsv1.ReplicaSet, status *appsv1.DeploymentStatus, was *appsv1.DeploymentCondition, now time.Time) {
	subject := fmt.Sprintf("Deployment %q", d.Name)
	if current != nil {
		subject = fmt.Sprintf("ReplicaSet %q", current.Name)
	}
	switch {
	case Complete(d, status):
		setCondition(status, newCondition(appsv1.DeploymentProgressing, corev1.ConditionTrue, reasonSetAvailable, subject+" has successfully progressed.", now))
	case progressing(&d.Status, status):
		c := newCondition(appsv1.DeploymentProgressing, corev1.ConditionTrue, reasonSetUpdated, subject+" is progressing.", now)
		// Every step restarts the deadline, so the update time moves even if the
		// reason stays.
		if was != nil {
			if was.Status == corev1.ConditionTrue {
				c.LastTransitionTime = was.LastTransitionTime
			}
			removeCondition(status, appsv1.DeploymentProgressing)
		}
		setCondition(status, c)
	case timedOut(d, status, now):
		setCondition(status, newCondition(appsv1.DeploymentProgressing, corev1.ConditionFalse, reasonDeadlineExceeded, subject+" has timed out progressing.", now))
	}
}

// setReplicaFailure mirrors the ReplicaFailure condition of the current set, or,
// if that has none, of an old one.
func setReplicaFailure(status *appsv1.DeploymentStatus, current *appsv1.ReplicaSet, old []*appsv1.ReplicaSet, now time.Time) {
	sets := old
	if current != nil {
		sets = append([]*appsv1.ReplicaSet{current}, old...)
	}
	for _, rs := range sets {
		for _, c := range rs.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure {
				setCondition(status, appsv1.DeploymentCondition{
					Type: appsv1.DeploymentReplicaFailure, Status: c.Status, Reason: c.Reason, Message: c.Message,
					LastTransitionTime: c.LastTransitionTime, LastUpdateTime: metav1.NewTime(now),
				})
				return
			}
		}
	}
	removeCondition(status, appsv1.DeploymentReplicaFailure)
}

// Paused returns the status with condition Progressing as pausing and resuming
// set it, and whether that changed anything. A pause stops the deadline.
func Paused(d *appsv1.Deployment, now time.Time) (appsv1.DeploymentStatus, bool) {
	status := *d.Status.DeepCopy()
	if !hasDeadline(d) {
		return status, false
	}
	c := condition(&status, appsv1.DeploymentProgressing)
	if c != nil && c.Reason == reasonDeadlineExceeded {
		return status, false // a failed rollout keeps saying so
	}
	marked := c != nil && c.Reason == reasonPaused
	switch {
	case d.Spec.Paused && !marked:
		setCondition(&status, newCondition(appsv1.DeploymentProgressing, corev1.ConditionUnknown, reasonPaused, "Deployment is paused", now))
	case !d.Spec.Paused && marked:
		setCondition(&status, newCondition(appsv1.DeploymentProgressing, corev1.ConditionUnknown, reasonResumed, "Deployment is resumed", now))
	default:
		return status, false
	}
	return status, true
}

// CheckAgain returns after how long the deadline of an unfinished rollout must
// be looked at; 0: nothing to wait for.
func CheckAgain(d *appsv1.Deployment, status *appsv1.DeploymentStatus, now time.Time) time.Duration {
	c := condition(status, appsv1.DeploymentProgressing)
	if !hasDeadline(d) || c == nil || Complete(d, status) || timedOut(d, status, now) || c.Reason == reasonSetAvailable {
		return 0
	}
	left := c.LastUpdateTime.Add(time.Duration(*d.Spec.ProgressDeadlineSeconds) * time.Second).Sub(now)
	return max(0, left) + time.Second // times in the API are whole seconds
}
