package subresources_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	applyautoscalingv1 "k8s.io/client-go/applyconfigurations/autoscaling/v1"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/e2e/testenv"
)

// newNamespace returns a namespace with the service account that pods need.
func newNamespace(t *testing.T, env *testenv.Env) string {
	t.Helper()
	ns := env.Namespace(t)
	_, err := env.Client.CoreV1().ServiceAccounts(ns).Create(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	return ns
}

func newPod(name, node string, containers ...string) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec:       corev1.PodSpec{NodeName: node, AutomountServiceAccountToken: ptr.To(false)},
	}
	for _, c := range containers {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: c, Image: "image"})
	}
	return pod
}

func createPod(t *testing.T, env *testenv.Env, ns string, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	created, err := env.Client.CoreV1().Pods(ns).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func createDeployment(t *testing.T, env *testenv.Env, ns string) {
	t.Helper()
	labels := map[string]string{"app": "web"}
	_, err := env.Client.AppsV1().Deployments(ns).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](2),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
			},
		},
	}, metav1.CreateOptions{FieldManager: "creator"})
	if err != nil {
		t.Fatal(err)
	}
}

func TestScale(t *testing.T) {
	env := testenv.Shared(t)
	ns := newNamespace(t, env)
	createDeployment(t, env, ns)
	api := env.Client.AppsV1().Deployments(ns)
	scale, err := api.GetScale(t.Context(), "web", metav1.GetOptions{})
	if err != nil || scale.Spec.Replicas != 2 || scale.Status.Selector != "app=web" {
		t.Fatalf("got %+v, %v", scale, err)
	}
	scale.Spec.Replicas = 5
	if scale, err = api.UpdateScale(t.Context(), "web", scale, metav1.UpdateOptions{FieldManager: "scaler"}); err != nil || scale.Spec.Replicas != 5 {
		t.Fatalf("got %+v, %v", scale, err)
	}
	stale := scale.DeepCopy()
	stale.ResourceVersion = "1"
	if _, err := api.UpdateScale(t.Context(), "web", stale, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("a stale scale: %v", err)
	}
	negative := scale.DeepCopy()
	negative.Spec.Replicas = -1
	if _, err := api.UpdateScale(t.Context(), "web", negative, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "must be greater than or equal to 0") {
		t.Errorf("a negative scale: %v", err)
	}
	// Replicas change hands in the managed fields of the parent.
	got, err := api.Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil || got.Generation != 2 {
		t.Fatalf("generation %d, %v", got.Generation, err)
	}
	for _, entry := range got.ManagedFields {
		owns := strings.Contains(string(entry.FieldsV1.Raw), `"f:replicas"`)
		if owns != (entry.Manager == "scaler") || owns && (entry.Subresource != "scale" || entry.APIVersion != "apps/v1") {
			t.Errorf("managed fields %+v: %s", entry, entry.FieldsV1.Raw)
		}
	}
	applied, err := api.ApplyScale(t.Context(), "web",
		applyautoscalingv1.Scale().WithSpec(applyautoscalingv1.ScaleSpec().WithReplicas(6)),
		metav1.ApplyOptions{FieldManager: "applier"})
	if !apierrors.IsConflict(err) {
		t.Errorf("an unforced apply: %v, %v", applied, err)
	}
	if _, err := env.Client.AppsV1().ReplicaSets(ns).GetScale(t.Context(), "none", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the scale of nothing: %v", err)
	}
	var patched autoscalingv1.Scale
	err = env.Client.AppsV1().RESTClient().Patch(types.MergePatchType).Namespace(ns).Resource("deployments").Name("web").
		SubResource("scale").Body([]byte(`{"spec":{"replicas":7}}`)).Do(t.Context()).Into(&patched)
	if err != nil || patched.Spec.Replicas != 7 {
		t.Errorf("got %+v, %v", patched, err)
	}
}

