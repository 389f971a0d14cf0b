package batch_test

import (
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/skiff-project/skiff/e2e/testenv"
)

// TestJobOnTheServer checks what only the server can show: the selector made of
// the UID that it gives, the field selector, and what counts as a new generation.
// Conformance: "Job should create pods for an Indexed job with completion indexes
// and specified hostname" and its siblings rely on the generated labels.
func TestJobOnTheServer(t *testing.T) {
	env := testenv.Start(t)
	jobs := env.Client.BatchV1().Jobs(env.Namespace(t))
	job, err := jobs.Create(t.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "pi-"},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "i"}},
		}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := job.Spec.Selector.MatchLabels[batchv1.ControllerUidLabel]; got == "" || got != string(job.UID) {
		t.Errorf("the selector asks for controller %q, the job is %q", got, job.UID)
	}
	if got := job.Spec.Template.Labels[batchv1.JobNameLabel]; got == "" || got != job.Name {
		t.Errorf("the pods are labeled %q, the job is %q", got, job.Name)
	}

	job.Status.Succeeded = 3
	if job, err = jobs.UpdateStatus(t.Context(), job, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	for selector, want := range map[string]int{"status.successful=3": 1, "status.successful=2": 0} {
		list, err := jobs.List(t.Context(), metav1.ListOptions{FieldSelector: selector})
		if err != nil || len(list.Items) != want {
			t.Errorf("%s: %d jobs (%v), want %d", selector, len(list.Items), err, want)
		}
	}

	if job.Generation != 1 {
		t.Errorf("generation %d after a change of the status", job.Generation)
	}
	suspend := true
	job.Spec.Suspend = &suspend
	if job, err = jobs.Update(t.Context(), job, metav1.UpdateOptions{}); err != nil || job.Generation != 2 {
		t.Fatalf("generation %d after a change of the spec (%v)", job.Generation, err)
	}
	job.Spec.Template.Spec.Containers[0].Image = "other"
	if _, err = jobs.Update(t.Context(), job, metav1.UpdateOptions{}); err == nil || !strings.Contains(err.Error(), "field is immutable") {
		t.Errorf("another image was answered with: %v", err)
	}
}
