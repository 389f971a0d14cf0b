package registry_test

import (
	"fmt"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/e2e/testenv"
)

func TestNamespaceLife(t *testing.T) {
	env := testenv.Shared(t)
	api := env.Client.CoreV1().Namespaces()
	ns, err := api.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "life-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second delete must not skip the finalizers
		if err := api.Delete(t.Context(), ns.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsConflict(err) {
			t.Fatal(err)
		}
	}
	got, err := api.Get(t.Context(), ns.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatalf("the namespace is gone before it was finalized: %v", err)
	}
	if got.Status.Phase != corev1.NamespaceTerminating || got.DeletionTimestamp == nil {
		t.Errorf("got phase %s", got.Status.Phase)
	}
	_, err = env.Client.CoreV1().ConfigMaps(ns.Name).Create(t.Context(), configMap("late"), metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		t.Errorf("creating in it: %v", err)
	}
	odd := got.DeepCopy()
	odd.Spec.Finalizers = append(odd.Spec.Finalizers, "unqualified")
	if _, err := api.Finalize(t.Context(), odd, metav1.UpdateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("an unknown finalizer: %v", err)
	}
	got.Spec.Finalizers = nil
	if _, err := api.Finalize(t.Context(), got, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Get(t.Context(), ns.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after finalizing: %v", err)
	}
	if err := env.Client.CoreV1().RESTClient().Delete().Resource("namespaces").Do(t.Context()).Error(); !apierrors.IsMethodNotSupported(err) {
		t.Errorf("deleting all namespaces: %v", err)
	}
}

func TestFinalizersHoldBackDeletion(t *testing.T) {
	env := testenv.Shared(t)
	api := env.Client.CoreV1().ConfigMaps(env.Namespace(t))
	held := configMap("a")
	held.Finalizers = []string{"test.example/hold"}
	if _, err := api.Create(t.Context(), held, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := api.Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := api.Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil || got.DeletionTimestamp == nil {
		t.Fatalf("got %+v, %v", got, err)
	}
	if _, err := api.Patch(t.Context(), "a", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Get(t.Context(), "a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("without finalizers: %v", err)
	}
}

func TestPodsAreDeletedGracefully(t *testing.T) {
	env := testenv.Shared(t)
	ns := env.Namespace(t)
	makeServiceAccount(t, env, ns)
	pods := env.Client.CoreV1().Pods(ns)
	for _, name := range []string{"bound", "unbound"} {
		node := map[string]string{"bound": "one"}[name]
		if _, err := pods.Create(t.Context(), pod(name, node), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := pods.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := pods.Get(t.Context(), "bound", metav1.GetOptions{})
	if err != nil || got.DeletionTimestamp == nil || *got.DeletionGracePeriodSeconds != 30 {
		t.Errorf("a bound pod after delete: %v, %v", got.ObjectMeta, err)
	}
	if _, err := pods.Get(t.Context(), "unbound", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("an unbound pod after delete: %v", err)
	}
	if err := pods.Delete(t.Context(), "bound", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		t.Fatal(err)
	}
	if _, err := pods.Get(t.Context(), "bound", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after its node's confirmation: %v", err)
	}
}

func TestDeleteCollection(t *testing.T) {
	env := testenv.Shared(t)
	api := env.Client.CoreV1().ConfigMaps(env.Namespace(t))
	for i := range 5 {
		cm := configMap(fmt.Sprintf("c%d", i))
		cm.Labels = map[string]string{"odd": fmt.Sprint(i%2 == 1)}
		if _, err := api.Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := api.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "odd=true"}); err != nil {
		t.Fatal(err)
	}
	list, err := api.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 3 {
		t.Errorf("%d left, %v", len(list.Items), err)
	}
}

// warnings collects the texts of the Warning headers of responses.
type warnings []string

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _, text string) { *w = append(*w, text) }

// Test that whoever deletes jobs without a word about their pods is told that
// these stay, whether one job or all are deleted.
func TestDeletingJobsWarnsOfTheirPods(t *testing.T) {
	env := testenv.Shared(t)
	ns := env.Namespace(t)
	background := metav1.DeletePropagationBackground
	for name, test := range map[string]struct {
		options metav1.DeleteOptions
		want    int
	}{
		"nothing said":    {metav1.DeleteOptions{}, 1},
		"a policy":        {metav1.DeleteOptions{PropagationPolicy: &background}, 0},
		"an old client's": {metav1.DeleteOptions{OrphanDependents: ptr.To(true)}, 0},
	} {
		for _, collection := range []bool{false, true} {
			var got warnings
			config := rest.CopyConfig(env.Admin)
			config.WarningHandler = &got
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				t.Fatal(err)
			}
			jobs := client.BatchV1().Jobs(ns)
			job, err := jobs.Create(t.Context(), &batchv1.Job{
				ObjectMeta: metav1.ObjectMeta{GenerateName: "j-"},
				Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
					RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "i"}},
				}}},
			}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if collection {
				err = jobs.DeleteCollection(t.Context(), test.options, metav1.ListOptions{})
			} else {
				err = jobs.Delete(t.Context(), job.Name, test.options)
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != test.want || test.want == 1 && !strings.HasPrefix(got[0], "child pods are preserved by default when jobs are deleted; ") {
				t.Errorf("%s (collection: %t): got warnings %q", name, collection, got)
			}
		}
	}
}
