package cgroups

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// The kernel's limits of CPU shares and quotas.
const (
	minShares  = 2
	maxShares  = 262144
	cpuPeriod  = 100000
	minQuota   = 1000
	milliInCPU = 1000
)

// The OOM score adjustments of kube: the kernel kills the highest first.
const (
	// SandboxOOMScoreAdj keeps the process that holds a pod's namespaces alive
	// longer than the pod's containers.
	SandboxOOMScoreAdj    = -998
	guaranteedOOMScoreAdj = -997
	bestEffortOOMScoreAdj = 1000

	// systemCriticalPriority is the least priority of system-node-critical.
	systemCriticalPriority = 2000001000
)

// Limits are what a pod's cgroup enforces; zero means not limited.
type Limits struct {
	CPUShares   int64
	CPUQuota    int64
	CPUPeriod   int64
	MemoryBytes int64
	PidsLimit   int64
}

// Shares returns the CPU shares for a request in milli CPUs.
func Shares(milliCPU int64) int64 {
	return min(max(milliCPU*1024/milliInCPU, minShares), maxShares)
}

// Quota returns the CPU time per period of 100 ms, in microseconds, for a limit in milli CPUs; 0 is no limit.
func Quota(milliCPU int64) int64 {
	if milliCPU == 0 {
		return 0
	}
	return max(milliCPU*cpuPeriod/milliInCPU, minQuota)
}

// PodLimits returns the limits of a pod's cgroup: shares of all that is
// requested, and a quota and memory limit only if every container (or the pod
// itself) has one, since else the pod as a whole is not limited.
func PodLimits(pod *corev1.Pod, pidsLimit int64) Limits {
	requests := resource.PodRequests(pod, resource.PodResourcesOptions{})
	limits := resource.PodLimits(pod, resource.PodResourcesOptions{})
	result := Limits{
		CPUShares: Shares(requests.Cpu().MilliValue()),
		PidsLimit: pidsLimit,
	}
	if allLimited(pod, corev1.ResourceCPU) {
		result.CPUQuota, result.CPUPeriod = Quota(limits.Cpu().MilliValue()), cpuPeriod
	}
	if allLimited(pod, corev1.ResourceMemory) {
		result.MemoryBytes = limits.Memory().Value()
	}
	return result
}

func allLimited(pod *corev1.Pod, name corev1.ResourceName) bool {
	if pod.Spec.Resources != nil {
		if _, ok := pod.Spec.Resources.Limits[name]; ok {
			return true
		}
	}
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			if _, ok := containers[i].Resources.Limits[name]; !ok {
				return false
			}
		}
	}
	return true
}

// ContainerResources returns the limits of a container of a pod of the class
// qos on a node with nodeMemory bytes. A container that has a CPU limit but no
// request gets the request from the API's defaulting, not here.
func ContainerResources(pod *corev1.Pod, qos corev1.PodQOSClass, container *corev1.Container, nodeMemory int64) runtime.Resources {
	limits := container.Resources.Limits
	result := runtime.Resources{
		CPUShares:   Shares(container.Resources.Requests.Cpu().MilliValue()),
		CPUQuota:    Quota(limits.Cpu().MilliValue()),
		MemoryBytes: limits.Memory().Value(),
		OOMScoreAdj: OOMScoreAdj(pod, qos, container, nodeMemory),
	}
	if result.CPUQuota != 0 {
		result.CPUPeriod = cpuPeriod
	}
	return result
}

// OOMScoreAdj returns a container's oom_score_adj: the less of the node's
// memory a burstable container has asked for, the sooner it is killed.
func OOMScoreAdj(pod *corev1.Pod, qos corev1.PodQOSClass, container *corev1.Container, nodeMemory int64) int {
	switch {
	case pod.Spec.Priority != nil && *pod.Spec.Priority >= systemCriticalPriority:
		return guaranteedOOMScoreAdj
	case qos == corev1.PodQOSGuaranteed:
		return guaranteedOOMScoreAdj
	case qos == corev1.PodQOSBestEffort || nodeMemory <= 0:
		return bestEffortOOMScoreAdj
	}
	request := container.Resources.Requests.Memory().Value()
	score := bestEffortOOMScoreAdj - int(float64(request)/float64(nodeMemory)*bestEffortOOMScoreAdj)
	// Stays between the classes: above every guaranteed pod, below every best-effort one.
	return min(max(score, bestEffortOOMScoreAdj+guaranteedOOMScoreAdj), bestEffortOOMScoreAdj-1)
}
