package pods

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/volumes"
)

func sleeper() corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Command: []string{"sleep"}}}}
}

// Conformance: "Pods should be submitted and removed", "Pods should get a host IP".
func TestLife(t *testing.T) {
	w := newWorld(t)
	w.create("p", sleeper())
	pod := w.until("p", "it is ready", ready)
	if pod.Status.Phase != corev1.PodRunning || pod.Status.PodIP != "10.244.0.1" || pod.Status.HostIP != "192.0.2.1" || pod.Status.StartTime == nil ||
		pod.Status.QOSClass != corev1.PodQOSBestEffort || pod.Status.ObservedGeneration != pod.Generation {
		t.Errorf("status %+v", pod.Status)
	}
	conditions := map[corev1.PodConditionType]corev1.ConditionStatus{}
	for _, c := range pod.Status.Conditions {
		conditions[c.Type] = c.Status
	}
	for _, want := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled} {
		if conditions[want] != corev1.ConditionTrue {
			t.Errorf("condition %s is %q", want, conditions[want])
		}
	}
	want := []string{
		`Normal Pulled: Container image "app:1" already present on machine and can be accessed by the pod`,
		"Normal Created: Container created", "Normal Started: Container started",
	}
	if diff := cmp.Diff(want, w.events.all()); diff != "" {
		t.Error(diff)
	}
	w.delete("p", 30)
	w.untilGone("p")
	w.expectEvent("Normal Killing: Stopping container app")
}

// TestCrashLoop sees kube's delays: none, 10 s, doubling up to 5 minutes.
func TestCrashLoop(t *testing.T) {
	w := newWorld(t)
	w.create("p", corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Command: []string{"exit", "3"}}}})
	for i, delay := range []string{"10s", "20s", "40s", "1m20s", "2m40s", "5m0s", "5m0s"} {
		pod := w.until("p", "it backs off for "+delay, func(pod *corev1.Pod) bool {
			return waitingFor("CrashLoopBackOff")(pod) && pod.Status.ContainerStatuses[0].RestartCount == int32(i+1)
		})
		s := pod.Status.ContainerStatuses[0]
		want := fmt.Sprintf("back-off %s restarting failed container=app pod=p_%s(%s)", delay, w.namespace, pod.UID)
		if s.State.Waiting.Message != want {
			t.Fatalf("restart %d: message %q, want %q", i+1, s.State.Waiting.Message, want)
		}
		if last := s.LastTerminationState.Terminated; last == nil || last.ExitCode != 3 || last.Reason != "Error" {
			t.Errorf("restart %d: last state %+v", i+1, s.LastTerminationState)
		}
		if pod.Status.Phase != corev1.PodRunning {
			t.Errorf("restart %d: phase %s", i+1, pod.Status.Phase)
		}
		ended := w.container(pod.UID, "app").FinishedAt
		duration, err := time.ParseDuration(delay)
		w.must(err)
		w.clock.Step(duration)
		w.eventually("it is restarted", func(context.Context) (bool, error) { return w.container(pod.UID, "app").Attempt == i+2, nil })
		if began := w.container(pod.UID, "app").StartedAt; began.Sub(ended) < duration {
			t.Errorf("restart %d came after %v, want %v", i+2, began.Sub(ended), duration)
		}
	}
	w.expectEvent("Warning BackOff: Back-off restarting failed container app in pod " + podName(w.until("p", "", func(*corev1.Pod) bool { return true })))
	// The last dead container stays for logs --previous, no more.
	pod := w.until("p", "", func(*corev1.Pod) bool { return true })
	w.eventually("old runs are removed", func(ctx context.Context) (bool, error) {
		observed, err := w.engine.GetPod(ctx, string(pod.UID))
		return len(observed.Containers) <= keepRuns, err
	})
}

