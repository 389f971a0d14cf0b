package servertest

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/skiff-project/skiff/e2e/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// namespace makes a namespace for a test, with the account that its pods run as,
// which is a controller's work elsewhere.
func namespace(t *testing.T, env *testenv.Env) string {
	t.Helper()
	ns := env.Namespace(t)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := env.Client.CoreV1().ServiceAccounts(ns).Create(context.Background(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return ns
}

// post sends a manifest as kubectl create does and returns the server's refusal.
func post(t *testing.T, client kubernetes.Interface, path, manifest string) error {
	t.Helper()
	body, err := yaml.YAMLToJSON([]byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	return client.CoreV1().RESTClient().Post().AbsPath(path).
		SetHeader("Content-Type", "application/json").Body(body).Do(context.Background()).Error()
}

// TestInvalidManifests sends one broken manifest of each kind and expects the
// answer that users of Kubernetes know.
func TestInvalidManifests(t *testing.T) {
	env := testenv.Shared(t)
	ns := namespace(t, env)
	tests := []struct {
		resource, manifest string
		want               []string
	}{
		{"pods", "kind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: A_, image: ''}]}", []string{
			`Pod "x" is invalid: [spec.containers[0].name: Invalid value: "A_": a lowercase RFC 1123 label must consist of`,
			"spec.containers[0].image: Required value"}},
		{"replicationcontrollers", "kind: ReplicationController\nmetadata: {name: x}\nspec: {selector: {a: b}, template: {metadata: {labels: {a: c}}, spec: {containers: [{name: c, image: i}]}}}", []string{
			"ReplicationController \"x\" is invalid: spec.template.metadata.labels: Invalid value: {\"a\":\"c\"}: `selector` does not match template `labels`"}},
		{"services", "kind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 99999}]}", []string{
			"spec.ports[0].port: Invalid value: 99999: must be between 1 and 65535, inclusive"}},
		{"configmaps", "kind: ConfigMap\nmetadata: {name: x}\ndata: {'a b': c}", []string{`data[a b]: Invalid value: "a b": a valid config key`}},
		{"secrets", "kind: Secret\nmetadata: {name: x}\ntype: kubernetes.io/tls", []string{"data[tls.crt]: Required value", "data[tls.key]: Required value"}},
		{"serviceaccounts", "kind: ServiceAccount\nmetadata: {name: X}", []string{`metadata.name: Invalid value: "X": a lowercase RFC 1123 subdomain`}},
		{"endpoints", "kind: Endpoints\nmetadata: {name: x}\nsubsets: [{addresses: [{ip: 127.0.0.1}]}]", []string{
			`subsets[0].addresses[0].ip: Invalid value: "127.0.0.1": may not be in the loopback range`}},
		{"events", "kind: Event\nmetadata: {name: x}\ninvolvedObject: {namespace: elsewhere}", []string{
			`involvedObject.namespace: Invalid value: "elsewhere": does not match event.namespace`}},
		{"namespaces", "kind: Namespace\nmetadata: {name: a.b}", []string{`Namespace "a.b" is invalid: metadata.name: Invalid value: "a.b": `}},
		{"nodes", "kind: Node\nmetadata: {name: x}\nspec: {taints: [{key: a, effect: Never}]}", []string{
			`spec.taints[0].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`}},
	}
	for _, test := range tests {
		t.Run(test.resource, func(t *testing.T) {
			path := "/api/v1/namespaces/" + ns + "/" + test.resource
			if test.resource == "namespaces" || test.resource == "nodes" {
				path = "/api/v1/" + test.resource
			}
			err := post(t, env.Client, path, "apiVersion: v1\n"+test.manifest)
			if !apierrors.IsInvalid(err) {
				t.Fatalf("got %v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %s\nwithout %s", err, want)
				}
			}
		})
	}
}

func newPod(ns, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "nginx:1.27"}}},
	}
}

