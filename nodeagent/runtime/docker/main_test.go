package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/skiff-project/skiff/nodeagent/images"
	"github.com/skiff-project/skiff/nodeagent/runtime/runtimetest"
)

// engine is the real engine with images of this run; noEngine says why there is none.
var (
	engine   *Runtime
	testEnv  runtimetest.Env
	noEngine string
)

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	cleanup, err := prepare()
	defer cleanup()
	if err != nil { // there is an engine: tests that skip here would hide what is broken
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// prepare connects to the Docker Engine, if there is one, and makes images from
// our own binaries: no registry is needed.
func prepare() (cleanup func(), err error) {
	cleanup = func() {}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	run := uuid.NewString()[:8]
	engine, err = New(Config{Host: os.Getenv("DOCKER_HOST"), Node: "test-" + run})
	if err != nil {
		return cleanup, err
	}
	if _, err := engine.Info(ctx); err != nil {
		noEngine = err.Error()
		return cleanup, nil
	}
	dir, err := os.MkdirTemp("", "skiff-docker-test-")
	if err != nil {
		return cleanup, err
	}
	app, pause := "skiff-test/app:"+run, "skiff-test/pause:"+run
	cleanup = func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, ref := range []string{app, pause} {
			if err := engine.RemoveImage(ctx, ref); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
		os.RemoveAll(dir)
	}
	for output, source := range map[string]string{"app": "./testdata/app", "pause": "../../../cmd/skiff-pause"} {
		command := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, output), source)
		command.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := command.CombinedOutput(); err != nil {
			return cleanup, fmt.Errorf("building %s: %w: %s", source, err, text)
		}
	}
	if err := images.EnsurePause(ctx, engine, pause, filepath.Join(dir, "pause")); err != nil {
		return cleanup, err
	}
	if err := importApp(ctx, app, filepath.Join(dir, "app")); err != nil {
		return cleanup, err
	}
	image, err := engine.InspectImage(ctx, app)
	testEnv = runtimetest.Env{Runtime: engine, Image: image, Program: "/app", Pause: pause}
	return cleanup, err
}

// importApp makes an image with the test program, some folders and a default command.
func importApp(ctx context.Context, ref, binary string) error {
	content, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	for _, header := range []*tar.Header{
		{Name: "app", Mode: 0o755, Size: int64(len(content))},
		{Name: "tmp/", Mode: 0o1777, Typeflag: tar.TypeDir},
		{Name: "data/", Mode: 0o777, Typeflag: tar.TypeDir},
	} {
		if err := writer.WriteHeader(header); err != nil {
			return err
		}
		if header.Size > 0 {
			if _, err := writer.Write(content); err != nil {
				return err
			}
		}
	}
	if err := writer.Close(); err != nil {
		return err
	}
	return engine.ImportImage(ctx, ref, &archive, []string{`ENTRYPOINT ["/app"]`, `CMD ["echo","from","the","image"]`, "ENV FROM_IMAGE=yes", "WORKDIR /data"})
}

// env returns the real engine, or skips the test.
func env(t testing.TB) runtimetest.Env {
	t.Helper()
	if noEngine != "" {
		t.Skipf("no Docker Engine to test with: %s", noEngine)
	}
	return testEnv
}

func TestScenarios(t *testing.T) {
	runtimetest.Run(t, env(t))
}