func TestImagePullBackOffAndMended(t *testing.T) {
	w := newWorld(t)
	w.create("p", corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "missing:1", Command: []string{"sleep"}}}})
	w.until("p", "the pull fails", waitingFor("ErrImagePull"))
	w.clock.Step(pullRetry)
	pod := w.until("p", "it backs off", waitingFor("ImagePullBackOff"))
	if pod.Status.Phase != corev1.PodPending {
		t.Errorf("phase %s", pod.Status.Phase)
	}
	w.expectEvent("Warning Failed: Error: ImagePullBackOff")
	// As kubectl set image does.
	patch := []byte(`{"spec":{"containers":[{"name":"app","image":"app:1"}]}}`)
	_, err := w.Client.CoreV1().Pods(w.namespace).Patch(t.Context(), "p", types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	w.must(err)
	w.until("p", "it runs", ready)
}

func TestMissingConfigMap(t *testing.T) {
	w := newWorld(t)
	spec := sleeper()
	spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "later"}}}}
	w.create("p", spec)
	pod := w.until("p", "it waits", waitingFor("CreateContainerConfigError"))
	if got := pod.Status.ContainerStatuses[0].State.Waiting.Message; got != `configmap "later" not found` {
		t.Errorf("message %q", got)
	}
	w.expectEvent(`Warning Failed: Error: configmap "later" not found`)
	_, err := w.Client.CoreV1().ConfigMaps(w.namespace).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "later"}}, metav1.CreateOptions{})
	w.must(err)
	w.until("p", "it runs at once", ready) // the clock stands still
}

func TestMissingCommand(t *testing.T) {
	w := newWorld(t)
	w.create("p", corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Command: []string{"nosuch"}}}})
	pod := w.until("p", "it cannot be run", func(pod *corev1.Pod) bool {
		return waitingFor("CrashLoopBackOff")(pod) || waitingFor("RunContainerError")(pod)
	})
	if last := pod.Status.ContainerStatuses[0].LastTerminationState.Terminated; last == nil || last.ExitCode != 128 || last.Reason != "StartError" {
		t.Errorf("last state %+v", last)
	}
}

func TestFailedMount(t *testing.T) {
	w := newWorld(t)
	w.volumes.setFail(errors.Join(&volumes.SetupError{Volume: "data", Err: errors.New(`configmap "x" not found`)}))
	w.create("p", sleeper())
	w.expectEvent(`Warning FailedMount: MountVolume.SetUp failed for volume "data" : configmap "x" not found`)
	pod := w.until("p", "its status is there", waitingFor("ContainerCreating"))
	if pod.Status.Phase != corev1.PodPending {
		t.Errorf("phase %s", pod.Status.Phase)
	}
	w.volumes.setFail(nil)
	w.clock.Step(setupRetry)
	w.until("p", "it runs", ready)
}

func TestNetworkNotReady(t *testing.T) {
	w := newWorld(t)
	w.network.setDown(true)
	w.create("p", sleeper())
	w.expectEvent("Warning NetworkNotReady: network is not ready: container runtime network not ready: NetworkReady=false " +
		"reason:NetworkPluginNotReady message:docker: network plugin is not ready: cni plugin not initialized")
	w.network.setDown(false)
	w.manager.WakeAll()
	w.until("p", "it runs at once", ready)
}

// Conformance: "Probing container should be restarted with a exec liveness probe",
// "Probing container should have monotonically increasing restart count".
func TestLivenessAndPreStop(t *testing.T) {
	w := newWorld(t)
	spec := sleeper()
	spec.Containers[0].LivenessProbe = &corev1.Probe{FailureThreshold: 1, PeriodSeconds: 1, TimeoutSeconds: 1, ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"exit", "1"}}}}
	spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"echo", "bye"}}}}
	w.create("p", spec)
	w.eventually("the container is restarted", func(ctx context.Context) (bool, error) {
		w.clock.Step(time.Second)
		pod, err := w.Client.CoreV1().Pods(w.namespace).Get(ctx, "p", metav1.GetOptions{})
		return err == nil && len(pod.Status.ContainerStatuses) == 1 && pod.Status.ContainerStatuses[0].RestartCount > 0, err
	})
	w.expectEvent("Normal Killing: Container app failed liveness probe, will be restarted")
	calls := w.engine.Calls()
	hook, stop := slices.Index(calls, "ExecSync app echo bye"), slices.Index(calls, "StopContainer app")
	if hook < 0 || stop < hook {
		t.Errorf("the preStop hook did not run before the stop: %q", calls)
	}
}

