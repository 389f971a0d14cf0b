package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/controllers/testkit"
	"github.com/skiff-project/skiff/e2e/testenv"
)

var app = map[string]string{"app": "web"}

func replicaSet(name string, replicas int32) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: ptr.To(replicas),
			Selector: &metav1.LabelSelector{MatchLabels: app},
			Template: testkit.PodTemplate(app),
		},
	}
}

func livePods(ctx context.Context, env *testenv.Env, ns string) ([]corev1.Pod, error) {
	list, err := env.Client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var out []corev1.Pod
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			out = append(out, pod)
		}
	}
	return out, nil
}

func wantPods(t *testing.T, env *testenv.Env, ns string, n int) {
	t.Helper()
	testkit.Eventually(t, func(ctx context.Context) error {
		pods, err := livePods(ctx, env, ns)
		if err == nil && len(pods) != n {
			err = fmt.Errorf("%d pods, want %d", len(pods), n)
		}
		return err
	})
}

// created counts the pods that were ever made in a namespace, by their events.
func created(ctx context.Context, env *testenv.Env, ns string) (int, error) {
	events, err := env.Client.CoreV1().Events(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	n := 0
	for _, e := range events.Items {
		if e.Reason == "SuccessfulCreate" {
			n += int(max(e.Count, 1))
		}
	}
	return n, nil
}

// Conformance: "ReplicaSet should serve a basic image on each replica", "Replace
// and Patch tests" (the parts that are the controller's).
func TestReplicaSetKeepsItsNumberOfPods(t *testing.T) {
	env := start(t)
	ns := env.Namespace(t)
	testkit.Agent(t, env.Client, ns, nil)
	ctx := t.Context()
	if _, err := env.Client.AppsV1().ReplicaSets(ns).Create(ctx, replicaSet("web", 10), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	wantPods(t, env, ns, 10)
	testkit.Eventually(t, func(ctx context.Context) error {
		rs, err := env.Client.AppsV1().ReplicaSets(ns).Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if s := rs.Status; s.Replicas != 10 || s.ReadyReplicas != 10 || s.AvailableReplicas != 10 || s.FullyLabeledReplicas != 10 || s.ObservedGeneration != rs.Generation {
			return fmt.Errorf("status %+v", s)
		}
		return nil
	})

	pods, err := livePods(ctx, env, ns)
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods {
		if !strings.HasPrefix(pod.Name, "web-") || metav1.GetControllerOf(&pod) == nil {
			t.Errorf("pod %s has controller %v", pod.Name, metav1.GetControllerOf(&pod))
		}
	}
	if err := env.Client.CoreV1().Pods(ns).Delete(ctx, pods[0].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func(ctx context.Context) error {
		now, err := livePods(ctx, env, ns)
		if err != nil {
			return err
		}
		for _, pod := range now {
			if pod.UID == pods[0].UID {
				return fmt.Errorf("pod %s still there", pod.Name)
			}
		}
		if len(now) != 10 {
			return fmt.Errorf("%d pods", len(now))
		}
		return nil
	})

	scale := []byte(`{"spec":{"replicas":3}}`)
	if _, err := env.Client.AppsV1().ReplicaSets(ns).Patch(ctx, "web", types.MergePatchType, scale, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	wantPods(t, env, ns, 3)
	// No surplus pod ever came: 10 and the one replacement.
	testkit.Eventually(t, func(ctx context.Context) error {
		n, err := created(ctx, env, ns)
		if err == nil && n != 11 {
			err = fmt.Errorf("%d pods were created, want 11", n)
		}
		return err
	})
}

// Conformance: "ReplicaSet should adopt matching pods on creation and release no
// longer matching pods".
func TestReplicaSetAdoptsAndReleases(t *testing.T) {
	env := start(t)
	ns := env.Namespace(t)
	ctx := t.Context()
	template := testkit.PodTemplate(app)
	orphan, err := env.Client.CoreV1().Pods(ns).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "orphan", Labels: app}, Spec: template.Spec,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rs, err := env.Client.AppsV1().ReplicaSets(ns).Create(ctx, replicaSet("web", 1), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func(ctx context.Context) error {
		pod, err := env.Client.CoreV1().Pods(ns).Get(ctx, orphan.Name, metav1.GetOptions{})
		if err == nil && !metav1.IsControlledBy(pod, rs) {
			err = fmt.Errorf("owners %v", pod.OwnerReferences)
		}
		return err
	})
	wantPods(t, env, ns, 1)

	other := []byte(`{"metadata":{"labels":{"app":"other"}}}`)
	if _, err := env.Client.CoreV1().Pods(ns).Patch(ctx, orphan.Name, types.MergePatchType, other, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func(ctx context.Context) error {
		pod, err := env.Client.CoreV1().Pods(ns).Get(ctx, orphan.Name, metav1.GetOptions{})
		if err == nil && metav1.GetControllerOf(pod) != nil {
			err = fmt.Errorf("owners %v", pod.OwnerReferences)
		}
		return err
	})
	wantPods(t, env, ns, 2) // the released one and its replacement
}

// Conformance: "ReplicationController should test the lifecycle", "should
// release no longer matching pods" (same engine as above).
func TestReplicationController(t *testing.T) {
	env := start(t)
	ns := env.Namespace(t)
	testkit.Agent(t, env.Client, ns, nil)
	ctx := t.Context()
	template := testkit.PodTemplate(app)
	_, err := env.Client.CoreV1().ReplicationControllers(ns).Create(ctx, &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Name: "redis"},
		Spec:       corev1.ReplicationControllerSpec{Replicas: ptr.To[int32](2), Selector: app, Template: &template},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	wantPods(t, env, ns, 2)
	testkit.Eventually(t, func(ctx context.Context) error {
		rc, err := env.Client.CoreV1().ReplicationControllers(ns).Get(ctx, "redis", metav1.GetOptions{})
		if err == nil && (rc.Status.Replicas != 2 || rc.Status.AvailableReplicas != 2) {
			err = fmt.Errorf("status %+v", rc.Status)
		}
		return err
	})
	pods, err := livePods(ctx, env, ns)
	if err != nil {
		t.Fatal(err)
	}
	if err := env.Client.CoreV1().Pods(ns).Delete(ctx, pods[0].Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func(ctx context.Context) error {
		now, err := livePods(ctx, env, ns)
		if err != nil {
			return err
		}
		if len(now) != 2 || now[0].UID == pods[0].UID || now[1].UID == pods[0].UID {
			return fmt.Errorf("%d pods", len(now))
		}
		return nil
	})
}
