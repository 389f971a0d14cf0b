package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/skiff-project/skiff/cluster/layout"
	"github.com/skiff-project/skiff/cluster/pki"
	"github.com/skiff-project/skiff/cluster/preflight"
	"github.com/skiff-project/skiff/cluster/process"
	"github.com/skiff-project/skiff/cluster/progress"
	"github.com/skiff-project/skiff/cluster/teardown"
)

// DownOptions says what to take down.
type DownOptions struct {
	DataDir    layout.DataDir
	DockerHost string
	// Grace is how long containers may take to end after SIGTERM.
	Grace time.Duration
	// Purge removes the data directory and the kubeconfig context, too.
	Purge      bool
	Kubeconfig Kubeconfig
}

// stopTimeout is how long the process may take to end by itself.
const stopTimeout = 30 * time.Second

// Down stops the cluster and removes everything it made on the machine. Every
// step is tried even if one before it failed; doing it twice does no harm.
func Down(ctx context.Context, o DownOptions, report progress.Reporter) error {
	if err := preflight.Run(ctx, preflight.Root("skiff down")); err != nil {
		return err
	}
	if o.Purge {
		if err := purgeable(o.DataDir); err != nil {
			return err
		}
	}
	info, err := process.Running(o.DataDir.Lock())
	if err != nil {
		return err
	}
	if info != nil {
		stop := func() error { return process.Stop(o.DataDir.Lock(), info, stopTimeout) }
		if err := progress.Time(report, "skiff stopped", stop); err != nil {
			return err // tearing down under a live process would fight with it
		}
	}
	problems := []error{teardown.Node(ctx, teardown.Config{
		DataDir: o.DataDir, DockerHost: o.DockerHost, Grace: o.Grace,
	}, report)}
	if o.Purge {
		problems = append(problems, progress.Time(report, "data removed", func() error {
			return errors.Join(removeContext(o.Kubeconfig), removeAll(o.DataDir))
		}))
	}
	return errors.Join(problems...)
}

func removeContext(target Kubeconfig) error {
	if target.Path == "" {
		return nil
	}
	if err := pki.RemoveContext(target.Path, ContextName); err != nil {
		return fmt.Errorf("removing the context %q from %s: %w", ContextName, target.Path, err)
	}
	return nil
}

// removeAll removes the data directory, and the file by which it is known as
// skiff's last of all, so that a removal that failed half-way can be tried again.
func removeAll(dir layout.DataDir) error {
	mounts, err := teardown.MountsUnder(string(dir))
	if err != nil {
		return err
	}
	if len(mounts) > 0 {
		return fmt.Errorf("%s is kept: removing it would reach into what is mounted on %s", dir, mounts[0])
	}
	entries, err := os.ReadDir(string(dir))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("reading the data directory: %w", err)
	}
	for _, entry := range entries {
		path := filepath.Join(string(dir), entry.Name())
		if path == dir.FormatFile() {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("removing the data directory: %w", err)
		}
	}
	if err := os.RemoveAll(string(dir)); err != nil {
		return fmt.Errorf("removing the data directory: %w", err)
	}
	return nil
}

// purgeable refuses to remove a folder that no skiff has written: a mistyped
// --data-dir must not cost anybody their files.
func purgeable(dir layout.DataDir) error {
	entries, err := os.ReadDir(string(dir))
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the data directory: %w", err)
	}
	if _, err := os.Stat(dir.FormatFile()); err != nil {
		return fmt.Errorf("%s is not a skiff data directory (it has no %s): nothing was removed", dir, filepath.Base(dir.FormatFile()))
	}
	return nil
}
