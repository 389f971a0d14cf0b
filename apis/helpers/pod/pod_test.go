package pod

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func list(pairs ...string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return out
}

func TestQOSClass(t *testing.T) {
	whole := list("cpu", "1", "memory", "1Gi")
	tests := []struct {
		name       string
		containers []corev1.ResourceRequirements
		init       []corev1.ResourceRequirements
		pod        *corev1.ResourceRequirements
		want       corev1.PodQOSClass
	}{
		{"nothing", []corev1.ResourceRequirements{{}}, nil, nil, corev1.PodQOSBestEffort},
		{"only other resources", []corev1.ResourceRequirements{{Requests: list("example.com/gpu", "1")}}, nil, nil, corev1.PodQOSBestEffort},
		{"zero", []corev1.ResourceRequirements{{Requests: list("cpu", "0")}}, nil, nil, corev1.PodQOSBestEffort},
		{"request", []corev1.ResourceRequirements{{Requests: list("cpu", "1")}}, nil, nil, corev1.PodQOSBurstable},
		{"limits", []corev1.ResourceRequirements{{Limits: whole}}, nil, nil, corev1.PodQOSGuaranteed},
		{"limits equal requests", []corev1.ResourceRequirements{{Limits: whole, Requests: whole}}, nil, nil, corev1.PodQOSGuaranteed},
		{"lower request", []corev1.ResourceRequirements{{Limits: whole, Requests: list("cpu", "500m", "memory", "1Gi")}}, nil, nil, corev1.PodQOSBurstable},
		{"only CPU", []corev1.ResourceRequirements{{Limits: list("cpu", "1")}}, nil, nil, corev1.PodQOSBurstable},
		{"one of two", []corev1.ResourceRequirements{{Limits: whole}, {}}, nil, nil, corev1.PodQOSBurstable},
		{"init container counts", []corev1.ResourceRequirements{{Limits: whole}}, []corev1.ResourceRequirements{{}}, nil, corev1.PodQOSBurstable},
		{"pod decides", []corev1.ResourceRequirements{{}}, nil, &corev1.ResourceRequirements{Limits: whole}, corev1.PodQOSGuaranteed},
		{"pod bursts", []corev1.ResourceRequirements{{Limits: whole}}, nil, &corev1.ResourceRequirements{Requests: whole}, corev1.PodQOSBurstable},
	}
	for _, test := range tests {
		spec := &corev1.PodSpec{Resources: test.pod}
		for _, r := range test.containers {
			spec.Containers = append(spec.Containers, corev1.Container{Resources: r})
		}
		for _, r := range test.init {
			spec.InitContainers = append(spec.InitContainers, corev1.Container{Resources: r})
		}
		if got := ComputeQOSClass(spec); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	recorded := &corev1.Pod{Status: corev1.PodStatus{QOSClass: corev1.PodQOSGuaranteed}}
	if QOSClass(recorded) != corev1.PodQOSGuaranteed {
		t.Error("the recorded class was ignored")
	}
}

func TestSetCondition(t *testing.T) {
	early, late := metav1.NewTime(time.Unix(100, 0)), metav1.NewTime(time.Unix(200, 0))
	status := &corev1.PodStatus{}
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse}
	if !SetCondition(status, ready, early) || status.Conditions[0].LastTransitionTime != early {
		t.Errorf("new condition %+v", status.Conditions)
	}
	if SetCondition(status, ready, late) || status.Conditions[0].LastTransitionTime != early {
		t.Errorf("same condition %+v", status.Conditions)
	}
	ready.Reason = "Because"
	if !SetCondition(status, ready, late) || status.Conditions[0].LastTransitionTime != early {
		t.Errorf("other reason %+v", status.Conditions)
	}
	ready.Status = corev1.ConditionTrue
	if !SetCondition(status, ready, late) || status.Conditions[0].LastTransitionTime != late {
		t.Errorf("other status %+v", status.Conditions)
	}
	if len(status.Conditions) != 1 {
		t.Errorf("%d conditions of one type", len(status.Conditions))
	}
}

func TestIsAvailable(t *testing.T) {
	since := time.Unix(1000, 0)
	pod := &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{
		Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(since)}}}}
	tests := []struct {
		min       int32
		after     time.Duration
		available bool
		wait      time.Duration
	}{
		{0, 0, true, 0},
		{10, 4 * time.Second, false, 6 * time.Second},
		{10, 10 * time.Second, true, 0},
	}
	for _, test := range tests {
		available, wait := IsAvailable(pod, test.min, since.Add(test.after))
		if available != test.available || wait != test.wait {
			t.Errorf("min %d after %s: %t, %s", test.min, test.after, available, wait)
		}
	}
	pod.Status.Conditions[0].Status = corev1.ConditionFalse
	if available, wait := IsAvailable(pod, 10, since.Add(time.Hour)); available || wait != 0 {
		t.Error("an unready pod is available")
	}
}

func TestContainersAreYieldedInOrder(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "i", Ports: []corev1.ContainerPort{{Name: "init", ContainerPort: 1}}}, {Name: "s", RestartPolicy: &always, Ports: []corev1.ContainerPort{{Name: "side", ContainerPort: 2}}}},
		Containers:     []corev1.Container{{Name: "c", Ports: []corev1.ContainerPort{{Name: "dns", Protocol: corev1.ProtocolUDP, ContainerPort: 53}}}},
		EphemeralContainers: []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: "e"}}},
	}}
	var names []string
	for field, c := range Containers(&pod.Spec) {
		names = append(names, field+"/"+c.Name)
		c.Image = "set"
	}
	if !slices.Equal(names, []string{"initContainers/i", "initContainers/s", "containers/c", "ephemeralContainers/e"}) {
		t.Errorf("%v", names)
	}
	if pod.Spec.EphemeralContainers[0].Image != "set" || pod.Spec.Containers[0].Image != "set" {
		t.Error("changes of a yielded container are lost")
	}
	for name, want := range map[string]int32{"dns": 53, "side": 2, "init": 0} {
		protocol := corev1.ProtocolTCP
		if name == "dns" {
			protocol = corev1.ProtocolUDP
		}
		if got, found := ContainerPort(pod, name, protocol); got != want || found != (want != 0) {
			t.Errorf("port %s: %d, %t", name, got, found)
		}
	}
	if _, found := ContainerPort(pod, "dns", corev1.ProtocolTCP); found {
		t.Error("a UDP port was found for TCP")
	}
}

func TestStates(t *testing.T) {
	now := metav1.Now()
	tests := []struct {
		pod                           corev1.Pod
		terminal, terminating, active bool
	}{
		{corev1.Pod{}, false, false, true},
		{corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed}}, true, false, false},
		{corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodSucceeded}}, true, false, false},
		{corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}}, false, true, false},
	}
	for i, test := range tests {
		if IsTerminal(&test.pod) != test.terminal || IsTerminating(&test.pod) != test.terminating || IsActive(&test.pod) != test.active {
			t.Errorf("pod %d", i)
		}
	}
	status := &corev1.PodStatus{PodIP: "10.0.0.1", InitContainerStatuses: []corev1.ContainerStatus{{Name: "i"}}}
	if FindStatus(status, "i") == nil || FindStatus(status, "x") != nil {
		t.Error("container status lookup")
	}
	if ips := IPs(&corev1.Pod{Status: *status}); len(ips) != 1 || ips[0] != "10.0.0.1" {
		t.Errorf("%v", ips)
	}
}
