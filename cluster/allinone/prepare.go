package allinone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/skiff-project/skiff/nodeagent/images"
	"github.com/skiff-project/skiff/nodeagent/runtime/docker"
)

// prepareNode puts in place what the node agent and the pod network find on a
// node: folders, the CNI plugin and the pause image.
func (p *process) prepareNode(ctx context.Context) error {
	for _, dir := range []string{p.cfg.DataDir.Kubelet(), p.cfg.DataDir.PodLogs(), p.cfg.DataDir.CNIConf(), p.cfg.DataDir.CNIBin(), p.cfg.DataDir.CNIState(), p.cfg.DataDir.CNICache()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("creating the node's folders: %w", err)
		}
	}
	if err := install(filepath.Join(p.cfg.ProgramDir, "skiff-cni"), filepath.Join(p.cfg.DataDir.CNIBin(), "skiff-cni")); err != nil {
		return fmt.Errorf("installing the CNI plugin: %w", err)
	}
	engine, err := docker.New(docker.Config{Host: p.cfg.DockerHost})
	if err != nil {
		return fmt.Errorf("reaching Docker: %w", err)
	}
	defer engine.Close()
	if err := images.EnsurePause(ctx, engine, PauseImage, filepath.Join(p.cfg.ProgramDir, "skiff-pause")); err != nil {
		return fmt.Errorf("providing the pause image: %w", err)
	}
	return nil
}

// install copies a program unless the same is already there. It renames it into
// place, since the old one may be running at this very moment.
func install(from, to string) error {
	wanted, err := os.ReadFile(from)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is missing: it belongs beside the skiff binary (make build makes both)", from)
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", from, err)
	}
	if present, err := os.ReadFile(to); err == nil && bytes.Equal(present, wanted) {
		return nil
	}
	temporary := to + ".new"
	if err := os.WriteFile(temporary, wanted, 0o755); err != nil {
		return fmt.Errorf("writing %s: %w", temporary, err)
	}
	if err := os.Rename(temporary, to); err != nil {
		return fmt.Errorf("putting %s in place: %w", to, err)
	}
	return nil
}