func TestReadinessGatesTraffic(t *testing.T) {
	w := newWorld(t)
	spec := sleeper()
	spec.Containers[0].ReadinessProbe = &corev1.Probe{InitialDelaySeconds: 5, PeriodSeconds: 1, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 1,
		ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"echo", "ok"}}}}
	w.create("p", spec)
	pod := w.until("p", "it runs", inPhase(corev1.PodRunning))
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && (c.Reason != "ContainersNotReady" || c.Message != "containers with unready status: [app]") {
			t.Errorf("condition %+v", c)
		}
	}
	w.clock.Step(5 * time.Second)
	w.until("p", "it is ready", ready)
}

// TestGrace: a container that ignores SIGTERM ends with the grace period, and at
// once when a second delete shortens it.
func TestGrace(t *testing.T) {
	w := newWorld(t)
	w.create("p", corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Command: []string{"stubborn"}}}})
	pod := w.until("p", "it is ready", ready)
	w.delete("p", 300)
	w.expectEvent("Normal Killing: Stopping container app")
	w.eventually("the stop was sent", func(context.Context) (bool, error) {
		return slices.Contains(w.engine.Calls(), "StopContainer app"), nil
	})
	if c := w.container(pod.UID, "app"); c.State != runtime.StateRunning {
		t.Fatalf("it ended before its time: %+v", c)
	}
	w.delete("p", 1)
	w.eventually("the pod is gone", func(ctx context.Context) (bool, error) {
		w.clock.Step(100 * time.Millisecond)
		list, err := w.Client.CoreV1().Pods(w.namespace).List(ctx, metav1.ListOptions{})
		return len(list.Items) == 0, err
	})
}

func TestForcedDelete(t *testing.T) {
	w := newWorld(t)
	w.create("p", sleeper())
	pod := w.until("p", "it is ready", ready)
	w.delete("p", 0)
	w.eventually("the engine has nothing of it", func(ctx context.Context) (bool, error) {
		w.clock.Step(time.Second)
		observed, err := w.engine.GetPod(ctx, string(pod.UID))
		return len(observed.Containers)+len(observed.Sandboxes) == 0, err
	})
}

// Conformance: "InitContainer should invoke init containers on a RestartNever pod".
func TestEnds(t *testing.T) {
	exit := func(code string) []corev1.Container {
		return []corev1.Container{{Name: "app", Command: []string{"exit", code}}}
	}
	tests := []struct {
		name   string
		spec   corev1.PodSpec
		phase  corev1.PodPhase
		reason string
	}{
		{"succeeds", corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, InitContainers: []corev1.Container{{Name: "init", Command: []string{"exit", "0"}}}, Containers: exit("0")}, corev1.PodSucceeded, "PodCompleted"},
		{"fails", corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: exit("1")}, corev1.PodFailed, "PodFailed"},
		{"fails-in-init", corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, InitContainers: []corev1.Container{{Name: "init", Command: []string{"exit", "1"}}}, Containers: exit("0")}, corev1.PodFailed, "PodFailed"},
		{"succeeds-on-failure", corev1.PodSpec{RestartPolicy: corev1.RestartPolicyOnFailure, Containers: exit("0")}, corev1.PodSucceeded, "PodCompleted"},
	}
	w := newWorld(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w.create(test.name, test.spec)
			pod := w.until(test.name, "it ends", func(pod *corev1.Pod) bool { return inPhase(corev1.PodSucceeded)(pod) || inPhase(corev1.PodFailed)(pod) })
			if pod.Status.Phase != test.phase {
				t.Errorf("phase %s, want %s", pod.Status.Phase, test.phase)
			}
			for _, c := range pod.Status.Conditions {
				if c.Type == corev1.PodReady && (c.Status != corev1.ConditionFalse || c.Reason != test.reason) {
					t.Errorf("condition %+v, want reason %s", c, test.reason)
				}
			}
			w.eventually("its sandbox is stopped", func(ctx context.Context) (bool, error) {
				observed, err := w.engine.GetPod(ctx, string(pod.UID))
				return err == nil && observed.Sandbox().State != runtime.StateRunning, err
			})
		})
	}
}

