package core

import (
	"context"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	podhelper "github.com/skiff-project/skiff/apis/helpers/pod"
	"github.com/skiff-project/skiff/apis/resource"
)

func podResource() resource.Resource {
	return resource.Define[corev1.Pod, corev1.PodList](resource.Definition[corev1.Pod]{
		Names: resource.Names{
			Kind:       corev1.SchemeGroupVersion.WithKind("Pod"),
			Plural:     "pods",
			ShortNames: []string{"po"},
			Categories: []string{"all"},
			Subresources: []string{
				"binding", "eviction", "log", "exec", "attach", "portforward", "proxy", "ephemeralcontainers", "resize",
			},
		},
		PrepareForCreate:       preparePodForCreate,
		PrepareForUpdate:       preparePodForUpdate,
		PrepareForStatusUpdate: preparePodForStatusUpdate,
		Validate:               ValidatePodCreate,
		ValidateUpdate:         ValidatePodUpdate,
		ValidateStatusUpdate:   ValidatePodStatusUpdate,
		Warnings:               warnPod,
		GracePeriod:            podGracePeriod,
		Columns:                podColumns(),
		RowConditions:          podRowConditions,
		Fields:                 podFields(),
	})
}

func podFields() []resource.TypedField[corev1.Pod] {
	return []resource.TypedField[corev1.Pod]{
		{Path: "spec.nodeName", Indexed: true, Value: func(p *corev1.Pod) string { return p.Spec.NodeName }},
		{Path: "spec.restartPolicy", Value: func(p *corev1.Pod) string { return string(p.Spec.RestartPolicy) }},
		{Path: "spec.schedulerName", Value: func(p *corev1.Pod) string { return p.Spec.SchedulerName }},
		{Path: "spec.serviceAccountName", Value: func(p *corev1.Pod) string { return p.Spec.ServiceAccountName }},
		{Path: "spec.hostNetwork", Value: func(p *corev1.Pod) string { return strconv.FormatBool(p.Spec.HostNetwork) }},
		{Path: "status.phase", Value: func(p *corev1.Pod) string { return string(p.Status.Phase) }},
		{Path: "status.podIP", Value: func(p *corev1.Pod) string { return p.Status.PodIP }},
		{Path: "status.nominatedNodeName", Value: func(p *corev1.Pod) string { return p.Status.NominatedNodeName }},
	}
}

// preparePodForCreate gives a new pod the state of one that nobody has seen yet.
func preparePodForCreate(_ context.Context, pod *corev1.Pod) {
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: podhelper.ComputeQOSClass(&pod.Spec)}
	if len(pod.Spec.SchedulingGates) > 0 {
		pod.Status.Conditions = []corev1.PodCondition{{
			Type:    corev1.PodScheduled,
			Status:  corev1.ConditionFalse,
			Reason:  corev1.PodReasonSchedulingGated,
			Message: "Scheduling is blocked due to non-empty scheduling gates",
		}}
	}
	setServiceAccountAlias(&pod.Spec)
}

func preparePodForUpdate(_ context.Context, pod, old *corev1.Pod) {
	pod.Status = *old.Status.DeepCopy()
	setServiceAccountAlias(&pod.Spec)
}

// preparePodForStatusUpdate keeps what the writer of a status may not touch.
func preparePodForStatusUpdate(_ context.Context, pod, old *corev1.Pod) {
	pod.DeletionTimestamp = old.DeletionTimestamp.DeepCopy()
	pod.OwnerReferences = old.DeepCopy().OwnerReferences
	if pod.Status.QOSClass == "" {
		pod.Status.QOSClass = old.Status.QOSClass
	}
	if pod.Status.QOSClass == "" {
		pod.Status.QOSClass = podhelper.ComputeQOSClass(&pod.Spec)
	}
}

// podGracePeriod decides how long a deleted pod stays: for what the client asks,
// or else what the pod wants; not at all if no node runs it.
func podGracePeriod(_ context.Context, pod *corev1.Pod, options *metav1.DeleteOptions) bool {
	if options == nil {
		return false
	}
	var period int64
	switch {
	case pod.Spec.NodeName == "", pod.Status.Phase == corev1.PodSucceeded, pod.Status.Phase == corev1.PodFailed:
		period = 0
	case options.GracePeriodSeconds != nil:
		period = *options.GracePeriodSeconds
	case pod.Spec.TerminationGracePeriodSeconds != nil:
		period = *pod.Spec.TerminationGracePeriodSeconds
	}
	if period < 0 {
		period = 1 // a negative period means "at once, but let the node agent do it"
	}
	options.GracePeriodSeconds = &period
	return true
}
