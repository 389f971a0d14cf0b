package pod

import (
	corev1 "k8s.io/api/core/v1"
)

// qosResources are the resources that decide about the quality of service.
var qosResources = [...]corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}

// QOSClass returns the pod's quality of service class: the one its status
// records, or else the one that its resources make.
func QOSClass(p *corev1.Pod) corev1.PodQOSClass {
	if p.Status.QOSClass != "" {
		return p.Status.QOSClass
	}
	return ComputeQOSClass(&p.Spec)
}

// ComputeQOSClass returns BestEffort for a pod that asks for neither CPU nor
// memory, Guaranteed for one whose every container is limited to exactly what it
// requests of both, and Burstable otherwise. Resources of the pod as a whole
// (KEP-2837), where given, decide alone.
func ComputeQOSClass(spec *corev1.PodSpec) corev1.PodQOSClass {
	if r := spec.Resources; r != nil && mentions(r, qosResources[:]) {
		if guaranteed(r) {
			return corev1.PodQOSGuaranteed
		}
		return corev1.PodQOSBurstable
	}
	best, all := true, true
	for field, c := range Containers(spec) {
		if field == "ephemeralContainers" {
			continue // they have no resources of their own
		}
		best = best && !mentions(&c.Resources, qosResources[:])
		all = all && guaranteed(&c.Resources)
	}
	switch {
	case best:
		return corev1.PodQOSBestEffort
	case all:
		return corev1.PodQOSGuaranteed
	default:
		return corev1.PodQOSBurstable
	}
}

// mentions reports whether r requests or limits any of the names with more than 0.
func mentions(r *corev1.ResourceRequirements, names []corev1.ResourceName) bool {
	for _, name := range names {
		if request, ok := r.Requests[name]; ok && request.Sign() > 0 {
			return true
		}
		if limit, ok := r.Limits[name]; ok && limit.Sign() > 0 {
			return true
		}
	}
	return false
}

// guaranteed reports whether r limits CPU and memory to what it requests.
func guaranteed(r *corev1.ResourceRequirements) bool {
	for _, name := range qosResources {
		limit, limited := r.Limits[name]
		if !limited || limit.Sign() <= 0 {
			return false
		}
		if request, ok := r.Requests[name]; ok && request.Cmp(limit) != 0 {
			return false
		}
	}
	return true
}
