// Package runtimetest holds the scenarios that every runtime.Runtime passes:
// the fake in memory and the real engines alike, so that what is tested
// against the fake holds for the real thing.
package runtimetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// Timeout bounds every wait.
const Timeout = 30 * time.Second

// Env is a runtime under test.
type Env struct {
	Runtime runtime.Runtime
	// Image holds the test program (runtimetest/program) at Program; Pause is an image for sandboxes.
	Image   runtime.Image
	Program string
	Pause   string
}

// Run runs all scenarios.
func Run(t *testing.T, env Env) {
	for name, scenario := range map[string]func(*testing.T, *Pod){
		"Life":           life,
		"ExitCode":       exitCode,
		"StartError":     startError,
		"GraceEnds":      graceEnds,
		"ShorterGrace":   shorterGrace,
		"Logs":           logs,
		"FollowLogs":     followLogs,
		"ExecSync":       execSync,
		"Exec":           exec,
		"Attach":         attach,
		"Events":         events,
		"Leftovers":      leftovers,
		"NothingThere":   nothingThere,
		"MissingImage":   missingImage,
		"SandboxDies":    sandboxDies,
		"UpdateRunning":  updateRunning,
		"RemoveRunning":  removeRunning,
		"SeveralTries":   severalTries,
		"ParallelStarts": parallelStarts,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scenario(t, NewPod(t, env))
		})
	}
}

// Pod is a pod of its own for one test, removed at its end.
type Pod struct {
	Env
	T       testing.TB
	Ref     runtime.PodRef
	Sandbox runtime.Sandbox
}

// NewPod makes a pod with a running sandbox.
func NewPod(t testing.TB, env Env, options ...func(*runtime.SandboxConfig)) *Pod {
	t.Helper()
	p := &Pod{Env: env, T: t, Ref: runtime.PodRef{UID: uuid.NewString(), Namespace: "test", Name: "pod-" + uuid.NewString()[:8]}}
	t.Cleanup(p.remove)
	config := runtime.SandboxConfig{Pod: p.Ref, Image: env.Pause, Hostname: "test-host", Labels: map[string]string{"mine": "yes"}}
	for _, option := range options {
		option(&config)
	}
	sandbox, err := env.Runtime.CreateSandbox(t.Context(), config)
	if err != nil {
		t.Fatalf("CreateSandbox: %v", err)
	}
	p.Sandbox = sandbox
	return p
}

// remove also proves that nothing is left.
func (p *Pod) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	pod, err := p.Runtime.GetPod(ctx, p.Ref.UID)
	if err != nil {
		p.T.Errorf("GetPod: %v", err)
		return
	}
	for _, c := range pod.Containers {
		if err := p.Runtime.RemoveContainer(ctx, c.ID); err != nil {
			p.T.Errorf("RemoveContainer: %v", err)
		}
	}
	for _, s := range pod.Sandboxes {
		if err := p.Runtime.RemoveSandbox(ctx, s.ID); err != nil {
			p.T.Errorf("RemoveSandbox: %v", err)
		}
	}
	p.Eventually("the pod is gone", func(ctx context.Context) bool {
		pod, err := p.Runtime.GetPod(ctx, p.Ref.UID)
		return err == nil && len(pod.Containers)+len(pod.Sandboxes) == 0
	})
}

// Eventually waits for a condition.
func (p *Pod) Eventually(what string, condition func(context.Context) bool) {
	p.T.Helper()
	err := wait.PollUntilContextTimeout(context.Background(), 5*time.Millisecond, Timeout, true,
		func(ctx context.Context) (bool, error) { return condition(ctx), nil })
	if err != nil {
		p.T.Fatalf("waiting until %s: %v", what, err)
	}
}

// Config returns a configuration of a container that runs the test program.
func (p *Pod) Config(name string, arguments ...string) runtime.ContainerConfig {
	grace := int64(7)
	return runtime.ContainerConfig{
		Pod: p.Ref, Name: name, Kind: runtime.KindRegular, SandboxID: p.Sandbox.ID,
		Image: "docker.io/test/app", ImageID: p.Image.ID, Command: []string{p.Program}, Args: arguments,
		SpecHash: "abc", GracePeriodSeconds: &grace, TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: "File",
		Labels: map[string]string{"mine": "too"},
	}
}

// Create creates a container.
func (p *Pod) Create(config runtime.ContainerConfig) string {
	p.T.Helper()
	id, err := p.Runtime.CreateContainer(p.T.Context(), config)
	if err != nil {
		p.T.Fatalf("CreateContainer: %v", err)
	}
	return id
}

// Start creates and starts a container.
func (p *Pod) Start(config runtime.ContainerConfig) string {
	p.T.Helper()
	id := p.Create(config)
	if err := p.Runtime.StartContainer(p.T.Context(), id); err != nil {
		p.T.Fatalf("StartContainer: %v", err)
	}
	return id
}

// Get returns a container as it is now.
func (p *Pod) Get(id string) runtime.Container {
	p.T.Helper()
	pod, err := p.Runtime.GetPod(context.Background(), p.Ref.UID)
	if err != nil {
		p.T.Fatalf("GetPod: %v", err)
	}
	for _, c := range pod.Containers {
		if c.ID == id {
			return c
		}
	}
	p.T.Fatalf("container %s is not in the pod", id)
	return runtime.Container{}
}

// WaitEnded waits until a container has ended and returns it.
func (p *Pod) WaitEnded(id string) runtime.Container {
	p.T.Helper()
	p.Eventually("the container has ended", func(context.Context) bool { return p.Get(id).State == runtime.StateExited })
	return p.Get(id)
}

// Log returns a container's whole log, both streams.
func (p *Pod) Log(id string, options runtime.LogOptions) string {
	p.T.Helper()
	var out bytes.Buffer
	if err := p.Runtime.ReadLogs(p.T.Context(), id, options, &out, &out); err != nil {
		p.T.Fatalf("ReadLogs: %v", err)
	}
	return out.String()
}

// RunToEnd runs a container to its end and returns it with its log.
func (p *Pod) RunToEnd(config runtime.ContainerConfig) (runtime.Container, string) {
	p.T.Helper()
	id := p.Start(config)
	ended := p.WaitEnded(id)
	return ended, p.Log(id, runtime.LogOptions{})
}

// Sink collects a stream that is written while it is read.
type Sink struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (s *Sink) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buffer.Write(data)
}

// Close does nothing.
func (s *Sink) Close() error { return nil }

func (s *Sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buffer.String()
}

var _ io.WriteCloser = (*Sink)(nil)

func countLines(text, line string) int {
	count := 0
	for _, l := range strings.Split(text, "\n") {
		if l == line {
			count++
		}
	}
	return count
}

func numbered(from, to int) string {
	var b strings.Builder
	for i := from; i <= to; i++ {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	return b.String()
}
