package pods

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// summary renders a plan in one line.
func summary(p Plan) string {
	var parts []string
	if p.CreateSandbox {
		parts = append(parts, fmt.Sprintf("sandbox %d", p.SandboxAttempt))
	}
	for _, s := range p.Start {
		parts = append(parts, fmt.Sprintf("start %s %d", s.Spec.Name, s.Attempt))
	}
	for _, w := range p.Waiting {
		parts = append(parts, fmt.Sprintf("wait %s %s", w.Spec.Name, w.Delay))
	}
	for _, k := range p.Kill {
		parts = append(parts, fmt.Sprintf("kill %s (%s)", k.ID, k.Message))
	}
	for _, id := range p.StopSandboxes {
		parts = append(parts, "stop "+id)
	}
	for _, id := range slices.Concat(p.Remove, p.RemoveSandboxes) {
		parts = append(parts, "remove "+id)
	}
	if p.Ended {
		parts = append(parts, "ended")
	}
	if p.Over {
		parts = append(parts, "over")
	}
	return strings.Join(parts, ", ")
}

// observe reads "s0 running; app#2 exited 1; init:setup#0 exited 0; app#1@s0 running": newest first, in the newest sandbox unless @ names another.
func observe(text string) runtime.Pod {
	var pod runtime.Pod
	for _, part := range strings.Split(text, ";") {
		words := strings.Fields(part)
		if len(words) == 0 {
			continue
		}
		state := map[string]runtime.State{"running": runtime.StateRunning, "exited": runtime.StateExited, "created": runtime.StateCreated, "unknown": runtime.StateUnknown}[words[1]]
		name, attempt, isContainer := strings.Cut(words[0], "#")
		if !isContainer {
			number := 0
			fmt.Sscanf(name, "s%d", &number)
			pod.Sandboxes = append(pod.Sandboxes, runtime.Sandbox{ID: name, Attempt: number, State: state})
			continue
		}
		c := runtime.Container{Kind: runtime.KindRegular, State: state, ID: words[0]}
		attempt, sandbox, other := strings.Cut(attempt, "@")
		if c.SandboxID = sandbox; !other && len(pod.Sandboxes) > 0 {
			c.SandboxID = pod.Sandboxes[0].ID
		}
		if rest, ok := strings.CutPrefix(name, "init:"); ok {
			c.Kind, name = runtime.KindInit, rest
		}
		if rest, ok := strings.CutPrefix(name, "debug:"); ok {
			c.Kind, name = runtime.KindEphemeral, rest
		}
		c.Name = name
		c.SpecHash = SpecHash(&corev1.Container{Name: name, Image: "i"})
		fmt.Sscanf(attempt, "%d", &c.Attempt)
		if len(words) > 2 {
			fmt.Sscanf(words[2], "%d", &c.ExitCode)
		}
		pod.Containers = append(pod.Containers, c)
	}
	return pod
}

func podWith(policy corev1.RestartPolicy, inits, containers []string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", UID: "u"}, Spec: corev1.PodSpec{RestartPolicy: policy}}
	for _, name := range inits {
		c := corev1.Container{Name: name, Image: "i"}
		if strings.HasPrefix(name, "side") {
			c.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
		}
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, c)
	}
	for _, name := range containers {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: name, Image: "i"})
	}
	return pod
}

const (
	always = corev1.RestartPolicyAlways
	failed = corev1.RestartPolicyOnFailure
	never  = corev1.RestartPolicyNever
)

type planCase struct {
	name      string
	policy    corev1.RestartPolicy
	inits     string
	observed  string
	stop      bool
	gone      bool
	busy      string
	lost      bool
	notReady  bool
	unstarted string // containers whose startup probe has not succeeded
	unhealthy string
	wait      string // containers that must wait
	status    []corev1.ContainerStatus
	change    func(*corev1.Pod)
	want      string
}