// TestPodLife follows a pod from creation to removal.
func TestPodLife(t *testing.T) {
	env := testenv.Shared(t)
	ctx := context.Background()
	pods := env.Client.CoreV1().Pods(namespace(t, env))

	wanted := newPod("", "p")
	wanted.Spec.NodeName = "nowhere"
	wanted.Status.Phase = corev1.PodRunning // not for the creator to say
	pod, err := pods.Create(ctx, wanted, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if pod.Status.Phase != corev1.PodPending || pod.Status.QOSClass != corev1.PodQOSBestEffort || pod.Generation != 1 ||
		pod.Spec.Containers[0].ImagePullPolicy != corev1.PullIfNotPresent || pod.Spec.ServiceAccountName != pod.Spec.DeprecatedServiceAccount {
		t.Errorf("created %+v", pod)
	}

	same, err := pods.Update(ctx, pod, metav1.UpdateOptions{})
	if err != nil || same.ResourceVersion != pod.ResourceVersion {
		t.Errorf("writing the pod back changed it: %v", err)
	}
	_, err = pods.Patch(ctx, "p", types.StrategicMergePatchType, []byte(`{"spec":{"containers":[{"name":"c","command":["x"]}]}}`), metav1.PatchOptions{})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "pod updates may not change fields other than `spec.containers[*].image`") {
		t.Errorf("changing the command: %v", err)
	}
	patched, err := pods.Patch(ctx, "p", types.StrategicMergePatchType, []byte(`{"spec":{"containers":[{"name":"c","image":"nginx:1.28"}]}}`), metav1.PatchOptions{})
	if err != nil || patched.Generation != 2 {
		t.Errorf("changing the image: %v, generation %d", err, patched.Generation)
	}

	patched.Status.Phase = corev1.PodRunning
	patched.Status.PodIP = "10.244.0.7"
	running, err := pods.UpdateStatus(ctx, patched, metav1.UpdateOptions{})
	if err != nil || len(running.Status.PodIPs) != 1 || running.Status.QOSClass != corev1.PodQOSBestEffort {
		t.Errorf("status %+v, %v", running.Status, err)
	}
	for selector, want := range map[string]int{
		"spec.nodeName=nowhere": 1, "spec.nodeName=elsewhere": 0, "status.phase=Running,status.podIP=10.244.0.7": 1,
		"spec.restartPolicy!=Always": 0, "spec.hostNetwork=false": 1,
	} {
		list, err := pods.List(ctx, metav1.ListOptions{FieldSelector: selector})
		if err != nil || len(list.Items) != want {
			t.Errorf("%s: %d pods, %v", selector, len(list.Items), err)
		}
	}

	if err := pods.Delete(ctx, "p", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	going, err := pods.Get(ctx, "p", metav1.GetOptions{})
	if err != nil || going.DeletionTimestamp == nil || *going.DeletionGracePeriodSeconds != 30 {
		t.Fatalf("a running pod gets its grace period: %+v, %v", going.ObjectMeta, err)
	}
	zero := int64(0)
	if err := pods.Delete(ctx, "p", metav1.DeleteOptions{GracePeriodSeconds: &zero}); err != nil {
		t.Fatal(err)
	}
	if _, err := pods.Get(ctx, "p", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the pod outlived its node agent's last word: %v", err)
	}
}

func TestUnscheduledPodGoesAtOnce(t *testing.T) {
	env := testenv.Shared(t)
	ctx := context.Background()
	pods := env.Client.CoreV1().Pods(namespace(t, env))
	if _, err := pods.Create(ctx, newPod("", "p"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := pods.Delete(ctx, "p", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := pods.Get(ctx, "p", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
}

// TestPodParts changes a pod through its subresources.
func TestPodParts(t *testing.T) {
	env := testenv.Shared(t)
	ctx := context.Background()
	pods := env.Client.CoreV1().Pods(namespace(t, env))
	wanted := newPod("", "p")
	wanted.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}
	pod, err := pods.Create(ctx, wanted, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}

	if err := pods.Bind(ctx, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Target: corev1.ObjectReference{Kind: "Pod", Name: "x"}}, metav1.CreateOptions{}); err == nil || !strings.Contains(err.Error(), `target.kind: Unsupported value: "Pod"`) {
		t.Errorf("binding to a pod: %v", err)
	}
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "busybox"}}}
	debugged, err := pods.UpdateEphemeralContainers(ctx, "p", pod, metav1.UpdateOptions{})
	if err != nil || len(debugged.Spec.EphemeralContainers) != 1 {
		t.Fatalf("ephemeral container: %v", err)
	}
	debugged.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("200m")
	resized, err := pods.UpdateResize(ctx, "p", debugged, metav1.UpdateOptions{})
	if err != nil || resized.Spec.Containers[0].Resources.Requests.Cpu().String() != "200m" {
		t.Errorf("resize: %v", err)
	}
}

