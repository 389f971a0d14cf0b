package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/controllers/deployment"
	"github.com/skiff-project/skiff/controllers/testkit"
	"github.com/skiff-project/skiff/e2e/testenv"
)

func newDeployment(name string, replicas int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To(replicas),
			Selector: &metav1.LabelSelector{MatchLabels: app},
			Template: testkit.PodTemplate(app),
			// What defaulting gives, so that these tests do not depend on it.
			Strategy: appsv1.DeploymentStrategy{
				Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxSurge: ptr.To(intstr.FromString("25%")), MaxUnavailable: ptr.To(intstr.FromString("25%")),
				},
			},
			RevisionHistoryLimit:    ptr.To[int32](10),
			ProgressDeadlineSeconds: ptr.To[int32](600),
		},
	}
}

func create(t *testing.T, env *testenv.Env, ns string, d *appsv1.Deployment) {
	t.Helper()
	if _, err := env.Client.AppsV1().Deployments(ns).Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func patchDeployment(t *testing.T, env *testenv.Env, ns, name, patch string) {
	t.Helper()
	if _, err := env.Client.AppsV1().Deployments(ns).Patch(t.Context(), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func image(name string) string {
	return `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"` + name + `"}]}}}}`
}

func reason(d *appsv1.Deployment, kind appsv1.DeploymentConditionType) string {
	for _, c := range d.Status.Conditions {
		if c.Type == kind {
			return c.Reason
		}
	}
	return ""
}

// complete waits until a revision is rolled out, and returns the Deployment.
func complete(t *testing.T, env *testenv.Env, ns, name, revision string) *appsv1.Deployment {
	t.Helper()
	var d *appsv1.Deployment
	testkit.Eventually(t, func(ctx context.Context) error {
		var err error
		if d, err = env.Client.AppsV1().Deployments(ns).Get(ctx, name, metav1.GetOptions{}); err != nil {
			return err
		}
		if d.Annotations[deployment.RevisionAnnotation] != revision || !deployment.Complete(d, &d.Status) ||
			reason(d, appsv1.DeploymentProgressing) != "NewReplicaSetAvailable" || reason(d, appsv1.DeploymentAvailable) != "MinimumReplicasAvailable" {
			return fmt.Errorf("revision %q, status %+v", d.Annotations[deployment.RevisionAnnotation], d.Status)
		}
		return nil
	})
	return d
}

// sets returns the ReplicaSets by the number of replicas they want.
func sets(ctx context.Context, env *testenv.Env, ns string) ([]appsv1.ReplicaSet, error) {
	list, err := env.Client.AppsV1().ReplicaSets(ns).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list.Items, func(a, b appsv1.ReplicaSet) int { return int(*b.Spec.Replicas - *a.Spec.Replicas) })
	return list.Items, nil
}

func hasEvent(t *testing.T, env *testenv.Env, ns, reason, message string) {
	t.Helper()
	testkit.Eventually(t, func(ctx context.Context) error {
		events, err := env.Client.CoreV1().Events(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		var seen []string
		for _, e := range events.Items {
			if e.Reason == reason && strings.Contains(e.Message, message) {
				return nil
			}
			seen = append(seen, e.Reason+": "+e.Message)
		}
		return fmt.Errorf("no event %s %q among %q", reason, message, seen)
	})
}

// Conformance: "RollingUpdateDeployment should delete old pods and create new
// ones", "Deployment should run the lifecycle of a Deployment".
func TestDeploymentRollsOutAndBack(t *testing.T) {
	env := start(t)
	ns := env.Namespace(t)
	testkit.Agent(t, env.Client, ns, nil)
	create(t, env, ns, newDeployment("web", 4))
	complete(t, env, ns, "web", "1")
	first, err := sets(t.Context(), env, ns)
	if err != nil || len(first) != 1 {
		t.Fatalf("%d replica sets, %v", len(first), err)
	}
	hash := first[0].Labels[appsv1.DefaultDeploymentUniqueLabelKey]
	if hash == "" || first[0].Name != "web-"+hash || first[0].Spec.Selector.MatchLabels[appsv1.DefaultDeploymentUniqueLabelKey] != hash ||
		first[0].Annotations[deployment.DesiredReplicasAnnotation] != "4" || first[0].Annotations[deployment.MaxReplicasAnnotation] != "5" {
		t.Errorf("replica set %s: labels %v, annotations %v", first[0].Name, first[0].Labels, first[0].Annotations)
	}
	hasEvent(t, env, ns, "ScalingReplicaSet", "Scaled up replica set web-"+hash+" from 0 to 4")

	// 25 % of 4: never fewer than 3 pods available, never more than 5.
	watch := watchBounds(t, env, ns, 3, 5)
	patchDeployment(t, env, ns, "web", image("example.invalid/app:2"))
	complete(t, env, ns, "web", "2")
	watch()
	wantPods(t, env, ns, 4)
	now, err := sets(t.Context(), env, ns)
	if err != nil || len(now) != 2 || *now[0].Spec.Replicas != 4 || *now[1].Spec.Replicas != 0 || now[1].UID != first[0].UID {
		t.Fatalf("after the update: %v, %v", now, err)
	}

	// Roll back as kubectl does it: put the old template back.
	patchDeployment(t, env, ns, "web", image("example.invalid/app:1"))
	complete(t, env, ns, "web", "3")
	now, err = sets(t.Context(), env, ns)
	if err != nil || len(now) != 2 || now[0].UID != first[0].UID || now[0].Annotations[deployment.RevisionHistoryAnnotation] != "1" {
		t.Fatalf("after the rollback: %v, %v", now, err)
	}
}

// watchBounds checks in the background that the numbers of available pods and of
// pods stay within bounds; the returned function ends and judges.
func watchBounds(t *testing.T, env *testenv.Env, ns string, minAvailable, most int) func() {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan string, 1)
	go func() {
		var broken string
		for ctx.Err() == nil {
			pods, err := livePods(ctx, env, ns)
			if err != nil {
				continue
			}
			ready := 0
			for _, pod := range pods {
				for _, c := range pod.Status.Conditions {
					if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
						ready++
					}
				}
			}
			if broken == "" && (ready < minAvailable || len(pods) > most) {
				broken = fmt.Sprintf("%d pods, %d of them ready; want at least %d ready and at most %d", len(pods), ready, minAvailable, most)
			}
		}
		done <- broken
	}()
	return func() {
		t.Helper()
		cancel()
		if broken := <-done; broken != "" {
			t.Error(broken)
		}
	}
}

// Conformance: "RecreateDeployment should delete old pods and create new ones".
func TestDeploymentRecreate(t *testing.T) {
	env := start(t)
	ns := env.Namespace(t)
	var overlap atomic.Bool
	testkit.Agent(t, env.Client, ns, func(pod *corev1.Pod) bool {
		pods, err := env.Client.CoreV1().Pods(ns).List(context.Background(), metav1.ListOptions{})
		if err == nil {
			for _, other := range pods.Items {
				if other.Spec.Containers[0].Image != pod.Spec.Containers[0].Image {
					overlap.Store(true)
				}
			}
		}
		return false
	})
	d := newDeployment("web", 3)
	d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
	create(t, env, ns, d)
	complete(t, env, ns, "web", "1")
	patchDeployment(t, env, ns, "web", image("example.invalid/app:2"))
	complete(t, env, ns, "web", "2")
	if overlap.Load() {
		t.Error("old and new pods existed at the same time")
	}
}

func TestDeploymentPause(t *testing.T) {
	env := start(t)
	ns := env.Namespace(t)
	testkit.Agent(t, env.Client, ns, nil)
	create(t, env, ns, newDeployment("web", 2))
	complete(t, env, ns, "web", "1")
	patchDeployment(t, env, ns, "web", `{"spec":{"paused":true}}`)
	testkit.Eventually(t, func(ctx context.Context) error {
		d, err := env.Client.AppsV1().Deployments(ns).Get(ctx, "web", metav1.GetOptions{})
		if err == nil && reason(d, appsv1.DeploymentProgressing) != "DeploymentPaused" {
			err = fmt.Errorf("conditions %v", d.Status.Conditions)
		}
		return err
	})
	// A paused Deployment still follows its size, but not its template.
	patchDeployment(t, env, ns, "web", image("example.invalid/app:2"))
	patchDeployment(t, env, ns, "web", `{"spec":{"replicas":5}}`)
	testkit.Eventually(t, func(ctx context.Context) error {
		d, err := env.Client.AppsV1().Deployments(ns).Get(ctx, "web", metav1.GetOptions{})
		if err == nil && (d.Status.ReadyReplicas != 5 || d.Status.ObservedGeneration != d.Generation || d.Status.UpdatedReplicas != 0) {
			err = fmt.Errorf("status %+v", d.Status)
		}
		return err
	})
	if now, err := sets(t.Context(), env, ns); err != nil || len(now) != 1 {
		t.Errorf("%d replica sets while paused, %v", len(now), err)
	}
	patchDeployment(t, env, ns, "web", `{"spec":{"paused":false}}`)
	complete(t, env, ns, "web", "2")
}

// Conformance: "deployment should delete old replica sets".
func TestDeploymentHistoryLimit(t *testing.T) {
	env := start(t)
	ns := env.Namespace(t)
	testkit.Agent(t, env.Client, ns, nil)
	d := newDeployment("web", 1)
	d.Spec.RevisionHistoryLimit = ptr.To[int32](1)
	create(t, env, ns, d)
	for i := 1; i <= 4; i++ {
		complete(t, env, ns, "web", fmt.Sprint(i))
		patchDeployment(t, env, ns, "web", image(fmt.Sprintf("example.invalid/app:%d", i+1)))
	}
	complete(t, env, ns, "web", "5")
	testkit.Eventually(t, func(ctx context.Context) error {
		now, err := sets(ctx, env, ns)
		if err == nil && len(now) != 2 {
			err = fmt.Errorf("%d replica sets, want the current and one old", len(now))
		}
		return err
	})
}

// Conformance: "deployment should support rollover".
func TestDeploymentRolloverAndDeadline(t *testing.T) {
	env := start(t)
	ns := env.Namespace(t)
	testkit.Agent(t, env.Client, ns, func(pod *corev1.Pod) bool {
		return strings.HasSuffix(pod.Spec.Containers[0].Image, "bad")
	})
	d := newDeployment("web", 3)
	d.Spec.ProgressDeadlineSeconds = ptr.To[int32](1)
	create(t, env, ns, d)
	complete(t, env, ns, "web", "1")
	patchDeployment(t, env, ns, "web", image("example.invalid/app:bad"))
	testkit.Eventually(t, func(ctx context.Context) error {
		d, err := env.Client.AppsV1().Deployments(ns).Get(ctx, "web", metav1.GetOptions{})
		if err == nil && reason(d, appsv1.DeploymentProgressing) != "ProgressDeadlineExceeded" {
			err = fmt.Errorf("conditions %v", d.Status.Conditions)
		}
		if err == nil && d.Status.AvailableReplicas < 3 {
			err = fmt.Errorf("%d available", d.Status.AvailableReplicas)
		}
		return err
	})
	patchDeployment(t, env, ns, "web", image("example.invalid/app:good"))
	complete(t, env, ns, "web", "3")
	wantPods(t, env, ns, 3)
}
