package pods

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"

	podhelper "github.com/skiff-project/skiff/apis/helpers/pod"
	"github.com/skiff-project/skiff/nodeagent/status"
)

// safeSysctls are those that pods may set without leave: they are the pod's own
// and cannot be used against the node or other pods.
var safeSysctls = []string{
	"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
	"net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
	"net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
}

// Admit returns why the node cannot run the pod beside the others, nil if it
// can. The scheduler has looked already, but not for pods that
// name their node themselves.
func Admit(pod *corev1.Pod, others []*corev1.Pod, allocatable corev1.ResourceList) *status.Failure {
	if pod.Spec.OS != nil && pod.Spec.OS.Name != corev1.Linux {
		return &status.Failure{Reason: "PodOSNotSupported", Message: "Failed to admit pod as the OS field doesn't match node OS"}
	}
	if sc := pod.Spec.SecurityContext; sc != nil {
		for _, sysctl := range sc.Sysctls {
			if !slices.Contains(safeSysctls, sysctl.Name) {
				return &status.Failure{Reason: "SysctlForbidden", Message: fmt.Sprintf("forbidden sysctl: %q not allowlisted", sysctl.Name)}
			}
		}
	}
	return fits(pod, others, allocatable)
}

// fits compares requests with what is left.
func fits(pod *corev1.Pod, others []*corev1.Pod, allocatable corev1.ResourceList) *status.Failure {
	if most, ok := allocatable[corev1.ResourcePods]; ok && int64(len(others)) >= most.Value() {
		return outOf(corev1.ResourcePods, 1, int64(len(others)), most.Value())
	}
	wanted := resource.PodRequests(pod, resource.PodResourcesOptions{})
	used := corev1.ResourceList{}
	for _, other := range others {
		for name, quantity := range resource.PodRequests(other, resource.PodResourcesOptions{}) {
			sum := used[name]
			sum.Add(quantity)
			used[name] = sum
		}
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		want, ok := wanted[name]
		capacity, known := allocatable[name]
		if !ok || !known || want.IsZero() {
			continue
		}
		sum := used[name]
		sum.Add(want)
		if sum.Cmp(capacity) <= 0 {
			continue
		}
		before := used[name]
		if name == corev1.ResourceCPU {
			return outOf(name, want.MilliValue(), before.MilliValue(), capacity.MilliValue())
		}
		return outOf(name, want.Value(), before.Value(), capacity.Value())
	}
	return nil
}

func outOf(name corev1.ResourceName, requested, used, capacity int64) *status.Failure {
	return &status.Failure{
		Reason: "OutOf" + string(name),
		Message: fmt.Sprintf("Node didn't have enough resource: %s, requested: %d, used: %d, capacity: %d",
			name, requested, used, capacity),
	}
}

// admit asks Admit with the pods that this node has taken on, and takes on the worker's if it may.
func (m *Manager) admit(w *worker) *status.Failure {
	// Held to the end: of two pods that come together the second must see the first.
	m.mu.Lock()
	defer m.mu.Unlock()
	var others []*corev1.Pod
	for uid, other := range m.workers {
		if pod := other.admitted.Load(); uid != w.uid && pod != nil {
			others = append(others, pod)
		}
	}
	others = slices.DeleteFunc(others, podhelper.IsTerminal)
	failure := Admit(w.pod, others, m.config.Allocatable)
	if failure == nil {
		w.admitted.Store(w.pod)
	}
	return failure
}