func TestBinding(t *testing.T) {
	env := testenv.Shared(t)
	ns := newNamespace(t, env)
	pods := env.Client.CoreV1().Pods(ns)
	created := createPod(t, env, ns, newPod("p", "", "c"))
	bind := func(change func(*corev1.Binding)) error {
		binding := &corev1.Binding{
			ObjectMeta: metav1.ObjectMeta{Name: "p", Annotations: map[string]string{"by": "test"}},
			Target:     corev1.ObjectReference{Kind: "Node", Name: "one"},
		}
		if change != nil {
			change(binding)
		}
		return pods.Bind(t.Context(), binding, metav1.CreateOptions{})
	}
	if err := bind(func(b *corev1.Binding) { b.Target.Name = "" }); !apierrors.IsInvalid(err) {
		t.Errorf("a binding without target: %v", err)
	}
	if err := bind(func(b *corev1.Binding) { b.UID = "other" }); !apierrors.IsConflict(err) {
		t.Errorf("a binding of another incarnation: %v", err)
	}
	if err := bind(func(b *corev1.Binding) { b.UID = created.UID }); err != nil {
		t.Fatal(err)
	}
	got, err := pods.Get(t.Context(), "p", metav1.GetOptions{})
	if err != nil || got.Spec.NodeName != "one" || got.Annotations["by"] != "test" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if len(got.Status.Conditions) != 1 || got.Status.Conditions[0].Type != corev1.PodScheduled || got.Status.Conditions[0].Status != corev1.ConditionTrue {
		t.Errorf("conditions %+v", got.Status.Conditions)
	}
	err = bind(nil)
	if !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `pod p is already assigned to node "one"`) {
		t.Errorf("binding it twice: %v", err)
	}
	got.Spec.NodeName = "two"
	if _, err := pods.Update(t.Context(), got, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("an update moved a pod: %v", err)
	}
	createPod(t, env, ns, newPod("legacy", "", "c"))
	err = env.Client.CoreV1().RESTClient().Post().Namespace(ns).Resource("bindings").Body(&corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: "legacy"}, Target: corev1.ObjectReference{Name: "one"},
	}).Do(t.Context()).Error()
	if err != nil {
		t.Errorf("the old way of binding: %v", err)
	}
}

func evict(t *testing.T, env *testenv.Env, ns, name string, options *metav1.DeleteOptions) error {
	t.Helper()
	// The typed client would wait and try again where a budget says "not now".
	return env.Client.CoreV1().RESTClient().Post().Namespace(ns).Resource("pods").Name(name).SubResource("eviction").
		Body(&policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: ns}, DeleteOptions: options}).
		MaxRetries(0).Do(t.Context()).Error()
}

func TestEviction(t *testing.T) {
	env := testenv.Shared(t)
	ns := newNamespace(t, env)
	pods := env.Client.CoreV1().Pods(ns)
	created := createPod(t, env, ns, newPod("p", "one", "c"))
	if err := evict(t, env, ns, "none", nil); !apierrors.IsNotFound(err) {
		t.Errorf("evicting nothing: %v", err)
	}
	if err := evict(t, env, ns, "p", &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Errorf("a dry run: %v", err)
	}
	if got, err := pods.Get(t.Context(), "p", metav1.GetOptions{}); err != nil || got.DeletionTimestamp != nil || got.ResourceVersion != created.ResourceVersion {
		t.Errorf("a dry run changed the pod: %v, %v", got, err)
	}
	stale := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: ptr.To("1")}}
	if err := evict(t, env, ns, "p", stale); !apierrors.IsConflict(err) {
		t.Errorf("a stale precondition: %v", err)
	}
	fresh := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &created.ResourceVersion}}
	if err := evict(t, env, ns, "p", fresh); err != nil {
		t.Fatal(err)
	}
	got, err := pods.Get(t.Context(), "p", metav1.GetOptions{})
	if err != nil || got.DeletionTimestamp == nil || *got.DeletionGracePeriodSeconds != 30 {
		t.Fatalf("got %+v, %v", got, err)
	}
	for _, c := range got.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Reason == "EvictionByEvictionAPI" {
			return
		}
	}
	t.Errorf("conditions %+v", got.Status.Conditions)
}

