package admission_test

import (
	"context"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/e2e/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func plainPod(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "x"}}}}
	for _, f := range change {
		f(p)
	}
	return p
}

// namespace returns a fresh one with the account that a controller would make.
func namespace(t *testing.T, env *testenv.Env) string {
	t.Helper()
	name := env.Namespace(t)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	_, err := env.Client.CoreV1().ServiceAccounts(name).Create(t.Context(), account, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	return name
}

// TestPodGetsWhatItNeeds sends the smallest pod and looks at all that was added.
func TestPodGetsWhatItNeeds(t *testing.T) {
	env := testenv.Shared(t)
	ns := namespace(t, env)
	pod, err := env.Client.CoreV1().Pods(ns).Create(t.Context(), plainPod("p"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if pod.Spec.ServiceAccountName != "default" || pod.Spec.DeprecatedServiceAccount != "default" {
		t.Errorf("account %q %q", pod.Spec.ServiceAccountName, pod.Spec.DeprecatedServiceAccount)
	}
	if len(pod.Spec.Volumes) != 1 || !strings.HasPrefix(pod.Spec.Volumes[0].Name, "kube-api-access-") || len(pod.Spec.Volumes[0].Projected.Sources) != 3 {
		t.Errorf("volumes %+v", pod.Spec.Volumes)
	}
	if mounts := pod.Spec.Containers[0].VolumeMounts; len(mounts) != 1 || mounts[0].MountPath != "/var/run/secrets/kubernetes.io/serviceaccount" {
		t.Errorf("mounts %+v", mounts)
	}
	if len(pod.Spec.Tolerations) != 2 || ptr.Deref(pod.Spec.Tolerations[0].TolerationSeconds, 0) != 300 {
		t.Errorf("tolerations %+v", pod.Spec.Tolerations)
	}
	if ptr.Deref(pod.Spec.Priority, -1) != 0 || ptr.Deref(pod.Spec.PreemptionPolicy, "") != corev1.PreemptLowerPriority {
		t.Errorf("priority %v %v", pod.Spec.Priority, pod.Spec.PreemptionPolicy)
	}
}

func TestPodOfAMissingAccount(t *testing.T) {
	env := testenv.Shared(t)
	ns := namespace(t, env)
	pod := plainPod("p", func(p *corev1.Pod) { p.Spec.ServiceAccountName = "none" })
	_, err := env.Client.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
	want := `pods "p" is forbidden: error looking up service account ` + ns + `/none: serviceaccount "none" not found`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestPriorityClasses(t *testing.T) {
	env := testenv.Shared(t)
	ns, ctx := namespace(t, env), t.Context()
	class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{GenerateName: "high-"}, Value: 1000, PreemptionPolicy: ptr.To(corev1.PreemptNever)}
	class, err := env.Client.SchedulingV1().PriorityClasses().Create(ctx, class, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Client.SchedulingV1().PriorityClasses().Delete(context.Background(), class.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	// At once, as from one manifest.
	pod, err := env.Client.CoreV1().Pods(ns).Create(ctx, plainPod("p", func(p *corev1.Pod) { p.Spec.PriorityClassName = class.Name }), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ptr.Deref(pod.Spec.Priority, 0) != 1000 || ptr.Deref(pod.Spec.PreemptionPolicy, "") != corev1.PreemptNever {
		t.Errorf("priority %v %v", pod.Spec.Priority, pod.Spec.PreemptionPolicy)
	}
	_, err = env.Client.CoreV1().Pods(ns).Create(ctx, plainPod("q", func(p *corev1.Pod) { p.Spec.PriorityClassName = "none" }), metav1.CreateOptions{})
	if err == nil || err.Error() != `pods "q" is forbidden: no PriorityClass with name none was found` {
		t.Errorf("got %v", err)
	}
}

// TestNodesKeepToThemselves is the attack list of a node that was taken over.
func TestNodesKeepToThemselves(t *testing.T) {
	env := testenv.Shared(t)
	ns, ctx := namespace(t, env), t.Context()
	node, err := kubernetes.NewForConfig(env.ConfigFor("system:node:n1", "system:nodes"))
	if err != nil {
		t.Fatal(err)
	}
	own := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{"kubernetes.io/hostname": "n1"}}}
	registered, err := node.CoreV1().Nodes().Create(ctx, own, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("registering: %v", err)
	}
	t.Cleanup(func() {
		if err := env.Client.CoreV1().Nodes().Delete(context.Background(), "n1", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	if len(registered.Spec.Taints) != 1 || registered.Spec.Taints[0].Key != "node.kubernetes.io/not-ready" {
		t.Errorf("taints of a new node: %+v", registered.Spec.Taints)
	}
	mine, err := env.Client.CoreV1().Pods(ns).Create(ctx, plainPod("mine", func(p *corev1.Pod) { p.Spec.NodeName = "n1" }), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := env.Client.CoreV1().Pods(ns).Create(ctx, plainPod("theirs", func(p *corev1.Pod) { p.Spec.NodeName = "n2" }), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tokenFor := func(pod *corev1.Pod) error {
		_, err := node.CoreV1().ServiceAccounts(ns).CreateToken(ctx, "default", &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
			BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
		}}, metav1.CreateOptions{})
		return err
	}
	status := []byte(`{"status":{"message":"hello"}}`)
	patchStatus := func(name string) error {
		_, err := node.CoreV1().Pods(ns).Patch(ctx, name, "application/strategic-merge-patch+json", status, metav1.PatchOptions{}, "status")
		return err
	}
	for name, do := range map[string]func() error{
		"token for its own pod": func() error { return tokenFor(mine) },
		"status of its own pod": func() error { return patchStatus("mine") },
		"status of itself": func() error {
			_, err := node.CoreV1().Nodes().Patch(ctx, "n1", "application/strategic-merge-patch+json", []byte(`{"status":{"phase":"Running"}}`), metav1.PatchOptions{}, "status")
			return err
		},
		"a label of its own": func() error {
			_, err := node.CoreV1().Nodes().Patch(ctx, "n1", "application/merge-patch+json", []byte(`{"metadata":{"labels":{"example.com/a":"b"}}}`), metav1.PatchOptions{})
			return err
		},
	} {
		if err := do(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, do := range map[string]func() error{
		"token for another's pod": func() error { return tokenFor(theirs) },
		"status of another's pod": func() error { return patchStatus("theirs") },
		"deletion of another's":   func() error { return node.CoreV1().Pods(ns).Delete(ctx, "theirs", metav1.DeleteOptions{}) },
		"a pod that is no mirror": func() error {
			_, err := node.CoreV1().Pods(ns).Create(ctx, plainPod("x", func(p *corev1.Pod) { p.Spec.NodeName = "n1" }), metav1.CreateOptions{})
			return err
		},
		"registration of another": func() error {
			_, err := node.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n3"}}, metav1.CreateOptions{})
			return err
		},
		"untainting itself": func() error {
			_, err := node.CoreV1().Nodes().Patch(ctx, "n1", "application/merge-patch+json", []byte(`{"spec":{"taints":[]}}`), metav1.PatchOptions{})
			return err
		},
		"a restricted label": func() error {
			_, err := node.CoreV1().Nodes().Patch(ctx, "n1", "application/merge-patch+json", []byte(`{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}`), metav1.PatchOptions{})
			return err
		},
		"deletion of a node": func() error { return node.CoreV1().Nodes().Delete(ctx, "n1", metav1.DeleteOptions{}) },
	} {
		if err := do(); !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v, want Forbidden", name, err)
		}
	}
	err = wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		err := node.CoreV1().Pods(ns).Delete(ctx, "mine", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)})
		return err == nil || apierrors.IsNotFound(err), nil
	})
	if err != nil {
		t.Errorf("deleting its own pod: %v", err)
	}
}