func TestNamespaceIsRemovedByFinalize(t *testing.T) {
	env := testenv.Shared(t)
	ctx := context.Background()
	namespaces := env.Client.CoreV1().Namespaces()
	ns, err := namespaces.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "life-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ns.Labels[corev1.LabelMetadataName] != ns.Name || ns.Status.Phase != corev1.NamespaceActive || len(ns.Spec.Finalizers) != 1 {
		t.Errorf("created %+v", ns)
	}
	if err := namespaces.Delete(ctx, ns.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	going, err := namespaces.Get(ctx, ns.Name, metav1.GetOptions{})
	if err != nil || going.DeletionTimestamp == nil || going.Status.Phase != corev1.NamespaceTerminating {
		t.Fatalf("deleted %+v, %v", going, err)
	}
	going.Spec.Finalizers = nil
	if _, err := namespaces.Finalize(ctx, going, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := namespaces.Get(ctx, ns.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
}

// TestServiceAddressStays applies a service without its address over itself.
func TestServiceAddressStays(t *testing.T) {
	env := testenv.Shared(t)
	ctx := context.Background()
	services := env.Client.CoreV1().Services(namespace(t, env))
	wanted := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	created, err := services.Create(ctx, wanted, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if created.Spec.ClusterIP == "" || created.Spec.Ports[0].NodePort == 0 {
		t.Fatalf("nothing allocated: %+v", created.Spec)
	}
	again, err := services.Update(ctx, wanted, metav1.UpdateOptions{})
	if err != nil || again.Spec.ClusterIP != created.Spec.ClusterIP || again.Spec.Ports[0].NodePort != created.Spec.Ports[0].NodePort {
		t.Errorf("replaced: %+v, %v", again.Spec, err)
	}
	_, err = services.Patch(ctx, "web", types.MergePatchType, []byte(`{"spec":{"clusterIP":"10.96.77.77"}}`), metav1.PatchOptions{})
	if err == nil || !strings.Contains(err.Error(), "spec.clusterIPs[0]: Invalid value: [\"10.96.77.77\"]: may not change once set") {
		t.Errorf("got %v", err)
	}
	internal, err := services.Patch(ctx, "web", types.MergePatchType, []byte(`{"spec":{"type":"ClusterIP"}}`), metav1.PatchOptions{})
	if err != nil || internal.Spec.Ports[0].NodePort != 0 || internal.Spec.ClusterIP != created.Spec.ClusterIP {
		t.Errorf("to ClusterIP: %+v, %v", internal.Spec, err)
	}
}

// TestTables asks for tables as kubectl get does.
func TestTables(t *testing.T) {
	env := testenv.Shared(t)
	ctx := context.Background()
	ns := namespace(t, env)
	if _, err := env.Client.CoreV1().Pods(ns).Create(ctx, newPod("", "p"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	body, err := env.Client.CoreV1().RESTClient().Get().AbsPath("/api/v1/namespaces/"+ns+"/pods").
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var table metav1.Table
	if err := json.Unmarshal(body, &table); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, column := range table.ColumnDefinitions {
		names = append(names, column.Name)
	}
	if got := strings.Join(names, " "); got != "Name Ready Status Restarts Age IP Node Nominated Node Readiness Gates" {
		t.Errorf("columns %s", got)
	}
	if len(table.Rows) != 1 || table.Rows[0].Cells[0] != "p" || table.Rows[0].Cells[1] != "0/1" || table.Rows[0].Cells[2] != "Pending" {
		t.Errorf("rows %+v", table.Rows)
	}
}

// TestSecretTextsAreWriteOnly checks that plain texts come back as data.
func TestSecretTextsAreWriteOnly(t *testing.T) {
	env := testenv.Shared(t)
	ctx := context.Background()
	secret, err := env.Client.CoreV1().Secrets(namespace(t, env)).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "s"}, StringData: map[string]string{"a": "b"}}, metav1.CreateOptions{})
	if err != nil || string(secret.Data["a"]) != "b" || secret.StringData != nil || secret.Type != corev1.SecretTypeOpaque {
		t.Errorf("%+v, %v", secret, err)
	}
}
