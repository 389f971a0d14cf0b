package status

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

var update = flag.Bool("update", false, "write the golden files")

var start = time.Date(2026, 3, 4, 5, 6, 7, 800, time.UTC)

// scene is a pod at a moment.
type scene struct {
	name string
	in   func() Input
}

func base(policy corev1.RestartPolicy, inits ...corev1.Container) Input {
	return Input{
		Pod: &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", UID: "u1", Generation: 2},
			Spec: corev1.PodSpec{RestartPolicy: policy, InitContainers: inits, Containers: []corev1.Container{
				{Name: "app", Image: "shop/app:1", VolumeMounts: []corev1.VolumeMount{{Name: "conf", MountPath: "/etc/app", ReadOnly: true}}},
				{Name: "log", Image: "shop/log:1"},
			}},
			Status: corev1.PodStatus{Phase: corev1.PodPending, StartTime: &metav1.Time{Time: start}, QOSClass: corev1.PodQOSBestEffort,
				Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(start)}}},
		},
		Scheme: "docker", HostIPs: []string{"192.0.2.1", "2001:db8::1"}, Now: metav1.NewTime(start.Add(time.Minute)),
	}
}

func (in Input) up() Input {
	in.NetworkReady, in.PodIPs = true, []string{"10.244.0.9"}
	return in
}

func run(name string, kind runtime.Kind, attempt int, state runtime.State, code int) runtime.Container {
	c := runtime.Container{ID: name + "-" + string(rune('0'+attempt)), Name: name, Kind: kind, Attempt: attempt, State: state,
		Image: "shop/" + name + ":1", ImageID: "sha256:abc", ImageRef: "sha256:abc", CreatedAt: start}
	switch state {
	case runtime.StateRunning:
		c.StartedAt = start.Add(time.Duration(attempt+1) * time.Second)
	case runtime.StateExited:
		c.StartedAt, c.FinishedAt = start.Add(time.Duration(attempt+1)*time.Second), start.Add(time.Duration(attempt+2)*time.Second)
		c.ExitCode, c.Reason = code, runtime.ReasonError
		if code == 0 {
			c.Reason = runtime.ReasonCompleted
		}
	}
	return c
}

func (in Input) with(containers ...runtime.Container) Input {
	in.Observed.Containers = containers
	return in
}

