package lifecycle

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/skiff-project/skiff/nodeagent/handlers"
	"github.com/skiff-project/skiff/nodeagent/runtime"
)

type execer struct {
	result  runtime.ExecResult
	err     error
	timeout time.Duration
}

func (e *execer) ExecSync(_ context.Context, _ string, _ []string, timeout time.Duration) (runtime.ExecResult, error) {
	e.timeout = timeout
	return e.result, e.err
}

// Conformance: "Container Lifecycle Hook ... should execute poststart exec hook
// properly", "... poststart http hook properly", "... prestop exec hook properly",
// "... prestop http hook properly".
func TestRun(t *testing.T) {
	hits := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits <- r.URL.String()
		http.NotFound(w, r)
	}))
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	exec := &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"sh", "-c", "x"}}}
	get := func(port intstr.IntOrString) *corev1.LifecycleHandler {
		return &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/echo?msg=hook", Host: u.Hostname(), Port: port}}
	}
	for _, test := range []struct {
		name   string
		hook   *corev1.LifecycleHandler
		engine execer
		err    string // a pattern
	}{
		{"exec", exec, execer{}, ""},
		{
			"exec fails", exec, execer{result: runtime.ExecResult{ExitCode: 3, Stderr: []byte("oops")}},
			`Exec lifecycle hook \(\[sh -c x\]\) for Container "c" failed - error: command 'sh -c x' exited with 3: oops, message: "oops"`,
		},
		{
			"exec is not possible", exec, execer{err: errors.New("gone")},
			`Exec lifecycle hook \(\[sh -c x\]\) for Container "c" failed - error: gone, message: ""`,
		},
		{"http, also with a bad status", get(intstr.Parse(u.Port())), execer{}, ""},
		{"http to an unknown port", get(intstr.FromString("web")), execer{},
			`HTTP lifecycle hook \(/echo\?msg=hook\) for Container "c" failed - error: couldn't find port "web" in container "c"`},
		{"http to no one", get(intstr.FromInt(1)), execer{},
			`HTTP lifecycle hook \(/echo\?msg=hook\) for Container "c" failed - error: Get "http://.*/echo\?msg=hook": dial tcp .*: connection refused`},
		{"tcp", &corev1.LifecycleHandler{TCPSocket: &corev1.TCPSocketAction{}}, execer{}, "Cannot run handler: .*"},
		{"nothing", &corev1.LifecycleHandler{}, execer{}, "Cannot run handler: .*"},
	} {
		t.Run(test.name, func(t *testing.T) {
			runner := Runner{Engine: &test.engine, Clock: clocktesting.NewFakeClock(time.Now())}
			target := handlers.Target{Container: &corev1.Container{Name: "c"}, ContainerID: "id", PodIP: "127.0.0.1"}
			text := ""
			if err := runner.Run(t.Context(), test.hook, target); err != nil {
				text = err.Error()
			}
			if !regexp.MustCompile("^(?s:" + test.err + ")$").MatchString(text) {
				t.Errorf("got %q, want %q", text, test.err)
			}
			if test.engine.timeout != 0 {
				t.Errorf("a hook got %v", test.engine.timeout)
			}
		})
	}
	if hit := <-hits; hit != "/echo?msg=hook" || len(hits) > 0 {
		t.Errorf("the server got %q and %d more", hit, len(hits))
	}
}

func TestSleep(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Now())
	runner := Runner{Engine: &execer{}, Clock: clock}
	target := handlers.Target{Container: &corev1.Container{Name: "c"}}
	hook := &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 5}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	begin := func() {
		go func() { done <- runner.Run(ctx, hook, target) }()
		for !clock.HasWaiters() {
			if ctx.Err() != nil {
				t.Fatal("the test has ended")
			}
		}
	}

	begin()
	clock.Step(5*time.Second - 1)
	select {
	case err := <-done:
		t.Fatalf("ended too early: %v", err)
	default:
	}
	clock.Step(1)
	if err := <-done; err != nil {
		t.Fatal(err)
	}

	begin()
	cancel()
	want := `Sleep lifecycle hook (5) for Container "c" failed - error: context canceled`
	if err := <-done; err == nil || err.Error() != want || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if clock.HasWaiters() {
		t.Error("the timer is left")
	}
}
