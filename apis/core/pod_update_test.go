package core

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func pointer[T any](v T) *T { return &v }

// storedPod returns a pod as it comes from storage.
func storedPod(t *testing.T, spec, container string) *corev1.Pod {
	t.Helper()
	pod := decode[corev1.Pod](t, podManifest(spec, container))
	pod.ResourceVersion, pod.UID = "1", "u"
	preparePodForCreate(context.Background(), pod)
	return pod
}

func TestPodUpdate(t *testing.T) {
	const settled = "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`," +
		"`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations)," +
		"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
	tests := []struct {
		name, spec string
		change     func(p *corev1.Pod)
		want       []string
	}{
		{name: "nothing", change: func(p *corev1.Pod) {}},
		{name: "labels", change: func(p *corev1.Pod) { p.Labels = map[string]string{"a": "b"} }},
		{name: "image", change: func(p *corev1.Pod) { p.Spec.Containers[0].Image = "other" }},
		{name: "no image", change: func(p *corev1.Pod) { p.Spec.Containers[0].Image = "" }, want: []string{"spec.containers[0].image: Required value"}},
		{name: "nearer deadline", spec: "activeDeadlineSeconds: 10", change: func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = pointer[int64](5) }},
		{name: "farther deadline", spec: "activeDeadlineSeconds: 10", change: func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = pointer[int64](15) },
			want: []string{"spec.activeDeadlineSeconds: Invalid value: 15: must be less than or equal to previous value"}},
		{name: "no deadline", spec: "activeDeadlineSeconds: 10", change: func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = nil },
			want: []string{"spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value"}},
		{name: "command", change: func(p *corev1.Pod) { p.Spec.Containers[0].Command = []string{"x"} }, want: []string{settled}},
		{name: "resources", change: func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
		}, want: []string{settled}},
		{name: "node", change: func(p *corev1.Pod) { p.Spec.NodeName = "n" }, want: []string{settled}},
		{name: "grace", change: func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = pointer[int64](1) }, want: []string{settled}},
		{name: "negative grace", spec: "terminationGracePeriodSeconds: -1", change: func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = pointer[int64](1) }},
		{name: "one more container", change: func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, p.Spec.Containers[0]) },
			want: []string{"spec.containers: Forbidden: pod updates may not add or remove containers"}},
		{name: "more tolerations", change: func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{{Operator: "Exists"}} }},
		{name: "fewer tolerations", spec: "tolerations: [{operator: Exists}]", change: func(p *corev1.Pod) { p.Spec.Tolerations = nil },
			want: []string{"spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"}},
		{name: "no gate", spec: "schedulingGates: [{name: a}]", change: func(p *corev1.Pod) { p.Spec.SchedulingGates = nil }},
		{name: "new gate", change: func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "a"}} },
			want: []string{"spec.schedulingGates[0]: Forbidden: only deletion is allowed, but found new scheduling gate 'a'"}},
		{name: "narrower selector behind a gate", spec: "schedulingGates: [{name: a}]", change: func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"a": "b"} }},
		{name: "wider selector behind a gate", spec: "schedulingGates: [{name: a}]\nnodeSelector: {a: b}", change: func(p *corev1.Pod) { p.Spec.NodeSelector = nil },
			want: []string{"spec.nodeSelector: Invalid value: null: only additions to spec.nodeSelector are allowed (no mutations or deletions)"}},
		{name: "selector without a gate", change: func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"a": "b"} }, want: []string{settled}},
		{name: "name", change: func(p *corev1.Pod) { p.Name = "q" }, want: []string{`metadata.name: Invalid value: "q": field is immutable`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			old := storedPod(t, test.spec, "")
			pod := old.DeepCopy()
			test.change(pod)
			wantErrors(t, ValidatePodUpdate(context.Background(), pod, old), test.want)
		})
	}
}

func TestPodUpdateShowsTheDifference(t *testing.T) {
	old := storedPod(t, "", "")
	pod := old.DeepCopy()
	pod.Spec.Containers[0].Command = []string{"sleep"}
	errs := ValidatePodUpdate(context.Background(), pod, old)
	if len(errs) != 1 || !strings.Contains(errs[0].Detail, "sleep") {
		t.Errorf("%v", errs)
	}
}

func TestPodStatusUpdate(t *testing.T) {
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 0}}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	tests := []struct {
		name, spec string
		was, is    corev1.PodStatus
		want       []string
	}{
		{name: "container runs again", spec: "restartPolicy: Always",
			was: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "c", State: ended}}},
			is:  corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "c", State: running}}}},
		{name: "container must not run again", spec: "restartPolicy: OnFailure",
			was:  corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "c", State: ended}}},
			is:   corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "c", State: running}}},
			want: []string{"status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"}},
		{name: "quality of service", was: corev1.PodStatus{QOSClass: "BestEffort"}, is: corev1.PodStatus{QOSClass: "Burstable"},
			want: []string{`status.qosClass: Invalid value: "Burstable": field is immutable`}},
		{name: "addresses", is: corev1.PodStatus{PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "10.0.0.2"}}},
			want: []string{`status.podIPs: Invalid value: ["10.0.0.1","10.0.0.2"]: may specify no more than one IP for each IP family`}},
		{name: "two families", is: corev1.PodStatus{PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "fd00::1"}}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			old := storedPod(t, test.spec, "")
			old.Status = test.was
			pod := old.DeepCopy()
			pod.Status = test.is
			wantErrors(t, ValidatePodStatusUpdate(context.Background(), pod, old), test.want)
		})
	}
}