var scenes = []scene{
	{"new", func() Input { return base(corev1.RestartPolicyAlways) }},
	{"new-with-init", func() Input {
		return base(corev1.RestartPolicyAlways, corev1.Container{Name: "setup", Image: "shop/setup:1"})
	}},
	{"init-runs", func() Input {
		return base(corev1.RestartPolicyAlways, corev1.Container{Name: "setup"}, corev1.Container{Name: "more"}).up().with(
			run("setup", runtime.KindInit, 0, runtime.StateRunning, 0))
	}},
	{"init-failed-never", func() Input {
		in := base(corev1.RestartPolicyNever, corev1.Container{Name: "setup"}).up().with(run("setup", runtime.KindInit, 0, runtime.StateExited, 1))
		in.Over = true
		return in
	}},
	{"init-backs-off", func() Input {
		in := base(corev1.RestartPolicyAlways, corev1.Container{Name: "setup"}).up().with(run("setup", runtime.KindInit, 1, runtime.StateExited, 1))
		in.Waiting = map[string]corev1.ContainerStateWaiting{"setup": {Reason: "CrashLoopBackOff", Message: "back-off 10s restarting failed container=setup pod=web_shop(u1)"}}
		return in
	}},
	{"running", func() Input {
		in := base(corev1.RestartPolicyAlways).up().with(run("app", runtime.KindRegular, 0, runtime.StateRunning, 0), run("log", runtime.KindRegular, 0, runtime.StateRunning, 0))
		in.Observed.Containers[0].ImageRef = "shop/app@sha256:def"
		return in
	}},
	{"not-ready", func() Input {
		in := base(corev1.RestartPolicyAlways).up().with(run("app", runtime.KindRegular, 0, runtime.StateRunning, 0), run("log", runtime.KindRegular, 0, runtime.StateRunning, 0))
		in.Ready = func(c *runtime.Container) bool { return c.Name != "app" }
		return in
	}},
	{"readiness-gate", func() Input {
		in := base(corev1.RestartPolicyAlways).up().with(run("app", runtime.KindRegular, 0, runtime.StateRunning, 0), run("log", runtime.KindRegular, 0, runtime.StateRunning, 0))
		in.Pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/lb"}, {ConditionType: "example.com/ok"}}
		in.Pod.Status.Conditions = append(in.Pod.Status.Conditions, corev1.PodCondition{Type: "example.com/ok", Status: corev1.ConditionFalse})
		return in
	}},
	{"sidecar", func() Input {
		return base(corev1.RestartPolicyAlways, corev1.Container{Name: "mesh", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)}).up().with(
			run("app", runtime.KindRegular, 0, runtime.StateRunning, 0), run("log", runtime.KindRegular, 0, runtime.StateRunning, 0),
			run("mesh", runtime.KindInit, 0, runtime.StateRunning, 0))
	}},
	{"pull-fails", func() Input {
		in := base(corev1.RestartPolicyAlways).up().with(run("log", runtime.KindRegular, 0, runtime.StateRunning, 0))
		in.Waiting = map[string]corev1.ContainerStateWaiting{"app": {Reason: "ImagePullBackOff", Message: `Back-off pulling image "shop/app:1"`}}
		return in
	}},
	{"crash-loop", func() Input {
		in := base(corev1.RestartPolicyAlways).up().with(
			run("app", runtime.KindRegular, 2, runtime.StateExited, 3), run("app", runtime.KindRegular, 1, runtime.StateExited, 4),
			run("log", runtime.KindRegular, 0, runtime.StateRunning, 0))
		in.Waiting = map[string]corev1.ContainerStateWaiting{"app": {Reason: "CrashLoopBackOff", Message: "back-off 20s restarting failed container=app pod=web_shop(u1)"}}
		return in
	}},
	{"restarted", func() Input {
		return base(corev1.RestartPolicyAlways).up().with(
			run("app", runtime.KindRegular, 1, runtime.StateRunning, 0), run("app", runtime.KindRegular, 0, runtime.StateExited, 137),
			run("log", runtime.KindRegular, 0, runtime.StateRunning, 0))
	}},
	{"out-of-memory", func() Input {
		in := base(corev1.RestartPolicyNever).up().with(run("app", runtime.KindRegular, 0, runtime.StateExited, 137), run("log", runtime.KindRegular, 0, runtime.StateRunning, 0))
		in.Observed.Containers[0].Reason = runtime.ReasonOOMKilled
		return in
	}},
	{"succeeded", func() Input {
		in := base(corev1.RestartPolicyOnFailure).with(run("app", runtime.KindRegular, 1, runtime.StateExited, 0), run("log", runtime.KindRegular, 0, runtime.StateExited, 0))
		in.Over = true
		in.Pod.Status.PodIP, in.Pod.Status.PodIPs = "10.244.0.9", []corev1.PodIP{{IP: "10.244.0.9"}}
		return in
	}},
	{"failed", func() Input {
		in := base(corev1.RestartPolicyNever).with(run("app", runtime.KindRegular, 0, runtime.StateExited, 1), run("log", runtime.KindRegular, 0, runtime.StateExited, 0))
		in.Over = true
		in.TerminationMessage = func(c *runtime.Container) string {
			if c.Name == "app" {
				return "no database"
			}
			return ""
		}
		return in
	}},
	{"deadline-still-running", func() Input {
		in := base(corev1.RestartPolicyAlways).up().with(run("app", runtime.KindRegular, 0, runtime.StateRunning, 0), run("log", runtime.KindRegular, 0, runtime.StateExited, 0))
		in.Failure = &Failure{Reason: "DeadlineExceeded", Message: "too long"}
		return in
	}},
	{"deadline-over", func() Input {
		in := base(corev1.RestartPolicyAlways).with(run("app", runtime.KindRegular, 0, runtime.StateExited, 137), run("log", runtime.KindRegular, 0, runtime.StateExited, 0))
		in.Failure, in.Over = &Failure{Reason: "DeadlineExceeded", Message: "too long"}, true
		return in
	}},
	{"rejected", func() Input {
		in := base(corev1.RestartPolicyAlways)
		in.Failure, in.Over = &Failure{Reason: "OutOfcpu", Message: "Pod was rejected"}, true
		return in
	}},
	{"lost-container", func() Input {
		in := base(corev1.RestartPolicyAlways).up().with(run("log", runtime.KindRegular, 0, runtime.StateRunning, 0))
		in.Pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", ContainerID: "docker://app-3", RestartCount: 3,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(start)}}}}
		return in
	}},
	{"host-network", func() Input {
		in := base(corev1.RestartPolicyAlways).with(run("app", runtime.KindRegular, 0, runtime.StateRunning, 0), run("log", runtime.KindRegular, 0, runtime.StateRunning, 0))
		in.Pod.Spec.HostNetwork, in.NetworkReady = true, true
		return in
	}},
	{"final-phase-stays", func() Input {
		in := base(corev1.RestartPolicyAlways).with(run("app", runtime.KindRegular, 0, runtime.StateExited, 0), run("log", runtime.KindRegular, 0, runtime.StateExited, 0))
		in.Pod.Status.Phase, in.Pod.Status.Reason = corev1.PodFailed, "Evicted"
		return in
	}},
}

// TestCompute compares whole statuses with testdata/<scene>.yaml; -update writes them.
func TestCompute(t *testing.T) {
	for _, scene := range scenes {
		t.Run(scene.name, func(t *testing.T) {
			got, err := yaml.Marshal(Compute(scene.in()))
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", scene.name+".yaml")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestComputeIsStable: computed again from what it has written, a status stays
// as it is; else the agent would write without end.
func TestComputeIsStable(t *testing.T) {
	for _, scene := range scenes {
		in := scene.in()
		first := Compute(in)
		in.Pod.Status = *first.DeepCopy()
		in.Now = metav1.NewTime(in.Now.Add(time.Hour))
		if diff := cmp.Diff(first, Compute(in)); diff != "" && scene.name != "lost-container" {
			t.Errorf("%s: %s", scene.name, diff)
		}
	}
}

func TestTerminationMessage(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/etc/hostname", link); err != nil {
		t.Fatal(err)
	}
	fallback := corev1.TerminationMessageFallbackToLogsOnError
	for name, test := range map[string]struct {
		file   string
		policy corev1.TerminationMessagePolicy
		code   int
		want   string
	}{
		"file":                  {file: file("a", "bye"), want: "bye"},
		"file wins":             {file: file("b", "bye"), policy: fallback, code: 1, want: "bye"},
		"logs after an error":   {file: file("c", ""), policy: fallback, code: 1, want: "the log"},
		"no logs after success": {file: file("d", ""), policy: fallback},
		"no logs unless wanted": {file: file("e", ""), code: 1},
		"long":                  {file: file("f", strings.Repeat("x", 5000)), want: strings.Repeat("x", 4096)},
		"link is not followed":  {file: link},
		"no file":               {file: filepath.Join(dir, "none")},
	} {
		c := run("app", runtime.KindRegular, 0, runtime.StateExited, test.code)
		c.TerminationMessageHostPath, c.TerminationMessagePolicy = test.file, test.policy
		if got := TerminationMessage(&c, func() string { return "the log" }); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
