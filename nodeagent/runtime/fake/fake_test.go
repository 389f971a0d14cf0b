package fake

import (
	"context"
	"errors"
	"testing"

	"k8s.io/utils/clock"

	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/runtime/runtimetest"
)

func TestScenarios(t *testing.T) {
	engine := New(clock.RealClock{})
	image := engine.AddImage("docker.io/test/app:1")
	runtimetest.Run(t, runtimetest.Env{Runtime: engine, Image: image, Program: "/app", Pause: "skiff/pause:1"})
}

func TestControls(t *testing.T) {
	engine := New(clock.RealClock{})
	image := engine.AddImage("docker.io/library/app:1")
	if got, err := engine.InspectImage(t.Context(), "docker.io/library/app:1"); err != nil || got.RepoTags[0] != "app:1" {
		t.Errorf("InspectImage: %+v, %v", got, err)
	}
	pod := runtimetest.NewPod(t, runtimetest.Env{Runtime: engine, Image: image, Program: "/app"})
	refused := errors.New("refused")
	engine.Fail("CreateContainer", refused)
	if _, err := engine.CreateContainer(t.Context(), pod.Config("app", "sleep")); !errors.Is(err, refused) {
		t.Errorf("got %v, want the error that was asked for", err)
	}
	id := pod.Start(pod.Config("app", "sleep"))
	engine.Exit(id, 137, runtime.ReasonOOMKilled)
	if c := pod.Get(id); c.State != runtime.StateExited || c.Reason != runtime.ReasonOOMKilled || c.ExitCode != 137 {
		t.Errorf("after Exit: %+v", c)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watch := engine.Watch(ctx)
	<-watch
	second := pod.Start(func() runtime.ContainerConfig { c := pod.Config("app", "sleep"); c.Attempt = 1; return c }())
	if event := <-watch; event.Type != runtime.EventStarted {
		t.Fatalf("got %+v", event)
	}
	engine.Restart(false)
	if event := <-watch; event.Type != runtime.EventResync {
		t.Errorf("after a restart of the engine: %+v", event)
	}
	if c := pod.Get(second); c.State != runtime.StateExited {
		t.Errorf("after a restart of the engine: %+v", c)
	}
	engine.Lose(second)
	if event := <-watch; event.Type != runtime.EventRemoved || event.ContainerID != second {
		t.Errorf("after Lose: %+v", event)
	}
}
