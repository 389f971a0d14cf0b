package core

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"

	podhelper "github.com/skiff-project/skiff/apis/helpers/pod"

	"github.com/skiff-project/skiff/apis/resource/defaulting"
)

// SetDefaultsPod completes a pod. Some defaults belong to pods alone and not to
// templates of pods: requests taken from limits, host ports on the host's
// network, service links.
func SetDefaultsPod(pod *corev1.Pod) {
	SetDefaultsPodSpec(&pod.Spec)
	for _, c := range podhelper.Containers(&pod.Spec) {
		requestLimits(&c.Resources)
	}
	requestPodResources(&pod.Spec)
	defaulting.Pointer(&pod.Spec.EnableServiceLinks, corev1.DefaultEnableServiceLinks)
	if pod.Spec.HostNetwork {
		for field, c := range podhelper.Containers(&pod.Spec) {
			if field != "ephemeralContainers" { // they have no ports
				useHostPorts(c.Ports)
			}
		}
	}
	setDefaultsPodStatus(&pod.Status)
}

// setDefaultsPodStatus makes the single and the plural address fields agree.
func setDefaultsPodStatus(status *corev1.PodStatus) {
	switch {
	case status.PodIP == "" && len(status.PodIPs) > 0:
		status.PodIP = status.PodIPs[0].IP
	case status.PodIP != "" && (len(status.PodIPs) == 0 || status.PodIPs[0].IP != status.PodIP):
		status.PodIPs = []corev1.PodIP{{IP: status.PodIP}}
	}
}

// SetDefaultsPodTemplate completes a stored pod template.
func SetDefaultsPodTemplate(t *corev1.PodTemplate) { SetDefaultsPodTemplateSpec(&t.Template) }

// SetDefaultsPodTemplateSpec completes the template of a workload's pods.
func SetDefaultsPodTemplateSpec(t *corev1.PodTemplateSpec) { SetDefaultsPodSpec(&t.Spec) }

// SetDefaultsPodSpec sets the defaults that pods and templates of pods share.
func SetDefaultsPodSpec(spec *corev1.PodSpec) {
	defaulting.Value(&spec.DNSPolicy, corev1.DNSClusterFirst)
	defaulting.Value(&spec.RestartPolicy, corev1.RestartPolicyAlways)
	defaulting.Pointer(&spec.SecurityContext, corev1.PodSecurityContext{})
	defaulting.Pointer(&spec.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	defaulting.Value(&spec.SchedulerName, corev1.DefaultSchedulerName)
	setServiceAccountAlias(spec)
	if r := spec.Resources; r != nil {
		roundUp(r.Limits)
		roundUp(r.Requests)
	}
	roundUp(spec.Overhead)
	for i := range spec.Volumes {
		setDefaultsVolume(&spec.Volumes[i].VolumeSource)
	}
	for _, c := range podhelper.Containers(spec) {
		setDefaultsContainer(c)
	}
}

// setServiceAccountAlias makes the deprecated field for the service account agree
// with the real one, which wins.
func setServiceAccountAlias(spec *corev1.PodSpec) {
	defaulting.Value(&spec.ServiceAccountName, spec.DeprecatedServiceAccount)
	spec.DeprecatedServiceAccount = spec.ServiceAccountName
}

// requestPodResources requests for the pod as a whole (KEP-2837) what its
// containers request together, or else what it is limited to.
func requestPodResources(spec *corev1.PodSpec) {
	if spec.Resources == nil {
		return
	}
	sum := resourcehelper.AggregateContainerRequests(&corev1.Pod{Spec: *spec}, resourcehelper.PodResourcesOptions{})
	for name, quantity := range sum {
		if _, requested := spec.Resources.Requests[name]; requested || !resourcehelper.IsSupportedPodLevelResource(name) {
			continue
		}
		_, limited := spec.Resources.Limits[name]
		if strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix) && limited {
			continue // huge pages cannot be overcommitted: their request is their limit
		}
		if spec.Resources.Requests == nil {
			spec.Resources.Requests = corev1.ResourceList{}
		}
		spec.Resources.Requests[name] = quantity
	}
	requestLimits(spec.Resources)
}

// requestLimits requests what is limited but not requested.
func requestLimits(r *corev1.ResourceRequirements) {
	for name, limit := range r.Limits {
		if _, requested := r.Requests[name]; requested {
			continue
		}
		if r.Requests == nil {
			r.Requests = corev1.ResourceList{}
		}
		r.Requests[name] = limit.DeepCopy()
	}
}

// roundUp rounds quantities to what can be told apart: a thousandth.
func roundUp(list corev1.ResourceList) {
	for name, quantity := range list {
		quantity.RoundUp(resource.Milli)
		list[name] = quantity
	}
}

// useHostPorts makes each port the same outside as inside.
func useHostPorts(ports []corev1.ContainerPort) {
	for i := range ports {
		defaulting.Value(&ports[i].HostPort, ports[i].ContainerPort)
	}
}

// SetDefaultsPersistentVolumeClaim completes a claim, also one that is a template
// in a workload: it waits for a volume with a file system.
func SetDefaultsPersistentVolumeClaim(c *corev1.PersistentVolumeClaim) {
	defaulting.Value(&c.Status.Phase, corev1.ClaimPending)
	defaulting.Pointer(&c.Spec.VolumeMode, corev1.PersistentVolumeFilesystem)
	roundUp(c.Spec.Resources.Requests)
	roundUp(c.Spec.Resources.Limits)
}