func (c planCase) input() Input {
	if c.policy == "" {
		c.policy = always
	}
	pod := podWith(c.policy, strings.Fields(c.inits), []string{"a", "b"})
	pod.Status.ContainerStatuses = c.status
	if c.change != nil {
		c.change(pod)
	}
	in := Input{
		Pod: pod, Observed: observe(c.observed), Stop: c.stop, SandboxLost: c.lost, Ready: !c.notReady, Busy: map[string]bool{},
		Started: func(spec *corev1.Container, _ *runtime.Container) bool {
			return !slices.Contains(strings.Fields(c.unstarted), spec.Name)
		},
		Unhealthy: func(spec *corev1.Container, _ *runtime.Container) string {
			if slices.Contains(strings.Fields(c.unhealthy), spec.Name) {
				return "Container " + spec.Name + " failed liveness probe"
			}
			return ""
		},
		Wait: func(spec *corev1.Container, _ *runtime.Container) time.Duration {
			if slices.Contains(strings.Fields(c.wait), spec.Name) {
				return 10 * time.Second
			}
			return 0
		},
	}
	for _, name := range strings.Fields(c.busy) {
		if name == "sandbox" {
			name = sandboxKey
		}
		in.Busy[name] = true
	}
	if c.gone {
		in.Pod = nil
	}
	return in
}

