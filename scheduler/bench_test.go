package scheduler_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/skiff-project/skiff/e2e/testenv"
	"github.com/skiff-project/skiff/scheduler"
)

// BenchmarkScheduling places 1,000 waiting pods on 100 nodes of a real API server,
// from the scheduler's start to the last binding. A pass takes seconds: run it
// with -benchtime=1x.
func BenchmarkScheduling(b *testing.B) {
	const nodes, pods = 100, 1000
	env := testenv.Start(b)
	for i := range nodes {
		benchNode(b, env, fmt.Sprintf("bench-%03d", i))
	}
	var spent time.Duration
	for b.Loop() {
		b.StopTimer()
		ns := benchPods(b, env, pods)
		b.StartTimer()
		began := time.Now()
		stop := benchStart(b, env)
		waitForBindings(b, env, ns)
		spent += time.Since(began)
		b.StopTimer()
		stop()
		removePods(b, env, ns)
		b.StartTimer()
	}
	b.ReportMetric(float64(pods*b.N)/spent.Seconds(), "pods/s")
}

func benchNode(b *testing.B, env *testenv.Env, name string) {
	b.Helper()
	api := env.Client.CoreV1().Nodes()
	node, err := api.Create(b.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		b.Fatalf("creating node %s: %v", name, err)
	}
	node.Spec.Taints = nil // not-ready, which nobody else takes off here
	if node, err = api.Update(b.Context(), node, metav1.UpdateOptions{}); err != nil {
		b.Fatalf("taking the taint off node %s: %v", name, err)
	}
	node.Status.Allocatable = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("4"), corev1.ResourceMemory: resource.MustParse("8Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	node.Status.Capacity = node.Status.Allocatable
	if _, err := api.UpdateStatus(b.Context(), node, metav1.UpdateOptions{}); err != nil {
		b.Fatalf("filling node %s: %v", name, err)
	}
}

// benchPods creates the pods in a namespace of their own and returns its name.
func benchPods(b *testing.B, env *testenv.Env, n int) string {
	b.Helper()
	ns := env.Namespace(b)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := env.Client.CoreV1().ServiceAccounts(ns).Create(b.Context(), account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		b.Fatalf("creating the service account: %v", err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "p-"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
		}}}},
	}
	for range n {
		if _, err := env.Client.CoreV1().Pods(ns).Create(b.Context(), pod, metav1.CreateOptions{}); err != nil {
			b.Fatalf("creating a pod: %v", err)
		}
	}
	return ns
}

func benchStart(b *testing.B, env *testenv.Env) (stop func()) {
	b.Helper()
	s, err := scheduler.New(scheduler.Config{RESTConfig: env.ConfigFor("system:kube-scheduler")})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			b.Errorf("the scheduler ended with: %v", err)
		}
	}
}

// waitForBindings waits until no pod of the namespace is without a node. The
// server filters, so that waiting costs next to nothing.
func waitForBindings(b *testing.B, env *testenv.Env, ns string) {
	b.Helper()
	unbound := metav1.ListOptions{FieldSelector: "spec.nodeName=", Limit: 1, ResourceVersion: "0"}
	err := wait.PollUntilContextTimeout(b.Context(), 20*time.Millisecond, 5*time.Minute, true, func(ctx context.Context) (bool, error) {
		left, err := env.Client.CoreV1().Pods(ns).List(ctx, unbound)
		return err == nil && len(left.Items) == 0, err
	})
	if err != nil {
		b.Fatalf("waiting for the bindings: %v", err)
	}
}

func removePods(b *testing.B, env *testenv.Env, ns string) {
	b.Helper()
	now := metav1.DeleteOptions{GracePeriodSeconds: new(int64)}
	if err := env.Client.CoreV1().Pods(ns).DeleteCollection(b.Context(), now, metav1.ListOptions{}); err != nil {
		b.Fatalf("deleting the pods: %v", err)
	}
}
