// Package pod holds pure helpers over pods: no client, no I/O, no clock. Sums of
// resources are in k8s.io/component-helpers/resource, matching of affinity and
// taints in k8s.io/component-helpers/scheduling/corev1.
package pod

import (
	"iter"

	corev1 "k8s.io/api/core/v1"
)

// IsTerminal reports whether the pod has ended for good.
func IsTerminal(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// IsTerminating reports whether the pod is being deleted.
func IsTerminating(p *corev1.Pod) bool { return p.DeletionTimestamp != nil }

// IsActive reports whether the pod counts as a replica: neither ended nor being
// deleted.
func IsActive(p *corev1.Pod) bool { return !IsTerminal(p) && !IsTerminating(p) }

// IsSidecar reports whether the init container keeps running beside the main
// containers (KEP-753).
func IsSidecar(initContainer *corev1.Container) bool {
	return initContainer.RestartPolicy != nil && *initContainer.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// ContainerStatus returns the entry of the container called name, or nil. It
// points into statuses.
func ContainerStatus(statuses []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	for i := range statuses {
		if statuses[i].Name == name {
			return &statuses[i]
		}
	}
	return nil
}

// FindStatus returns the status of the container called name, of whatever kind it
// is, or nil.
func FindStatus(status *corev1.PodStatus, name string) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{
		status.ContainerStatuses, status.InitContainerStatuses, status.EphemeralContainerStatuses,
	} {
		if found := ContainerStatus(list, name); found != nil {
			return found
		}
	}
	return nil
}

// Containers yields all containers of the pod in the order init, main, ephemeral,
// each with the name of the spec field that lists it. An ephemeral container is
// yielded as the container that it has in common with the others; changes of that
// reach the spec.
func Containers(spec *corev1.PodSpec) iter.Seq2[string, *corev1.Container] {
	return func(yield func(string, *corev1.Container) bool) {
		for i := range spec.InitContainers {
			if !yield("initContainers", &spec.InitContainers[i]) {
				return
			}
		}
		for i := range spec.Containers {
			if !yield("containers", &spec.Containers[i]) {
				return
			}
		}
		for i := range spec.EphemeralContainers {
			// The two structs are declared to be convertible into each other.
			if !yield("ephemeralContainers", (*corev1.Container)(&spec.EphemeralContainers[i].EphemeralContainerCommon)) {
				return
			}
		}
	}
}

// IPs returns the addresses of the pod, the primary one first.
func IPs(p *corev1.Pod) []string {
	if len(p.Status.PodIPs) == 0 && p.Status.PodIP != "" {
		return []string{p.Status.PodIP}
	}
	ips := make([]string, 0, len(p.Status.PodIPs))
	for _, ip := range p.Status.PodIPs {
		ips = append(ips, ip.IP)
	}
	return ips
}

// UsesHostNetwork reports whether the pod lives in its node's network namespace.
func UsesHostNetwork(p *corev1.Pod) bool { return p.Spec.HostNetwork }

// IsStatic reports whether the pod mirrors one that a node runs from a file of
// its own.
func IsStatic(p *corev1.Pod) bool {
	_, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]
	return mirror
}

// ContainerPort returns the number of the container port called name and whether
// any of the pod's main or sidecar containers has it.
func ContainerPort(p *corev1.Pod, name string, protocol corev1.Protocol) (int32, bool) {
	for field, c := range Containers(&p.Spec) {
		if field == "ephemeralContainers" || field == "initContainers" && !IsSidecar(c) {
			continue
		}
		for _, port := range c.Ports {
			if port.Name == name && (port.Protocol == protocol || port.Protocol == "" && protocol == corev1.ProtocolTCP) {
				return port.ContainerPort, true
			}
		}
	}
	return 0, false
}