// Conformance: "InitContainer should invoke init containers on a RestartNever pod", "... on a RestartAlways pod",
// "... should not start app containers if init containers fail on a RestartAlways pod",
// "... should not start app containers and fail the pod if init containers fail on a RestartNever pod",
// "Probing container should be restarted ...", "Pods should ... be submitted and removed".
var planCases = []planCase{
	{name: "new", want: "sandbox 0"},
	{name: "sandbox under way", busy: "sandbox"},
	{name: "sandbox up, volumes not", observed: "s0 running", notReady: true},
	{name: "all containers together", observed: "s0 running", want: "start a 0, start b 0"},
	{name: "one is being started", observed: "s0 running", busy: "a", want: "start b 0"},
	{name: "all is well", observed: "s0 running; a#0 running; b#0 running"},
	{name: "created but never started", observed: "s0 running; a#0 created; b#0 running", want: "start a 0"},
	{name: "crashed, always", observed: "s0 running; a#3 exited 1; b#0 running", want: "start a 4"},
	{name: "completed, always", observed: "s0 running; a#0 exited 0; b#0 running", want: "start a 1"},
	{name: "in backoff", observed: "s0 running; a#3 exited 1; b#0 running", wait: "a", want: "wait a 10s"},
	{name: "crashed, on failure", policy: failed, observed: "s0 running; a#0 exited 1; b#0 running", want: "start a 1"},
	{name: "completed, on failure", policy: failed, observed: "s0 running; a#0 exited 0; b#0 running"},
	{name: "all completed, on failure", policy: failed, observed: "s0 running; a#0 exited 0; b#0 exited 0", want: "stop s0, ended"},
	{name: "crashed, never", policy: never, observed: "s0 running; a#0 exited 1; b#0 running"},
	{name: "all ended, never", policy: never, observed: "s0 running; a#0 exited 1; b#0 exited 0", want: "stop s0, ended"},
	{name: "all ended and stopped, never", policy: never, observed: "s0 exited; a#0 exited 1; b#0 exited 0", want: "ended, over"},
	{name: "lost by the engine but known to have ended, never", policy: never, observed: "s0 running; b#0 exited 0",
		status: []corev1.ContainerStatus{{Name: "a", ContainerID: "x", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}},
		want:   "stop s0, ended"},
	{name: "lost by the engine, counts on", observed: "s0 running; b#0 running",
		status: []corev1.ContainerStatus{{Name: "a", ContainerID: "x", RestartCount: 4}}, want: "start a 5"},
	{name: "container's own restart rule", policy: never, observed: "s0 running; a#0 exited 42; b#0 running",
		change: func(p *corev1.Pod) {
			p.Spec.Containers[0].RestartPolicy = ptr.To(corev1.ContainerRestartPolicyNever)
			p.Spec.Containers[0].RestartPolicyRules = []corev1.ContainerRestartRule{{Action: corev1.ContainerRestartRuleActionRestart,
				ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42}}}}
		}, want: "start a 1"},

	{name: "first init", inits: "i1 i2", observed: "s0 running", want: "start i1 0"},
	{name: "init runs", inits: "i1 i2", observed: "s0 running; init:i1#0 running"},
	{name: "next init", inits: "i1 i2", observed: "s0 running; init:i1#0 exited 0", want: "start i2 0"},
	{name: "init done", inits: "i1 i2", observed: "s0 running; init:i2#0 exited 0; init:i1#0 exited 0", want: "start a 0, start b 0"},
	{name: "init failed, always", inits: "i1 i2", observed: "s0 running; init:i1#0 exited 1", want: "start i1 1"},
	{name: "init failed, waiting", inits: "i1 i2", observed: "s0 running; init:i1#0 exited 1", wait: "i1", want: "wait i1 10s"},
	{name: "init failed, on failure", policy: failed, inits: "i1", observed: "s0 running; init:i1#2 exited 1", want: "start i1 3"},
	{name: "init failed, never", policy: never, inits: "i1", observed: "s0 running; init:i1#0 exited 1", want: "stop s0, ended"},
	{name: "init removed since", inits: "i1", observed: "s0 running; a#0 running; b#0 running"},

	{name: "sidecar first", inits: "side i2", observed: "s0 running", want: "start side 0"},
	{name: "sidecar runs, not started", inits: "side i2", observed: "s0 running; init:side#0 running", unstarted: "side"},
	{name: "sidecar started", inits: "side i2", observed: "s0 running; init:side#0 running", want: "start i2 0"},
	{name: "sidecar crashed before the others", inits: "side i2", observed: "s0 running; init:side#0 exited 1", want: "start side 1"},
	{name: "sidecar crashed beside the others", policy: never, inits: "side", observed: "s0 running; a#0 running; b#0 running; init:side#0 exited 1", want: "start side 1"},
	{name: "sidecar unhealthy", inits: "side", observed: "s0 running; a#0 running; b#0 running; init:side#0 running", unhealthy: "side",
		want: "kill init:side#0 (Container side failed liveness probe, will be restarted)"},
	{name: "sidecars end after the others", policy: never, inits: "side1 side2", observed: "s0 running; a#0 exited 0; b#0 exited 0; init:side2#0 running; init:side1#0 running",
		want: "kill init:side2#0 (Stopping container side2), ended"},

	{name: "unhealthy", observed: "s0 running; a#0 running; b#0 running", unhealthy: "a", want: "kill a#0 (Container a failed liveness probe, will be restarted)"},
	{name: "unhealthy, never", policy: never, observed: "s0 running; a#0 running; b#0 running", unhealthy: "a", want: "kill a#0 (Container a failed liveness probe)"},
	{name: "unhealthy and being killed", observed: "s0 running; a#0 running; b#0 running", unhealthy: "a", busy: "a"},
	{name: "image changed", observed: "s0 running; a#0 running; b#0 running", change: func(p *corev1.Pod) { p.Spec.Containers[0].Image = "new" },
		want: "kill a#0 (Container a definition changed, will be restarted)"},
	{name: "unknown state", observed: "s0 running; a#0 unknown; b#0 running", want: "kill a#0 (Container a is in unknown state, try killing it before restart)"},

	{name: "sandbox died", observed: "s0 exited; a#0 exited 137; b#0 exited 137", want: "sandbox 1"},
	{name: "sandbox died, containers live", observed: "s0 exited; a#0 running; b#0 exited 1", want: "kill a#0 (Pod sandbox changed, it will be killed and re-created.)"},
	{name: "sandbox without network", observed: "s0 running", lost: true, want: "stop s0"},
	{name: "sandbox died, never", policy: never, observed: "s0 exited; a#0 exited 137; b#0 exited 0", want: "ended, over"},
	{name: "sandbox died before anything ran, never", policy: never, observed: "s0 exited", want: "sandbox 1"},
	{name: "new sandbox", observed: "s1 running; s0 exited; a#0@s0 exited 137; b#0@s0 exited 137", want: "start a 1, start b 1, remove s0"},
	{name: "new sandbox begins with the init containers", inits: "i1", observed: "s1 running; s0 exited; a#0@s0 exited 137; b#0@s0 exited 137; init:i1#0@s0 exited 0",
		want: "start i1 1, remove s0"},
	{name: "new sandbox, on failure: what completed stays", policy: failed, observed: "s1 running; s0 exited; a#0@s0 exited 0; b#0@s0 exited 137",
		want: "start b 1, remove s0"},
	{name: "container of an old sandbox", observed: "s1 running; s0 running; a#1@s0 running; b#1 running",
		want: "start a 2, kill a#1@s0 (Pod sandbox changed, it will be killed and re-created.), stop s0"},

	{name: "old runs are removed", observed: "s0 running; a#3 running; a#2 exited 1; a#1 exited 1; a#0 exited 1; b#0 running", want: "remove a#1, remove a#0"},

	{name: "deleted", stop: true, observed: "s0 running; a#0 running; b#0 running", want: "kill a#0 (Stopping container a), kill b#0 (Stopping container b)"},
	{name: "deleted, one is being killed", stop: true, observed: "s0 running; a#0 running; b#0 running", busy: "a", want: "kill b#0 (Stopping container b)"},
	{name: "deleted, sidecars wait", stop: true, inits: "side", observed: "s0 running; a#0 running; b#0 exited 0; init:side#0 running", want: "kill a#0 (Stopping container a)"},
	{name: "deleted, containers ended", stop: true, observed: "s0 running; a#0 exited 0; b#0 exited 137", want: "stop s0"},
	{name: "deleted, a start is called off", stop: true, observed: "s0 running; a#0 created", busy: "a"},
	{name: "deleted, nothing runs", stop: true, observed: "s0 exited; a#0 exited 0; b#0 exited 137", want: "over"},
	{name: "deleted before anything", stop: true, want: "over"},
	{name: "gone from the API", gone: true, observed: "s0 running; a#0 running", want: "kill a#0 (Stopping container a)"},
	{name: "gone, sidecar or not is not known", gone: true, observed: "s0 running; init:side#0 running", want: "kill init:side#0 (Stopping container side)"},
	{name: "gone, ended", gone: true, observed: "s0 exited; a#0 exited 0", want: "over"},
	{name: "ephemeral", observed: "s0 running; a#0 running; b#0 running",
		change: func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "d"}}}
		}, want: "start d 0"},
	{name: "ephemeral ended", observed: "s0 running; a#0 running; b#0 running; debug:d#0 exited 1",
		change: func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "d"}}}
		}},
}

