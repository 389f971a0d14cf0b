package docker

import (
	"context"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/google/uuid"

	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/runtime/runtimetest"
)

// BenchmarkPodStart measures a pod's sandbox and container through the runtime,
// and beside it Docker's own create and start of two containers: the floor.
func BenchmarkPodStart(b *testing.B) {
	e := env(b)
	b.Run("runtime", func(b *testing.B) {
		for b.Loop() {
			p := runtimetest.NewPod(b, e)
			p.Start(p.Config("app", "sleep"))
			if pod, err := engine.GetPod(b.Context(), p.Ref.UID); err != nil || pod.Container("app").State != runtime.StateRunning {
				b.Fatalf("%+v, %v", pod, err)
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		var ids []string
		b.Cleanup(func() {
			for _, id := range ids {
				if err := engine.remove(context.Background(), id); err != nil {
					b.Log(err)
				}
			}
		})
		start := func(config *container.Config, host *container.HostConfig) string {
			created, err := engine.client.ContainerCreate(b.Context(), config, host, nil, nil, "skiff-bench-"+uuid.NewString())
			if err != nil {
				b.Fatal(err)
			}
			ids = append(ids, created.ID)
			if err := engine.client.ContainerStart(b.Context(), created.ID, container.StartOptions{}); err != nil {
				b.Fatal(err)
			}
			return created.ID
		}
		for b.Loop() {
			sandbox := start(&container.Config{Image: e.Pause}, &container.HostConfig{NetworkMode: "none", IpcMode: "shareable"})
			start(&container.Config{Image: e.Image.ID, Cmd: []string{"sleep"}},
				&container.HostConfig{NetworkMode: container.NetworkMode("container:" + sandbox), IpcMode: container.IpcMode("container:" + sandbox)})
		}
	})
}