func TestDeadline(t *testing.T) {
	w := newWorld(t)
	spec := sleeper()
	spec.ActiveDeadlineSeconds = ptr.To[int64](5)
	w.create("p", spec)
	w.until("p", "it is ready", ready)
	w.clock.Step(6 * time.Second)
	pod := w.until("p", "it fails", inPhase(corev1.PodFailed))
	if pod.Status.Reason != "DeadlineExceeded" || pod.Status.Message != "Pod was active on the node longer than the specified deadline" {
		t.Errorf("status %+v", pod.Status)
	}
}

func TestRejected(t *testing.T) {
	w := newWorld(t)
	spec := sleeper()
	spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("3")}
	w.create("p", spec)
	pod := w.until("p", "it fails", inPhase(corev1.PodFailed))
	w.expectEvent("Warning OutOfcpu: Node didn't have enough resource: cpu, requested: 3000, used: 0, capacity: 2000")
	if pod.Status.Reason != "OutOfcpu" || pod.Status.Message != "Pod was rejected: Node didn't have enough resource: cpu, requested: 3000, used: 0, capacity: 2000" {
		t.Errorf("status %+v", pod.Status)
	}
}

// TestRejectedTogether: pods that come at the same time do not both get what is there for one.
func TestRejectedTogether(t *testing.T) {
	w := newWorld(t)
	var pods []*corev1.Pod
	const count = 8
	for i := range count {
		spec := sleeper()
		spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1500m")}
		pods = append(pods, w.create(fmt.Sprintf("p%d", i), spec))
	}
	running, failed := 0, 0
	for _, pod := range pods {
		w.until(pod.Name, "it is decided", func(pod *corev1.Pod) bool {
			switch {
			case ready(pod):
				running++
			case pod.Status.Phase == corev1.PodFailed:
				failed++
			default:
				return false
			}
			return true
		})
	}
	if running != 1 || failed != count-1 {
		t.Errorf("%d run and %d were rejected", running, failed)
	}
}

// TestSandboxDies: everything is restarted in a new one, with another address.
func TestSandboxDies(t *testing.T) {
	w := newWorld(t)
	w.create("p", sleeper())
	pod := w.until("p", "it is ready", ready)
	observed, err := w.engine.GetPod(t.Context(), string(pod.UID))
	w.must(err)
	w.engine.KillSandbox(observed.Sandbox().ID)
	w.until("p", "it runs in a new one", func(pod *corev1.Pod) bool {
		return ready(pod) && pod.Status.PodIP == "10.244.0.2" && pod.Status.ContainerStatuses[0].RestartCount == 1
	})
}

// TestEngineRestart: an engine that comes back without its containers gets them again.
func TestEngineRestart(t *testing.T) {
	w := newWorld(t)
	w.create("p", sleeper())
	w.until("p", "it is ready", ready)
	w.engine.Restart(false)
	w.until("p", "it is restarted", func(pod *corev1.Pod) bool { return ready(pod) && pod.Status.ContainerStatuses[0].RestartCount == 1 })
}

