// Package local is the life of the all-in-one cluster on this machine, as the
// commands up, down, status and logs see it.
package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/skiff-project/skiff/cluster/allinone"
	"github.com/skiff-project/skiff/cluster/layout"
	"github.com/skiff-project/skiff/cluster/pki"
	"github.com/skiff-project/skiff/cluster/preflight"
	"github.com/skiff-project/skiff/cluster/process"
	"github.com/skiff-project/skiff/cluster/progress"
)

// needBytes is the free space below which no start is tried: etcd refuses to
// write on a full disk, and a start that fails half-way helps nobody.
const needBytes = 256 << 20

// Kubeconfig says whose kubeconfig gets the context "skiff".
type Kubeconfig struct {
	Path string // empty: leave kubeconfigs alone
}

// Check asks the machine whether cfg can run on it, and changes nothing.
func Check(ctx context.Context, cfg allinone.Config) error {
	if err := preflight.Run(ctx, preflight.Root("skiff up")); err != nil {
		return err // the other answers would be misleading
	}
	return preflight.Run(ctx,
		func(context.Context) error { return cfg.DataDir.CheckFormat() },
		preflight.FreeSpace(string(cfg.DataDir), needBytes),
		preflight.PortFree("", cfg.SecurePort, "--secure-port"),
		preflight.PortFree("", cfg.KubeletPort, "--kubelet-port"),
		preflight.PortFree("", cfg.ProxyHealthPort, "--proxy-health-port"),
		preflight.Programs("iptables (Debian package iptables)", "iptables", "iptables-save", "iptables-restore"),
		preflight.Docker(cfg.DockerHost),
	)
}

// Detached starts `skiff up --foreground` (executable with args) in the
// background and prints its steps until the node is Ready. If it fails, the
// process has ended when Detached returns.
func Detached(ctx context.Context, dir layout.DataDir, executable string, args []string, out io.Writer) error {
	child, events, err := process.Detach(executable, args, dir.Log("skiff"))
	if err != nil {
		return err
	}
	defer events.Close()
	stopWatching := context.AfterFunc(ctx, func() { _ = events.Close() })
	defer stopWatching()

	last, err := progress.Read(events, &progress.Printer{Out: out})
	if err == nil && last.Done {
		return child.Release()
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = errors.New("the node did not become Ready in time; see: skiff logs nodeagent")
	case ctx.Err() != nil:
		err = errors.New("interrupted: the start was given up")
	}
	if stopErr := child.Signal(syscall.SIGTERM); stopErr != nil && !errors.Is(stopErr, os.ErrProcessDone) {
		err = errors.Join(err, fmt.Errorf("stopping the failed process: %w", stopErr))
	}
	_, _ = child.Wait()
	if last.Error != "" {
		return errors.New(last.Error)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the process ended without a word; its output is in %s", dir.Log("skiff"))
	}
	return err
}

// Foreground runs the cluster in this process until ctx ends. It reports its
// steps to report, a failed start included.
func Foreground(ctx context.Context, cfg allinone.Config, args []string, report progress.Reporter) error {
	err := foreground(ctx, cfg, args, report)
	switch {
	case err != nil:
		report.Report(progress.Event{Error: err.Error()})
	case ctx.Err() != nil: // after Done nobody listens any more
		report.Report(progress.Event{Error: "it was stopped before the node became Ready"})
	}
	return err
}

func foreground(ctx context.Context, cfg allinone.Config, args []string, report progress.Reporter) error {
	if err := os.MkdirAll(cfg.DataDir.Logs(), 0o700); err != nil {
		return fmt.Errorf("creating the data directory: %w", err)
	}
	lock, err := process.Acquire(cfg.DataDir.Lock(), process.Info{
		PID: os.Getpid(), StartedAt: time.Now(), Version: cfg.Version, Arguments: args,
		Server:   ServerURL(cfg),
		NodeName: cfg.NodeName,
	})
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := cfg.DataDir.WriteFormat(cfg.Version); err != nil {
		return err
	}
	return allinone.Run(ctx, cfg, report)
}

// ServerURL is where clients on this machine reach the API server.
func ServerURL(cfg allinone.Config) string {
	return "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(cfg.SecurePort))
}

// WriteKubeconfig merges the context "skiff" of a running cluster into the
// user's kubeconfig.
func WriteKubeconfig(dir layout.DataDir, target Kubeconfig) error {
	if target.Path == "" {
		return nil
	}
	if err := pki.MergeKubeconfig(target.Path, dir.AdminKubeconfig(), ContextName); err != nil {
		return fmt.Errorf("the cluster is up, but its context %q was not added to your kubeconfig (%s works as well): %w", ContextName, dir.AdminKubeconfig(), err)
	}
	return nil
}

// ContextName is the kubeconfig context of the all-in-one cluster.
const ContextName = "skiff"
