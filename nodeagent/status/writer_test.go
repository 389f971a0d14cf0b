package status

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/skiff-project/skiff/e2e/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

type writerWorld struct {
	*testenv.Env
	t         *testing.T
	namespace string
	writer    *Writer
}

func newWriterWorld(t *testing.T) *writerWorld {
	return newWriterWorldOn(t, testenv.Shared(t).Client.CoreV1())
}

func newWriterWorldOn(t *testing.T, pods corev1client.PodsGetter) *writerWorld {
	env := testenv.Shared(t)
	writer, err := NewWriter(pods)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		writer.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	w := &writerWorld{Env: env, t: t, namespace: env.Namespace(t), writer: writer}
	_, _ = env.Client.CoreV1().ServiceAccounts(w.namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{})
	return w
}

func (w *writerWorld) pod(name string) *corev1.Pod {
	w.t.Helper()
	no := false
	pod, err := w.Client.CoreV1().Pods(w.namespace).Create(w.t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{
		NodeName: "n", AutomountServiceAccountToken: &no, Containers: []corev1.Container{{Name: "app", Image: "i"}}}}, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return pod
}

func (w *writerWorld) until(name string, condition func(*corev1.Pod, error) bool) *corev1.Pod {
	w.t.Helper()
	var pod *corev1.Pod
	err := wait.PollUntilContextTimeout(context.Background(), 5*time.Millisecond, 10*time.Second, true, func(ctx context.Context) (bool, error) {
		var err error
		pod, err = w.Client.CoreV1().Pods(w.namespace).Get(ctx, name, metav1.GetOptions{})
		return condition(pod, err), nil
	})
	if err != nil {
		w.t.Fatalf("%v: %+v", err, pod)
	}
	return pod
}

func (w *writerWorld) message(want string) func(*corev1.Pod, error) bool {
	return func(pod *corev1.Pod, err error) bool { return err == nil && pod.Status.Message == want }
}

// TestWriterKeepsOthersConditions: conditions of others stay, also when the agent does not know them yet.
func TestWriterKeepsOthersConditions(t *testing.T) {
	w := newWriterWorld(t)
	pod := w.pod("p")
	patch := []byte(`{"status":{"conditions":[{"type":"example.com/gate","status":"True"}]}}`)
	if _, err := w.Client.CoreV1().Pods(w.namespace).Patch(t.Context(), "p", types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	status := *pod.Status.DeepCopy() // of before the patch
	status.Message = "first"
	status.Conditions = append(status.Conditions, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue})
	w.writer.Set(pod, status)
	got := w.until("p", w.message("first"))
	types := map[corev1.PodConditionType]bool{}
	for _, c := range got.Status.Conditions {
		types[c.Type] = true
	}
	if !types["example.com/gate"] || !types[corev1.PodReady] {
		t.Errorf("conditions %+v", got.Status.Conditions)
	}
}

// TestWriterTakesTheNewest: of many statuses in a row the last one is what stays.
func TestWriterTakesTheNewest(t *testing.T) {
	w := newWriterWorld(t)
	pod := w.pod("p")
	for i := range 50 {
		status := *pod.Status.DeepCopy()
		status.Message = strings.Repeat("x", i+1)
		w.writer.Set(pod, status)
	}
	w.until("p", w.message(strings.Repeat("x", 50)))
}

// TestWriterDoesNotWriteWithoutNeed: an equal status makes no new version of the pod.
func TestWriterDoesNotWriteWithoutNeed(t *testing.T) {
	w := newWriterWorld(t)
	pod := w.pod("p")
	status := *pod.Status.DeepCopy()
	status.Message = "first"
	w.writer.Set(pod, status)
	written := w.until("p", w.message("first"))
	w.writer.Set(pod, status) // the agent has not seen its own write yet
	w.writer.Set(written, status)
	status.Message = "second"
	w.writer.Set(pod, status)
	w.until("p", w.message("second"))
	list, err := w.Client.CoreV1().Pods(w.namespace).Watch(t.Context(), metav1.ListOptions{ResourceVersion: pod.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer list.Stop()
	var messages []string
	for event := range list.ResultChan() {
		if p, ok := event.Object.(*corev1.Pod); ok {
			messages = append(messages, p.Status.Message)
			if p.Status.Message == "second" {
				break
			}
		}
	}
	if strings.Join(messages, " ") != "first second" {
		t.Errorf("versions of the pod: %q", messages)
	}
}

// TestWriterDelete: the last status is there before the pod goes; another pod of the same name is not touched.
func TestWriterDelete(t *testing.T) {
	w := newWriterWorld(t)
	pod := w.pod("p")
	watch, err := w.Client.CoreV1().Pods(w.namespace).Watch(t.Context(), metav1.ListOptions{ResourceVersion: pod.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	status := *pod.Status.DeepCopy()
	status.Phase = corev1.PodSucceeded
	w.writer.Delete(pod, status)
	sawPhase := false
	for event := range watch.ResultChan() {
		p, ok := event.Object.(*corev1.Pod)
		if !ok {
			t.Fatalf("watch: %+v", event.Object)
		}
		sawPhase = sawPhase || p.Status.Phase == corev1.PodSucceeded
		if event.Type == "DELETED" {
			break
		}
	}
	if !sawPhase {
		t.Error("the pod went without its last status")
	}
	successor := w.pod("p")
	old := *pod.DeepCopy()
	status.Message = "of the old pod"
	w.writer.Delete(&old, status)
	w.writer.Set(successor, func() corev1.PodStatus { s := *successor.Status.DeepCopy(); s.Message = "fine"; return s }())
	w.until("p", w.message("fine"))
}

// contested fails the first deletion as one that others got in the way of.
type contested struct {
	corev1client.PodsGetter
	failed *atomic.Bool
}

func (c contested) Pods(namespace string) corev1client.PodInterface {
	return contestedPods{c.PodsGetter.Pods(namespace), c.failed}
}

type contestedPods struct {
	corev1client.PodInterface
	failed *atomic.Bool
}

func (c contestedPods) Delete(ctx context.Context, name string, options metav1.DeleteOptions) error {
	if c.failed.CompareAndSwap(false, true) {
		return apierrors.NewConflict(corev1.Resource("pods"), name, errors.New("the object has been modified"))
	}
	return c.PodInterface.Delete(ctx, name, options)
}

// TestWriterConflict: a conflict with another writer does not leave the pod behind.
func TestWriterConflict(t *testing.T) {
	env := testenv.Shared(t)
	failed := &atomic.Bool{}
	w := newWriterWorldOn(t, contested{env.Client.CoreV1(), failed})
	pod := w.pod("p")
	w.writer.Delete(pod, pod.Status)
	w.until("p", func(_ *corev1.Pod, err error) bool { return apierrors.IsNotFound(err) })
	if !failed.Load() {
		t.Error("there was no conflict")
	}
}
