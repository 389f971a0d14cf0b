package runtimetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

func life(t *testing.T, p *Pod) {
	ctx := t.Context()
	if p.Sandbox.State != runtime.StateRunning || p.Sandbox.PID == 0 || p.Sandbox.NetNS != fmt.Sprintf("/proc/%d/ns/net", p.Sandbox.PID) {
		t.Errorf("the new sandbox is not ready for use: %+v", p.Sandbox)
	}
	id := p.Create(p.Config("app", "sleep"))
	created := p.Get(id)
	if created.State != runtime.StateCreated || !created.StartedAt.IsZero() || created.CreatedAt.IsZero() {
		t.Errorf("created, not started: %+v", created)
	}
	if err := p.Runtime.StartContainer(ctx, id); err != nil {
		t.Fatal(err)
	}
	pods, err := p.Runtime.ListPods(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var pod *runtime.Pod
	for i := range pods {
		if pods[i].UID == p.Ref.UID {
			pod = &pods[i]
		}
	}
	if pod == nil || pod.PodRef != p.Ref || len(pod.Sandboxes) != 1 || len(pod.Containers) != 1 {
		t.Fatalf("ListPods: %+v", pod)
	}
	if s := pod.Sandbox(); s.ID != p.Sandbox.ID || s.Pod != p.Ref || s.Attempt != 0 || s.Labels["mine"] != "yes" || s.State != runtime.StateRunning {
		t.Errorf("sandbox: %+v", s)
	}
	c := pod.Container("app")
	if c == nil || c.ID != id || c.Pod != p.Ref || c.Kind != runtime.KindRegular || c.SandboxID != p.Sandbox.ID || c.State != runtime.StateRunning ||
		c.PID == 0 || c.StartedAt.IsZero() || c.SpecHash != "abc" || c.Image != "docker.io/test/app" || c.ImageID != p.Image.ID ||
		c.TerminationMessagePath != "/dev/termination-log" || c.TerminationMessagePolicy != "File" ||
		c.GracePeriodSeconds == nil || *c.GracePeriodSeconds != 7 || c.Labels["mine"] != "too" || c.Labels["io.kubernetes.pod.uid"] != "" {
		t.Errorf("container: %+v", c)
	}
	if err := p.Runtime.StopContainer(ctx, id, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	ended := p.Get(id)
	if ended.State != runtime.StateExited || ended.ExitCode != 0 || ended.Reason != runtime.ReasonCompleted || ended.PID != 0 ||
		ended.FinishedAt.Before(ended.StartedAt) {
		t.Errorf("ended: %+v", ended)
	}
	if err := p.Runtime.RemoveContainer(ctx, id); err != nil {
		t.Fatal(err)
	}
	if err := p.Runtime.StopSandbox(ctx, p.Sandbox.ID); err != nil {
		t.Fatal(err)
	}
	p.Eventually("the sandbox has ended", func(ctx context.Context) bool {
		pod, err := p.Runtime.GetPod(ctx, p.Ref.UID)
		return err == nil && pod.Sandbox().State == runtime.StateExited && pod.Sandbox().NetNS == ""
	})
}

func exitCode(t *testing.T, p *Pod) {
	ended, _ := p.RunToEnd(p.Config("app", "exit", "42"))
	if ended.ExitCode != 42 || ended.Reason != runtime.ReasonError {
		t.Errorf("got exit code %d, reason %q", ended.ExitCode, ended.Reason)
	}
}

func startError(t *testing.T, p *Pod) {
	config := p.Config("app")
	config.Command = []string{"/no/such/command"}
	id := p.Create(config)
	err := p.Runtime.StartContainer(t.Context(), id)
	if err == nil || !strings.Contains(err.Error(), "/no/such/command") {
		t.Fatalf("StartContainer: %v", err)
	}
	if runtime.IsNotFound(err) {
		t.Error("the missing command was taken for a missing container")
	}
	c := p.Get(id)
	if c.State != runtime.StateExited || c.Reason != runtime.ReasonStartError || c.ExitCode != runtime.StartErrorExitCode || !c.StartedAt.IsZero() ||
		c.FinishedAt.IsZero() || !strings.Contains(c.Message, "/no/such/command") {
		t.Errorf("after the failed start: %+v", c)
	}
}

func graceEnds(t *testing.T, p *Pod) {
	id := p.Start(p.Config("app", "stubborn"))
	if err := p.Runtime.StopContainer(t.Context(), id, time.Second); err != nil {
		t.Fatal(err)
	}
	if c := p.Get(id); c.State != runtime.StateExited || c.ExitCode != 137 || c.Reason != runtime.ReasonError {
		t.Errorf("got %+v", c)
	}
}

func shorterGrace(t *testing.T, p *Pod) {
	id := p.Start(p.Config("app", "stubborn"))
	var group errgroup.Group
	group.Go(func() error { return p.Runtime.StopContainer(t.Context(), id, time.Hour) })
	if err := p.Runtime.StopContainer(t.Context(), id, time.Second); err != nil {
		t.Fatal(err)
	}
	if err := group.Wait(); err != nil {
		t.Errorf("the longer stop: %v", err)
	}
	if c := p.Get(id); c.State != runtime.StateExited {
		t.Errorf("got %+v", c)
	}
	ctx, cancel := context.WithCancel(t.Context())
	other := p.Start(p.Config("other", "stubborn"))
	group = errgroup.Group{}
	group.Go(func() error { return p.Runtime.StopContainer(ctx, other, time.Hour) })
	cancel()
	if err := group.Wait(); err == nil {
		t.Error("a cancelled stop reports success")
	}
	if err := p.Runtime.StopContainer(t.Context(), other, 0); err != nil {
		t.Error(err)
	}
	p.WaitEnded(other)
}

func events(t *testing.T, p *Pod) {
	ctx, cancel := context.WithCancel(t.Context())
	watch := p.Runtime.Watch(ctx)
	if first := <-watch; first.Type != runtime.EventResync {
		t.Fatalf("the first event is %+v", first)
	}
	id := p.Start(p.Config("app", "exit", "0"))
	p.WaitEnded(id)
	if err := p.Runtime.RemoveContainer(ctx, id); err != nil {
		t.Fatal(err)
	}
	var got []string
	timeout := time.After(Timeout)
	for len(got) < 3 {
		select {
		case event := <-watch:
			if event.PodUID != p.Ref.UID {
				continue // other tests' pods
			}
			if event.ContainerID != id || event.Container != "app" || event.Time.IsZero() {
				t.Errorf("event: %+v", event)
			}
			got = append(got, string(event.Type))
		case <-timeout:
			t.Fatalf("only these events came: %v", got)
		}
	}
	if want := "Started Died Removed"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	cancel()
	for range watch { // ends because it is closed
	}
}

func leftovers(t *testing.T, p *Pod) {
	first := p.Create(p.Config("app", "sleep"))
	second := p.Create(p.Config("app", "sleep"))
	if first == second {
		t.Error("the leftover was not replaced")
	}
	if err := p.Runtime.StartContainer(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if id, err := p.Runtime.CreateContainer(t.Context(), p.Config("app", "sleep")); err == nil {
		t.Errorf("a running container was replaced by %s", id)
	}
	again, err := p.Runtime.CreateSandbox(t.Context(), runtime.SandboxConfig{Pod: p.Ref, Image: p.Pause, Hostname: "h"})
	if err != nil {
		t.Fatal(err)
	}
	pod, err := p.Runtime.GetPod(t.Context(), p.Ref.UID)
	if err != nil || len(pod.Sandboxes) != 1 || pod.Sandbox().ID != again.ID || again.ID == p.Sandbox.ID {
		t.Errorf("GetPod: %+v, %v", pod.Sandboxes, err)
	}
}

func nothingThere(t *testing.T, p *Pod) {
	ctx := t.Context()
	const id = "00000000000000000000000000000000000000000000000000000000deadbeef"
	for name, err := range map[string]error{
		"StopContainer":   p.Runtime.StopContainer(ctx, id, time.Second),
		"RemoveContainer": p.Runtime.RemoveContainer(ctx, id),
		"StopSandbox":     p.Runtime.StopSandbox(ctx, id),
		"RemoveSandbox":   p.Runtime.RemoveSandbox(ctx, id),
	} {
		if err != nil {
			t.Errorf("%s of nothing: %v", name, err)
		}
	}
	if err := p.Runtime.StartContainer(ctx, id); !runtime.IsNotFound(err) {
		t.Errorf("StartContainer of nothing: %v", err)
	}
	if _, err := p.Runtime.ExecSync(ctx, id, []string{p.Program, "exit", "0"}, 0); !runtime.IsNotFound(err) {
		t.Errorf("ExecSync in nothing: %v", err)
	}
	if err := p.Runtime.ReadLogs(ctx, id, runtime.LogOptions{}, nil, nil); !runtime.IsNotFound(err) {
		t.Errorf("ReadLogs of nothing: %v", err)
	}
	if _, err := p.Runtime.InspectImage(ctx, "docker.io/library/no-such-image:latest"); !runtime.IsNotFound(err) {
		t.Errorf("InspectImage of nothing: %v", err)
	}
	pod, err := p.Runtime.GetPod(ctx, "no-such-uid")
	if err != nil || pod.UID != "no-such-uid" || pod.Sandbox() != nil {
		t.Errorf("GetPod of nothing: %+v, %v", pod, err)
	}
}

func missingImage(t *testing.T, p *Pod) {
	config := p.Config("app", "sleep")
	config.ImageID = "sha256:" + strings.Repeat("0", 64)
	if _, err := p.Runtime.CreateContainer(t.Context(), config); !runtime.IsImageNotFound(err) {
		t.Errorf("CreateContainer: %v", err)
	}
}

func sandboxDies(t *testing.T, p *Pod) {
	ctx := t.Context()
	id := p.Start(p.Config("app", "sleep"))
	if err := p.Runtime.StopSandbox(ctx, p.Sandbox.ID); err != nil {
		t.Fatal(err)
	}
	if err := p.Runtime.StopSandbox(ctx, p.Sandbox.ID); err != nil {
		t.Errorf("stopping it twice: %v", err)
	}
	if c := p.Get(id); c.State != runtime.StateRunning {
		t.Errorf("the container ended with the sandbox: %+v", c)
	}
	next, err := p.Runtime.CreateSandbox(ctx, runtime.SandboxConfig{Pod: p.Ref, Attempt: 1, Image: p.Pause, Hostname: "h"})
	if err != nil {
		t.Fatal(err)
	}
	pod, err := p.Runtime.GetPod(ctx, p.Ref.UID)
	if err != nil || len(pod.Sandboxes) != 2 || pod.Sandbox().ID != next.ID || pod.Sandbox().Attempt != 1 || pod.Sandboxes[1].State != runtime.StateExited {
		t.Errorf("GetPod: %+v, %v", pod.Sandboxes, err)
	}
}

func updateRunning(t *testing.T, p *Pod) {
	config := p.Config("app", "sleep")
	config.Resources = runtime.Resources{CPUShares: 512, MemoryBytes: 64 << 20}
	id := p.Start(config)
	if got := p.Get(id).Resources; got.CPUShares != 512 || got.MemoryBytes != 64<<20 {
		t.Errorf("before: %+v", got)
	}
	if err := p.Runtime.UpdateContainer(t.Context(), id, runtime.Resources{CPUShares: 256, MemoryBytes: 128 << 20}); err != nil {
		t.Fatal(err)
	}
	if got := p.Get(id).Resources; got.CPUShares != 256 || got.MemoryBytes != 128<<20 {
		t.Errorf("after: %+v", got)
	}
}

func removeRunning(t *testing.T, p *Pod) {
	id := p.Start(p.Config("app", "sleep"))
	if err := p.Runtime.RemoveContainer(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	pod, err := p.Runtime.GetPod(t.Context(), p.Ref.UID)
	if err != nil || len(pod.Containers) != 0 {
		t.Errorf("GetPod: %+v, %v", pod, err)
	}
}

func severalTries(t *testing.T, p *Pod) {
	for attempt := range 3 {
		config := p.Config("app", "exit", "1")
		config.Attempt = attempt
		p.WaitEnded(p.Start(config))
	}
	pod, err := p.Runtime.GetPod(t.Context(), p.Ref.UID)
	if err != nil || len(pod.Containers) != 3 {
		t.Fatalf("GetPod: %+v, %v", pod, err)
	}
	for i, c := range pod.Containers {
		if c.Attempt != 2-i {
			t.Errorf("container %d is of attempt %d; want the newest first", i, c.Attempt)
		}
	}
	if pod.Container("app").Attempt != 2 {
		t.Error("Container does not return the newest")
	}
}

func parallelStarts(t *testing.T, p *Pod) {
	var group errgroup.Group
	for i := range 4 {
		group.Go(func() error {
			id, err := p.Runtime.CreateContainer(t.Context(), p.Config(fmt.Sprintf("app-%d", i), "sleep"))
			if err != nil {
				return err
			}
			return p.Runtime.StartContainer(t.Context(), id)
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	pod, err := p.Runtime.GetPod(t.Context(), p.Ref.UID)
	if err != nil || len(pod.Containers) != 4 {
		t.Errorf("GetPod: %d containers, %v", len(pod.Containers), err)
	}
}
