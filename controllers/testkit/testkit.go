// Package testkit helps the tests of controllers: it runs them against our own
// API server and stands in for the node agent, which is not there.
package testkit

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/controllers"
)

// Timeout is how long Eventually waits; test machines can be very busy.
const Timeout = 40 * time.Second

// addresses counts the pod addresses given out.
var addresses atomic.Uint32

// Run runs the controllers until the test ends.
func Run(t testing.TB, cfg controllers.Config) {
	t.Helper()
	m, err := controllers.New(cfg)
	if err != nil {
		t.Fatalf("making the controllers: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("controllers ended with: %v", err)
		}
	})
	select {
	case <-m.Ready():
	case err := <-done:
		done <- nil
		t.Fatalf("controllers did not start: %v", err)
	case <-time.After(Timeout):
		t.Fatal("controllers are not ready in time")
	}
}

// Eventually waits until check returns nil, and fails with its last error.
func Eventually(t testing.TB, check func(ctx context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(context.Background(), 20*time.Millisecond, Timeout, true, func(ctx context.Context) (bool, error) {
		err := check(ctx)
		if ctx.Err() == nil && !apierrors.IsTimeout(err) {
			last = err // and not that the time was up during a request
		}
		return err == nil, nil
	})
	if err != nil {
		t.Fatalf("not in time: %v", last)
	}
}

// Agent plays the node agent: it makes every pod of a namespace that is not
// being deleted Running, and Ready unless unready says otherwise, and removes
// those that are being deleted. It runs until the test ends.
func Agent(t testing.TB, client kubernetes.Interface, namespace string, unready func(*corev1.Pod) bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = wait.PollUntilContextCancel(ctx, 10*time.Millisecond, true, func(ctx context.Context) (bool, error) {
			pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
			if err != nil {
				return false, nil //nolint:nilerr // the server may be on its way out
			}
			for i := range pods.Items {
				act(ctx, client, &pods.Items[i], unready)
			}
			return false, nil
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
}

func act(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod, unready func(*corev1.Pod) bool) {
	if pod.DeletionTimestamp != nil {
		_ = client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: ptr.To[int64](0), Preconditions: &metav1.Preconditions{UID: &pod.UID},
		})
		return
	}
	if pod.Status.Phase != corev1.PodPending && pod.Status.Phase != "" {
		return
	}
	SetReady(pod, unready == nil || !unready(pod))
	// Any address will do, as long as each pod has its own.
	n := addresses.Add(1)
	pod.Status.PodIP = netip.AddrFrom4([4]byte{10, 244, byte(n >> 8), byte(n)}).String()
	pod.Status.PodIPs = []corev1.PodIP{{IP: pod.Status.PodIP}}
	_, _ = client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
}

// SetReady gives a pod the status of a running one.
func SetReady(pod *corev1.Pod, ready bool) {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.Now()}}
}

// PodTemplate returns a small valid template with those labels.
func PodTemplate(labels map[string]string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: ptr.To[int64](1),
			Containers:                    []corev1.Container{{Name: "main", Image: "example.invalid/app:1"}},
		},
	}
}
