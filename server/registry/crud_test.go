package registry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applyappsv1 "k8s.io/client-go/applyconfigurations/apps/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/e2e/testenv"
)

func deployment(name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](2),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "image"}}},
			},
		},
	}
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"key": "value"}}
}

func TestSpecAndStatusAreApart(t *testing.T) {
	env := testenv.Shared(t)
	api := env.Client.AppsV1().Deployments(env.Namespace(t))
	wanted := deployment("web")
	wanted.Status.Replicas = 7
	created, err := api.Create(t.Context(), wanted, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if created.Status.Replicas != 0 {
		t.Errorf("a new object came with status %+v", created.Status)
	}
	if created.Generation != 1 {
		t.Errorf("got generation %d, want 1", created.Generation)
	}

	withStatus := created.DeepCopy()
	withStatus.Spec.Replicas = ptr.To[int32](9)
	withStatus.Status.Replicas = 2
	withStatus.Status.ObservedGeneration = 1
	updated, err := api.UpdateStatus(t.Context(), withStatus, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if updated.Status.Replicas != 2 || *updated.Spec.Replicas != 2 || updated.Generation != 1 {
		t.Errorf("after a status update: status %d, spec %d, generation %d", updated.Status.Replicas, *updated.Spec.Replicas, updated.Generation)
	}

	changed := updated.DeepCopy()
	changed.Spec.Replicas = ptr.To[int32](5)
	changed.Status.Replicas = 8
	updated, err = api.Update(t.Context(), changed, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if updated.Status.Replicas != 2 || *updated.Spec.Replicas != 5 || updated.Generation != 2 {
		t.Errorf("after an update: status %d, spec %d, generation %d", updated.Status.Replicas, *updated.Spec.Replicas, updated.Generation)
	}

	labelled := updated.DeepCopy()
	labelled.Labels["other"] = "label"
	updated, err = api.Update(t.Context(), labelled, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if updated.Generation != 2 {
		t.Errorf("a change of labels made generation %d", updated.Generation)
	}
}

// Test that a node comes with the status that its agent registers it with, and
// that only /status changes it from then on.
func TestNodesKeepTheStatusTheyRegisterWith(t *testing.T) {
	env := testenv.Shared(t)
	api := env.Client.CoreV1().Nodes()
	address := []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}}
	node, err := api.Create(t.Context(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "registered"}, Status: corev1.NodeStatus{Addresses: address},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Delete(context.Background(), node.Name, metav1.DeleteOptions{}) })
	if !slices.Equal(node.Status.Addresses, address) {
		t.Errorf("a new node has status %+v", node.Status)
	}
	node.Status.Addresses = nil
	node.Spec.Unschedulable = true
	if node, err = api.Update(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if !node.Spec.Unschedulable || !slices.Equal(node.Status.Addresses, address) {
		t.Errorf("after an update: %+v, %+v", node.Spec, node.Status)
	}
}

func TestUpdateConflicts(t *testing.T) {
	env := testenv.Shared(t)
	api := env.Client.CoreV1().ConfigMaps(env.Namespace(t))
	created, err := api.Create(t.Context(), configMap("a"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.Create(t.Context(), configMap("a"), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("creating it twice: %v", err)
	}
	first := created.DeepCopy()
	first.Data["key"] = "first"
	if _, err := api.Update(t.Context(), first, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	second := created.DeepCopy()
	second.Data["key"] = "second"
	if _, err := api.Update(t.Context(), second, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("an update of an old version: %v", err)
	}
	second.ResourceVersion = ""
	got, err := api.Update(t.Context(), second, metav1.UpdateOptions{})
	if err != nil || got.Data["key"] != "second" {
		t.Errorf("an unconditional update: %v, %v", got, err)
	}
	second.UID = "other"
	if _, err := api.Update(t.Context(), second, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("an update of another incarnation: %v", err)
	}
	wrong := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &created.ResourceVersion}}
	if err := api.Delete(t.Context(), "a", wrong); !apierrors.IsConflict(err) {
		t.Errorf("a delete of an old version: %v", err)
	}
	if _, err := api.Update(t.Context(), configMap("missing"), metav1.UpdateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("an update of what does not exist: %v", err)
	}
}

// Test that each kind of patch does what it does in Kubernetes.
func TestPatches(t *testing.T) {
	env := testenv.Shared(t)
	api := env.Client.AppsV1().Deployments(env.Namespace(t))
	if _, err := api.Create(t.Context(), deployment("web"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		kind  types.PatchType
		patch string
		check func(*appsv1.Deployment) bool
	}{
		{types.JSONPatchType, `[{"op":"replace","path":"/spec/replicas","value":3}]`,
			func(d *appsv1.Deployment) bool { return *d.Spec.Replicas == 3 }},
		{types.MergePatchType, `{"metadata":{"labels":{"app":null,"x":"y"}}}`,
			func(d *appsv1.Deployment) bool { return len(d.Labels) == 1 && d.Labels["x"] == "y" }},
		{types.StrategicMergePatchType, `{"spec":{"template":{"spec":{"containers":[{"name":"d","image":"other"}]}}}}`,
			func(d *appsv1.Deployment) bool { return len(d.Spec.Template.Spec.Containers) == 2 }},
	} {
		got, err := api.Patch(t.Context(), "web", test.kind, []byte(test.patch), metav1.PatchOptions{})
		if err != nil {
			t.Errorf("%s: %v", test.kind, err)
			continue
		}
		if !test.check(got) {
			t.Errorf("%s of %s gave %+v", test.kind, test.patch, got)
		}
	}
}

func TestServerSideApply(t *testing.T) {
	env := testenv.Shared(t)
	ns := env.Namespace(t)
	api := env.Client.AppsV1().Deployments(ns)
	labels := map[string]string{"app": "web"}
	apply := func(manager string, replicas int32, force bool) (*appsv1.Deployment, error) {
		wanted := applyappsv1.Deployment("web", ns).WithSpec(applyappsv1.DeploymentSpec().
			WithReplicas(replicas).
			WithSelector(applyMetaSelector(labels)).
			WithTemplate(applycorev1.PodTemplateSpec().WithLabels(labels).
				WithSpec(applycorev1.PodSpec().WithContainers(applycorev1.Container().WithName("c").WithImage("image")))))
		return api.Apply(t.Context(), wanted, metav1.ApplyOptions{FieldManager: manager, Force: force})
	}
	if _, err := apply("one", 1, false); err != nil {
		t.Fatal(err)
	}
	if _, err := apply("two", 2, false); !apierrors.IsConflict(err) || !strings.Contains(fmt.Sprint(err), ".spec.replicas") {
		t.Errorf("a conflicting apply: %v", err)
	}
	got, err := apply("two", 2, true)
	if err != nil || *got.Spec.Replicas != 2 {
		t.Fatalf("a forced apply: %v", err)
	}
	for _, entry := range got.ManagedFields {
		owns := strings.Contains(string(entry.FieldsV1.Raw), `"f:replicas"`)
		if owns != (entry.Manager == "two") {
			t.Errorf("manager %s owns replicas: %t", entry.Manager, owns)
		}
		if strings.Contains(string(entry.FieldsV1.Raw), `"f:status"`) {
			t.Errorf("manager %s owns status", entry.Manager)
		}
		if entry.APIVersion != "apps/v1" {
			t.Errorf("managed fields of version %q", entry.APIVersion)
		}
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	env := testenv.Shared(t)
	api := env.Client.CoreV1().ConfigMaps(env.Namespace(t))
	dryRun := []string{metav1.DryRunAll}
	got, err := api.Create(t.Context(), configMap("a"), metav1.CreateOptions{DryRun: dryRun})
	if err != nil || got.UID == "" {
		t.Fatalf("got %v, %v", got, err)
	}
	if _, err := api.Get(t.Context(), "a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a dry run created it: %v", err)
	}
	if _, err := api.Create(t.Context(), configMap("a"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := api.Delete(t.Context(), "a", metav1.DeleteOptions{DryRun: dryRun}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Get(t.Context(), "a", metav1.GetOptions{}); err != nil {
		t.Errorf("a dry run deleted it: %v", err)
	}
}

func TestFieldValidation(t *testing.T) {
	env := testenv.Shared(t)
	client := env.Client.CoreV1().RESTClient()
	ns := env.Namespace(t)
	body := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s"},"dada":{"a":"b"}}`
	post := func(name, validation string) error {
		return client.Post().Namespace(ns).Resource("configmaps").Param("fieldValidation", validation).
			SetHeader("Content-Type", "application/json").SetHeader("Accept", "application/json").
			Body(fmt.Appendf(nil, body, name)).Do(t.Context()).Error()
	}
	if err := post("strict", "Strict"); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), `unknown field "dada"`) {
		t.Errorf("Strict: %v", err)
	}
	if err := post("warn", "Warn"); err != nil {
		t.Errorf("Warn: %v", err)
	}
	if err := post("ignore", "Ignore"); err != nil {
		t.Errorf("Ignore: %v", err)
	}
}

// Test that all media types are accepted and answered in, and that lists, which
// are read in another way than single objects, do not repeat the kind of their
// items.
func TestMediaTypes(t *testing.T) {
	env := testenv.Shared(t)
	ns := env.Namespace(t)
	client := env.Client.CoreV1().RESTClient()
	for i, test := range []struct{ media, body string }{
		{"application/json", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m%d"}}`},
		{"application/yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m%d}\n"},
	} {
		err := client.Post().Namespace(ns).Resource("configmaps").SetHeader("Content-Type", test.media).
			Body(fmt.Appendf(nil, test.body, i)).Do(t.Context()).Error()
		if err != nil {
			t.Errorf("%s: %v", test.media, err)
		}
	}
	for _, resource := range []string{"configmaps", "events"} {
		if resource == "events" { // the one kind that is not in the watch cache
			_, err := env.Client.CoreV1().Events(ns).Create(t.Context(), &corev1.Event{
				ObjectMeta:     metav1.ObjectMeta{Name: "e", Namespace: ns},
				InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: ns, Name: "p"},
				Reason:         "Tested", Type: "Normal",
			}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, media := range []string{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"} {
			raw, err := client.Get().Namespace(ns).Resource(resource).SetHeader("Accept", media).Do(t.Context()).Raw()
			if err != nil || len(raw) == 0 {
				t.Errorf("listing %s as %s: %v", resource, media, err)
			}
		}
		raw, err := client.Get().Namespace(ns).Resource(resource).SetHeader("Accept", "application/json").Do(t.Context()).Raw()
		if err != nil {
			t.Fatal(err)
		}
		var list struct {
			Kind  string           `json:"kind"`
			Items []map[string]any `json:"items"`
		}
		if err := json.Unmarshal(raw, &list); err != nil || list.Kind == "" || len(list.Items) == 0 {
			t.Fatalf("listing %s gave %s: %v", resource, raw, err)
		}
		for _, item := range list.Items {
			if item["kind"] != nil || item["apiVersion"] != nil {
				t.Errorf("an item of %s says its kind: %v", resource, item)
			}
		}
	}
	var status int
	client.Get().Namespace(ns).Resource("configmaps").SetHeader("Accept", "text/html").Do(t.Context()).StatusCode(&status)
	if status != http.StatusNotAcceptable {
		t.Errorf("text/html gave status %d", status)
	}
}

func TestGenerateName(t *testing.T) {
	env := testenv.Shared(t)
	got, err := env.Client.CoreV1().ConfigMaps(env.Namespace(t)).Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "gen-"}}, metav1.CreateOptions{})
	if err != nil || !strings.HasPrefix(got.Name, "gen-") || len(got.Name) != len("gen-")+5 {
		t.Errorf("got name %q, %v", got.Name, err)
	}
}
