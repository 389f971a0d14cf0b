package images

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// Importer makes an image out of a file system.
type Importer interface {
	// ImportImage makes an image of a tar archive, names it ref, and applies
	// instructions of a Dockerfile (ENTRYPOINT, USER, LABEL ...).
	ImportImage(ctx context.Context, ref string, archive io.Reader, instructions []string) error
}

// Engine is what EnsurePause needs of the engine.
type Engine interface {
	runtime.Images
	Importer
}

// pauseUser owns nothing on any host; the pause process needs no rights.
const pauseUser = "65535:65535"

// EnsurePause makes the pause image ref from the static binary at binaryPath
// unless the engine has an image of that name. It needs no registry.
func EnsurePause(ctx context.Context, engine Engine, ref, binaryPath string) error {
	_, err := engine.InspectImage(ctx, ref)
	if err == nil {
		return nil
	}
	if !runtime.IsNotFound(err) {
		return fmt.Errorf("looking for image %s: %w", ref, err)
	}
	binary, err := os.ReadFile(binaryPath)
	if err != nil {
		return fmt.Errorf("reading the pause binary: %w", err)
	}
	archive, err := archiveOf("pause", binary)
	if err != nil {
		return fmt.Errorf("packing the pause binary: %w", err)
	}
	instructions := []string{`ENTRYPOINT ["/pause"]`, "USER " + pauseUser}
	if err := engine.ImportImage(ctx, ref, archive, instructions); err != nil {
		return fmt.Errorf("making image %s: %w", ref, err)
	}
	return nil
}

// archiveOf returns a tar archive with one executable.
func archiveOf(name string, content []byte) (io.Reader, error) {
	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	if err := writer.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
		return nil, err
	}
	if _, err := writer.Write(content); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return &buffer, nil
}