// Conformance: "DisruptionController should block an eviction until the PDB is
// updated to allow it".
func TestEvictionMindsBudgets(t *testing.T) {
	env := testenv.Shared(t)
	ns := newNamespace(t, env)
	pod := createPod(t, env, ns, newPod("p", "one", "c"))
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if _, err := env.Client.CoreV1().Pods(ns).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	budgets := env.Client.PolicyV1().PodDisruptionBudgets(ns)
	pdb, err := budgets.Create(t.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "b"},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: ptr.To(intstr.FromInt32(1)),
			Selector:     &metav1.LabelSelector{MatchLabels: map[string]string{"app": "p"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := evict(t, env, ns, "p", nil); !apierrors.IsTooManyRequests(err) {
		t.Errorf("before the budget is computed: %v", err)
	}
	pdb.Status.ObservedGeneration = pdb.Generation
	pdb.Status.DesiredHealthy, pdb.Status.CurrentHealthy = 1, 1
	if pdb, err = budgets.UpdateStatus(t.Context(), pdb, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	err = evict(t, env, ns, "p", nil)
	if !apierrors.IsTooManyRequests(err) || !apierrors.HasStatusCause(err, policyv1.DisruptionBudgetCause) ||
		!strings.Contains(err.Error(), "Cannot evict pod as it would violate the pod's disruption budget.") {
		t.Errorf("with a used up budget: %v", err)
	}
	pdb.Status.DisruptionsAllowed = 1
	if _, err = budgets.UpdateStatus(t.Context(), pdb, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := evict(t, env, ns, "p", nil); err != nil {
		t.Errorf("with a budget: %v", err)
	}
	if pdb, err = budgets.Get(t.Context(), "b", metav1.GetOptions{}); err != nil || pdb.Status.DisruptionsAllowed != 0 || len(pdb.Status.DisruptedPods) != 1 {
		t.Errorf("got %+v, %v", pdb.Status, err)
	}
}

func TestServiceAccountToken(t *testing.T) {
	env := testenv.Shared(t)
	ns := newNamespace(t, env)
	issued, err := env.Client.CoreV1().ServiceAccounts(ns).CreateToken(t.Context(), "default",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](3600)}}, metav1.CreateOptions{})
	if err != nil || issued.Status.Token == "" {
		t.Fatalf("got %+v, %v", issued, err)
	}
	review, err := env.Client.AuthenticationV1().TokenReviews().Create(t.Context(),
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: issued.Status.Token}}, metav1.CreateOptions{})
	if err != nil || !review.Status.Authenticated || review.Status.User.Username != "system:serviceaccount:"+ns+":default" {
		t.Errorf("got %+v, %v", review.Status, err)
	}
	review, err = env.Client.AuthenticationV1().TokenReviews().Create(t.Context(),
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: "nonsense"}}, metav1.CreateOptions{})
	if err != nil || review.Status.Authenticated {
		t.Errorf("got %+v, %v", review.Status, err)
	}
}

// Conformance: "Ephemeral Containers will start an ephemeral container in an
// existing pod" (its API half).
func TestEphemeralContainers(t *testing.T) {
	env := testenv.Shared(t)
	ns := newNamespace(t, env)
	pods := env.Client.CoreV1().Pods(ns)
	pod := createPod(t, env, ns, newPod("p", "one", "c"))
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{
		EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "tools"},
	}}
	pod.Spec.Containers[0].Image = "smuggled"
	got, err := pods.UpdateEphemeralContainers(t.Context(), "p", pod, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Spec.EphemeralContainers) != 1 || got.Spec.Containers[0].Image != "image" {
		t.Errorf("got %+v", got.Spec)
	}
	got.Spec.EphemeralContainers = nil
	if _, err := pods.UpdateEphemeralContainers(t.Context(), "p", got, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("removing one: %v", err)
	}
}

func TestResize(t *testing.T) {
	env := testenv.Shared(t)
	ns := newNamespace(t, env)
	pods := env.Client.CoreV1().Pods(ns)
	pod := newPod("p", "one", "c")
	pod.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}
	pod = createPod(t, env, ns, pod)
	resized := pod.DeepCopy()
	resized.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("200m")
	resized.Spec.Containers[0].Image = "smuggled"
	got, err := pods.UpdateResize(t.Context(), "p", resized, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if cpu := got.Spec.Containers[0].Resources.Requests.Cpu().String(); cpu != "200m" || got.Spec.Containers[0].Image != "image" || got.Generation != pod.Generation+1 {
		t.Errorf("got cpu %s, image %s, generation %d", cpu, got.Spec.Containers[0].Image, got.Generation)
	}
	got.Spec.Containers[0].Resources.Limits = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("200m"), corev1.ResourceMemory: resource.MustParse("1Mi"),
	}
	got.Spec.Containers[0].Resources.Requests = got.Spec.Containers[0].Resources.Limits
	_, err = pods.UpdateResize(t.Context(), "p", got, metav1.UpdateOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "Pod QOS Class may not change as a result of resizing") {
		t.Errorf("a change of class: %v", err)
	}
}
