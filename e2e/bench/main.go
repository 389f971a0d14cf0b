// Command bench measures what a user of skiff feels: how fast a cluster starts,
// how fast a pod becomes Ready, and what an idle cluster costs. It prints a table,
// with Docker's own time for the same containers as the floor, measured in the
// same run. It needs root, Docker and built binaries (SKIFF_BIN), and no cluster
// running on this machine.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	rounds := flag.Int("rounds", 5, "repetitions of each start")
	pods := flag.Int("pods", 15, "pods created one after the other")
	burst := flag.Int("burst", 20, "pods created at once")
	idle := flag.Duration("idle", 30*time.Second, "how long to watch the idle cluster")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "Usage: bench [flags]\n\nExample:\n  SKIFF_BIN=bin go run ./e2e/bench -rounds 3\n\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *rounds, *pods, *burst, *idle); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds, pods, burst int, idle time.Duration) (err error) {
	dir, err := os.MkdirTemp("", "skiff-bench-")
	if err != nil {
		return fmt.Errorf("making a data directory: %w", err)
	}
	defer os.RemoveAll(dir)
	bin := os.Getenv("SKIFF_BIN")
	if bin == "" {
		bin = "bin"
	}
	c := &cluster{skiff: filepath.Join(bin, "skiff"), dataDir: filepath.Join(dir, "data"), kubeconfig: filepath.Join(dir, "kubeconfig")}
	defer func() {
		if downErr := c.run(context.WithoutCancel(ctx), "down", "--purge", "--grace", "0s"); err == nil {
			err = downErr
		}
	}()
	var table report
	for _, measure := range []func(context.Context, *cluster, *report) error{
		func(ctx context.Context, c *cluster, r *report) error { return measureStarts(ctx, c, r, rounds) },
		func(ctx context.Context, c *cluster, r *report) error { return measureIdle(ctx, c, r, idle) },
		func(ctx context.Context, c *cluster, r *report) error { return measurePods(ctx, c, r, pods) },
		func(ctx context.Context, c *cluster, r *report) error { return measureBurst(ctx, c, r, burst) },
	} {
		if err := measure(ctx, c, &table); err != nil {
			return err
		}
	}
	table.print(os.Stdout)
	return nil
}
