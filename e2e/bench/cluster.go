package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/skiff-project/skiff/cluster/layout"
	"github.com/skiff-project/skiff/cluster/process"
)

// cluster is the one under measurement, driven by its own commands.
type cluster struct{ skiff, dataDir, kubeconfig string }

func (c *cluster) run(ctx context.Context, command string, args ...string) error {
	cmd := exec.CommandContext(ctx, c.skiff, append([]string{command, "--data-dir", c.dataDir}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "SUDO_USER=")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("skiff %s: %w\n%s", command, err, output.String())
	}
	return nil
}

func (c *cluster) client() (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS = -1
	return kubernetes.NewForConfig(config)
}

func (c *cluster) pid() (int, error) {
	content, err := os.ReadFile(filepath.Join(c.dataDir, "skiff.lock"))
	if err != nil {
		return 0, fmt.Errorf("finding the process: %w", err)
	}
	var info process.Info
	if err := json.Unmarshal(content, &info); err != nil {
		return 0, fmt.Errorf("finding the process: %w", err)
	}
	return info.PID, nil
}

// awaitEnd waits until the process has given its lock back; its entry in the
// process table may stay for longer, where nobody reaps it.
func (c *cluster) awaitEnd(ctx context.Context) error {
	for ctx.Err() == nil {
		info, err := process.Running(layout.DataDir(c.dataDir).Lock())
		if err != nil || info == nil {
			return err
		}
		wait(ctx, 10*time.Millisecond)
	}
	return ctx.Err()
}

// measureStarts times `skiff up` on an empty data directory, after `down`, and
// after the process was killed.
func measureStarts(ctx context.Context, c *cluster, r *report, rounds int) error {
	var cold, kept, killed []time.Duration
	up := func(into *[]time.Duration) error {
		start := time.Now()
		err := c.run(ctx, "up")
		*into = append(*into, time.Since(start))
		return err
	}
	for range rounds {
		if err := c.run(ctx, "down", "--purge", "--grace", "0s"); err != nil {
			return err
		}
		if err := up(&cold); err != nil {
			return err
		}
		if err := c.run(ctx, "down", "--grace", "0s"); err != nil {
			return err
		}
		if err := up(&kept); err != nil {
			return err
		}
		pid, err := c.pid()
		if err != nil {
			return err
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return fmt.Errorf("killing the process: %w", err)
		}
		if err := c.awaitEnd(ctx); err != nil {
			return err
		}
		if err := up(&killed); err != nil {
			return err
		}
	}
	r.durations("skiff up, empty data directory, to node Ready", cold, 3*time.Second, nil)
	r.durations("skiff up after down, state kept", kept, 2*time.Second, nil)
	r.durations("skiff up after kill -9", killed, 2*time.Second, nil)
	return nil
}

// measureIdle watches a cluster that nobody uses.
func measureIdle(ctx context.Context, c *cluster, r *report, period time.Duration) error {
	pid, err := c.pid()
	if err != nil {
		return err
	}
	wait(ctx, 15*time.Second) // what a start leaves to do
	requests, err := c.requestCount(ctx)
	if err != nil {
		return err
	}
	before, err := process.UsageOf(pid)
	if err != nil {
		return err
	}
	wait(ctx, period)
	after, err := process.UsageOf(pid)
	if err != nil {
		return err
	}
	more, err := c.requestCount(ctx)
	if err != nil {
		return err
	}
	r.value("idle memory, whole process", fmt.Sprintf("%d MiB RSS", after.RSS>>20), "250 MiB")
	r.value("idle CPU", fmt.Sprintf("%.2f%% of a core over %s", 100*(after.CPU-before.CPU).Seconds()/period.Seconds(), period), "1.5%")
	r.value("idle API requests", fmt.Sprintf("%.2f/s", (more-requests-1)/period.Seconds()), "")
	return nil
}

func wait(ctx context.Context, period time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(period):
	}
}