// TestAgentRestart: nothing that runs is touched, and what has ended meanwhile is seen.
func TestAgentRestart(t *testing.T) {
	w := newWorld(t)
	w.create("stays", sleeper())
	w.create("dies", sleeper())
	w.create("orphan", sleeper())
	stays, dies := w.until("stays", "it is ready", ready), w.until("dies", "it is ready", ready)
	orphan := w.until("orphan", "it is ready", ready)
	before := w.container(stays.UID, "app").ID
	w.stop()
	w.engine.Exit(w.container(dies.UID, "app").ID, 1, runtime.ReasonError)
	w.delete("orphan", 0)
	w.start()
	w.until("dies", "it is restarted", func(pod *corev1.Pod) bool { return ready(pod) && pod.Status.ContainerStatuses[0].RestartCount == 1 })
	w.eventually("the orphan is removed", func(ctx context.Context) (bool, error) {
		w.clock.Step(time.Second)
		observed, err := w.engine.GetPod(ctx, string(orphan.UID))
		return len(observed.Containers)+len(observed.Sandboxes) == 0, err
	})
	after := w.container(stays.UID, "app")
	if after.ID != before || after.State != runtime.StateRunning {
		t.Errorf("the container did not stay: %+v", after)
	}
	if pod := w.until("stays", "", func(*corev1.Pod) bool { return true }); pod.Status.PodIP != stays.Status.PodIP || !ready(pod) {
		t.Errorf("status %+v", pod.Status)
	}
}

// Conformance: "Container Lifecycle Hook ... should execute poststart exec hook properly".
func TestPostStart(t *testing.T) {
	w := newWorld(t)
	spec := sleeper()
	spec.Containers[0].Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"exit", "1"}}}}
	w.create("p", spec)
	w.expectEvent("Warning FailedPostStartHook: PostStartHook failed")
	w.until("p", "it is restarted", func(pod *corev1.Pod) bool {
		return len(pod.Status.ContainerStatuses) == 1 && pod.Status.ContainerStatuses[0].RestartCount > 0
	})
	if !slices.Contains(w.engine.Calls(), "ExecSync app exit 1") {
		t.Error("the hook was not run")
	}
}

func TestSandboxFails(t *testing.T) {
	w := newWorld(t)
	w.engine.Fail("CreateSandbox", errors.New("no space left on device"))
	w.create("p", sleeper())
	w.expectEvent("Warning FailedCreatePodSandBox: Failed to create pod sandbox: no space left on device")
	w.clock.Step(sandboxRetry)
	w.until("p", "it runs", ready)
}

// TestStopFails: a container that cannot be stopped is told of, and tried again after a while.
func TestStopFails(t *testing.T) {
	w := newWorld(t)
	w.create("p", sleeper())
	w.until("p", "it is ready", ready)
	w.engine.Fail("StopContainer", errors.New("device or resource busy"))
	w.delete("p", 30)
	w.expectEvent("Warning FailedKillPod: error killing pod: device or resource busy")
	w.clock.Step(killRetry)
	w.untilGone("p")
}

// TestDeadlineOfTheEnded: a pod that has succeeded in time does not exceed its deadline later.
func TestDeadlineOfTheEnded(t *testing.T) {
	w := newWorld(t)
	w.create("p", corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, ActiveDeadlineSeconds: ptr.To[int64](5),
		Containers: []corev1.Container{{Name: "app", Command: []string{"exit", "0"}}},
	})
	w.until("p", "it succeeds", inPhase(corev1.PodSucceeded))
	w.clock.Step(6 * time.Second)
	w.delete("p", 1) // the worker looks at it once more
	w.untilGone("p")
	for _, event := range w.events.all() {
		if strings.Contains(event, "DeadlineExceeded") {
			t.Error(event)
		}
	}
}

// TestEngineCannotBeListed: what was missed while the engine was away is seen as soon as it can be listed.
func TestEngineCannotBeListed(t *testing.T) {
	w := newWorld(t)
	w.create("p", sleeper())
	w.until("p", "it is ready", ready)
	w.engine.Fail("ListPods", errors.New("the engine is starting"))
	w.engine.Restart(false)
	w.eventually("it is restarted", func(ctx context.Context) (bool, error) {
		w.clock.Step(adoptRetry / 4)
		pod, err := w.Client.CoreV1().Pods(w.namespace).Get(ctx, "p", metav1.GetOptions{})
		return err == nil && ready(pod) && pod.Status.ContainerStatuses[0].RestartCount == 1, err
	})
}
