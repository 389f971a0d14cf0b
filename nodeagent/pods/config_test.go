package pods

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// Conformance: "Security Context should support pod.Spec.SecurityContext.RunAsUser And pod.Spec.SecurityContext.RunAsGroup",
// "Security Context should support container.SecurityContext.RunAsUser And container.SecurityContext.RunAsGroup".
func TestSecurityContext(t *testing.T) {
	m := &Manager{config: Config{SeccompDir: "/seccomp"}}
	pod := &corev1.PodSecurityContext{RunAsUser: ptr.To[int64](1), RunAsGroup: ptr.To[int64](2), SupplementalGroups: []int64{5}, FSGroup: ptr.To[int64](6),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
	local := "profiles/a.json"
	absolute := "/seccomp/profiles/a.json"
	tests := map[string]struct {
		pod       *corev1.PodSecurityContext
		container *corev1.SecurityContext
		want      runtime.SecurityContext
	}{
		"none": {},
		"the pod's": {pod: pod, want: runtime.SecurityContext{RunAsUser: ptr.To[int64](1), RunAsGroup: ptr.To[int64](2), SupplementalGroups: []int64{5, 6},
			Seccomp: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}},
		"the container's wins": {pod: pod,
			container: &corev1.SecurityContext{RunAsUser: ptr.To[int64](0), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: &local}},
			want: runtime.SecurityContext{RunAsUser: ptr.To[int64](0), RunAsGroup: ptr.To[int64](2), SupplementalGroups: []int64{5, 6},
				Seccomp: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost, LocalhostProfile: &absolute}}},
		"the container's own": {
			container: &corev1.SecurityContext{Privileged: ptr.To(true), ReadOnlyRootFilesystem: ptr.To(true), AllowPrivilegeEscalation: ptr.To(false),
				ProcMount: ptr.To(corev1.UnmaskedProcMount), Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN"}, Drop: []corev1.Capability{"ALL"}}},
			want: runtime.SecurityContext{Privileged: true, ReadOnlyRootFS: true, NoNewPrivileges: true, UnmaskedProc: true,
				AddCapabilities: []corev1.Capability{"NET_ADMIN"}, DropCapabilities: []corev1.Capability{"ALL"}}},
	}
	for name, test := range tests {
		got := m.securityContext(&corev1.Pod{Spec: corev1.PodSpec{SecurityContext: test.pod}}, &corev1.Container{SecurityContext: test.container})
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestVerifyNonRoot(t *testing.T) {
	tests := []struct {
		name            string
		pod, own        *bool
		podUser, user   *int64
		imageUser, want string
	}{
		{name: "not asked for"},
		{name: "image as root", pod: ptr.To(true), want: `container has runAsNonRoot and image will run as root (pod: "p_ns(u)", container: c)`},
		{name: "image as 0", pod: ptr.To(true), imageUser: "0:5", want: `container has runAsNonRoot and image will run as root (pod: "p_ns(u)", container: c)`},
		{name: "image as number", pod: ptr.To(true), imageUser: "1000"},
		{name: "image as name", pod: ptr.To(true), imageUser: "www:www", want: `container has runAsNonRoot and image has non-numeric user (www), cannot verify user is non-root (pod: "p_ns(u)", container: c)`},
		{name: "user named", pod: ptr.To(true), podUser: ptr.To[int64](5), imageUser: "www"},
		{name: "user root", own: ptr.To(true), podUser: ptr.To[int64](5), user: ptr.To[int64](0), want: `container's runAsUser breaks non-root policy (pod: "p_ns(u)", container: c)`},
		{name: "the container may", pod: ptr.To(true), own: ptr.To(false)},
	}
	for _, test := range tests {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", UID: "u"},
			Spec: corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: test.pod, RunAsUser: test.podUser}}}
		err := verifyNonRoot(pod, &corev1.Container{Name: "c", SecurityContext: &corev1.SecurityContext{RunAsNonRoot: test.own, RunAsUser: test.user}}, runtime.Image{User: test.imageUser})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// Conformance: "Sysctls should reject invalid sysctls".
func TestAdmit(t *testing.T) {
	requests := func(cpu, memory string) *corev1.Pod {
		return &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}}}}}}
	}
	sysctl := func(name string) *corev1.Pod {
		return &corev1.Pod{Spec: corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: name, Value: "1"}}}}}
	}
	allocatable := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("1Gi"), corev1.ResourcePods: resource.MustParse("3")}
	others := []*corev1.Pod{requests("400m", "100Mi"), requests("100m", "100Mi")}
	for name, test := range map[string]struct {
		pod    *corev1.Pod
		others []*corev1.Pod
		want   string
	}{
		"fits":            {pod: requests("500m", "0"), others: others},
		"too much CPU":    {pod: requests("501m", "0"), others: others, want: "OutOfcpu: Node didn't have enough resource: cpu, requested: 501, used: 500, capacity: 1000"},
		"too much memory": {pod: requests("0", "1Gi"), others: others, want: "OutOfmemory: Node didn't have enough resource: memory, requested: 1073741824, used: 209715200, capacity: 1073741824"},
		"too many pods":   {pod: requests("0", "0"), others: append(others, requests("0", "0")), want: "OutOfpods: Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3"},
		"safe sysctl":     {pod: sysctl("net.ipv4.tcp_syncookies")},
		"unsafe sysctl":   {pod: sysctl("kernel.msgmax"), want: `SysctlForbidden: forbidden sysctl: "kernel.msgmax" not allowlisted`},
		"other system":    {pod: &corev1.Pod{Spec: corev1.PodSpec{OS: &corev1.PodOS{Name: corev1.Windows}}}, want: "PodOSNotSupported: Failed to admit pod as the OS field doesn't match node OS"},
	} {
		got := ""
		if failure := Admit(test.pod, test.others, allocatable); failure != nil {
			got = failure.Reason + ": " + failure.Message
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