func TestCompute(t *testing.T) {
	for _, test := range planCases {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, summary(Compute(test.input()))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestComputeConverges: whatever the state, carrying out plans leads to all
// containers running, or after a stop to nothing running, in few steps.
func TestComputeConverges(t *testing.T) {
	for _, test := range planCases {
		if test.busy != "" || test.notReady || test.wait != "" || test.unstarted != "" || test.unhealthy != "" {
			continue // something else must happen first
		}
		t.Run(test.name, func(t *testing.T) {
			in := test.input()
			in.Unhealthy, in.SandboxLost = nil, false
			for range 20 {
				plan := Compute(in)
				if plan.Ended {
					in.Stop = true
				}
				if plan.Over || summary(plan) == "" {
					return
				}
				in.Observed = carryOut(in, plan)
			}
			t.Errorf("no end after 20 steps: %s", summary(Compute(in)))
		})
	}
}

// carryOut is an ideal engine.
func carryOut(in Input, plan Plan) runtime.Pod {
	pod := in.Observed
	if plan.CreateSandbox {
		id := fmt.Sprintf("s%d", plan.SandboxAttempt)
		pod.Sandboxes = append([]runtime.Sandbox{{ID: id, Attempt: plan.SandboxAttempt, State: runtime.StateRunning}}, pod.Sandboxes...)
	}
	for i := range pod.Sandboxes {
		if slices.Contains(plan.StopSandboxes, pod.Sandboxes[i].ID) {
			pod.Sandboxes[i].State = runtime.StateExited
		}
	}
	for i := range pod.Containers {
		for _, k := range plan.Kill {
			if pod.Containers[i].ID == k.ID {
				pod.Containers[i].State, pod.Containers[i].ExitCode = runtime.StateExited, 137
			}
		}
	}
	pod.Containers = slices.DeleteFunc(pod.Containers, func(c runtime.Container) bool { return slices.Contains(plan.Remove, c.ID) })
	pod.Sandboxes = slices.DeleteFunc(pod.Sandboxes, func(s runtime.Sandbox) bool { return slices.Contains(plan.RemoveSandboxes, s.ID) })
	for _, start := range plan.Start {
		c := runtime.Container{Name: start.Spec.Name, Kind: start.Kind, Attempt: start.Attempt, State: runtime.StateRunning,
			SandboxID: pod.Sandboxes[0].ID, ID: fmt.Sprintf("%s#%d", start.Spec.Name, start.Attempt), SpecHash: SpecHash(start.Spec)}
		if start.Kind == runtime.KindInit && start.Spec.RestartPolicy == nil {
			c.State = runtime.StateExited
		}
		pod.Containers = append([]runtime.Container{c}, pod.Containers...)
	}
	return pod
}