func TestStatusWriterKeepsTheRest(t *testing.T) {
	old := storedPod(t, "", "")
	old.OwnerReferences = []metav1.OwnerReference{{Name: "o"}}
	now := metav1.Now()
	old.DeletionTimestamp = &now
	pod := old.DeepCopy()
	pod.OwnerReferences, pod.DeletionTimestamp, pod.Status.QOSClass = nil, nil, ""
	preparePodForStatusUpdate(context.Background(), pod, old)
	if len(pod.OwnerReferences) != 1 || pod.DeletionTimestamp == nil || pod.Status.QOSClass != corev1.PodQOSBestEffort {
		t.Errorf("owners %v, deletion %v, class %q", pod.OwnerReferences, pod.DeletionTimestamp, pod.Status.QOSClass)
	}
}

func TestNewPodIsPending(t *testing.T) {
	pod := storedPod(t, "schedulingGates: [{name: a}]", "")
	if pod.Status.Phase != corev1.PodPending || pod.Status.QOSClass != corev1.PodQOSBestEffort ||
		len(pod.Status.Conditions) != 1 || pod.Status.Conditions[0].Reason != "SchedulingGated" {
		t.Errorf("%+v", pod.Status)
	}
}

func TestPodGracePeriod(t *testing.T) {
	tests := []struct {
		name string
		pod  corev1.Pod
		asks *int64
		want int64
	}{
		{"default", corev1.Pod{Spec: corev1.PodSpec{NodeName: "n", TerminationGracePeriodSeconds: pointer[int64](30)}}, nil, 30},
		{"client's", corev1.Pod{Spec: corev1.PodSpec{NodeName: "n", TerminationGracePeriodSeconds: pointer[int64](30)}}, pointer[int64](5), 5},
		{"force", corev1.Pod{Spec: corev1.PodSpec{NodeName: "n", TerminationGracePeriodSeconds: pointer[int64](30)}}, pointer[int64](0), 0},
		{"negative", corev1.Pod{Spec: corev1.PodSpec{NodeName: "n", TerminationGracePeriodSeconds: pointer[int64](-5)}}, nil, 1},
		{"unscheduled", corev1.Pod{Spec: corev1.PodSpec{TerminationGracePeriodSeconds: pointer[int64](30)}}, pointer[int64](5), 0},
		{"ended", corev1.Pod{Spec: corev1.PodSpec{NodeName: "n"}, Status: corev1.PodStatus{Phase: corev1.PodFailed}}, pointer[int64](5), 0},
	}
	for _, test := range tests {
		options := &metav1.DeleteOptions{GracePeriodSeconds: test.asks}
		if !podGracePeriod(context.Background(), &test.pod, options) || *options.GracePeriodSeconds != test.want {
			t.Errorf("%s: %d, want %d", test.name, *options.GracePeriodSeconds, test.want)
		}
	}
}

func TestPodParts(t *testing.T) {
	ctx := context.Background()
	old := storedPod(t, "", "resources: {requests: {cpu: 1}}")

	debugged := old.DeepCopy()
	debugged.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{
		Name: "d", Image: "i", ImagePullPolicy: "Always", TerminationMessagePolicy: "File"}, TargetContainerName: "c"}}
	wantErrors(t, ValidatePodEphemeralContainersUpdate(ctx, debugged, old), nil)
	wantErrors(t, ValidatePodEphemeralContainersUpdate(ctx, old, debugged), []string{
		`spec.ephemeralContainers: Forbidden: existing ephemeral containers "d" may not be removed`})
	renamed := debugged.DeepCopy()
	renamed.Spec.EphemeralContainers[0].TargetContainerName = "nobody"
	wantErrors(t, ValidatePodEphemeralContainersUpdate(ctx, renamed, old), []string{
		`spec.ephemeralContainers[0].targetContainerName: Not found: "nobody"`})

	resized := old.DeepCopy()
	resized.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("2")
	wantErrors(t, ValidatePodResize(ctx, resized, old), nil)
	resized.Spec.Containers[0].Command = []string{"x"}
	wantErrors(t, ValidatePodResize(ctx, resized, old), []string{"spec: Forbidden: only cpu and memory resources are mutable"})
	bare := old.DeepCopy()
	bare.Spec.Containers[0].Resources.Requests = nil
	wantErrors(t, ValidatePodResize(ctx, bare, old), []string{
		`spec: Invalid value: "BestEffort": Pod QOS Class may not change as a result of resizing`,
		"spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"})
}

func TestPodBinding(t *testing.T) {
	wantErrors(t, ValidatePodBinding(&corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: "n"}}), nil)
	wantErrors(t, ValidatePodBinding(&corev1.Binding{Target: corev1.ObjectReference{Kind: "Pod"}}), []string{
		`target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>"`, "target.name: Required value"})
}

func TestPodWarnings(t *testing.T) {
	pod := decode[corev1.Pod](t, podManifest("nodeSelector: {beta.kubernetes.io/os: linux}\nimagePullSecrets: [{name: ''}]\nterminationGracePeriodSeconds: -1",
		"env: [{name: A, value: x}, {name: A, value: z}, {name: B, value: x}, {name: B, value: $(B)y}]\nports: [{containerPort: 80}, {containerPort: 80}]\nresources: {limits: {memory: 100m}}"))
	got := strings.Join(warnPod(context.Background(), pod, nil), "\n")
	want := strings.Join([]string{
		`spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead`,
		`spec.containers[0].resources.limits[memory]: fractional byte value "100m" is invalid, must be an integer`,
		`spec.containers[0].resources.requests[memory]: fractional byte value "100m" is invalid, must be an integer`,
		`spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply`,
		`spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]`,
		`spec.imagePullSecrets[0]: invalid empty name ""`,
		`spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`,
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if again := warnPod(context.Background(), pod, pod); len(again) > 0 {
		t.Errorf("an update warns: %v", again)
	}
}
