package podcontrol

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
)

// Count returns the replica counts of status.* for the active and the
// terminating pods of a set (fields replicas, fullyLabeledReplicas,
// readyReplicas, availableReplicas, terminatingReplicas).
func Count(active, terminating []*corev1.Pod, template *corev1.PodTemplateSpec, minReadySeconds int32, now time.Time) appsv1.ReplicaSetStatus {
	status := appsv1.ReplicaSetStatus{
		Replicas:            int32(len(active)),
		TerminatingReplicas: ptr.To(int32(len(terminating))),
	}
	var wanted labels.Selector = labels.Everything()
	if template != nil {
		wanted = labels.Set(template.Labels).AsSelectorPreValidated()
	}
	for _, pod := range active {
		if wanted.Matches(labels.Set(pod.Labels)) {
			status.FullyLabeledReplicas++
		}
		if Ready(pod) {
			status.ReadyReplicas++
			if Available(pod, minReadySeconds, now) {
				status.AvailableReplicas++
			}
		}
	}
	return status
}

// IgnoreStale returns nil for the errors which only say that the cached object
// was out of date (conflict, gone): the watch event that corrects it also brings
// the controller back.
func IgnoreStale(err error) error {
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// NamespaceTerminating reports that a create failed because the namespace is
// being deleted; retrying is pointless.
func NamespaceTerminating(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}
