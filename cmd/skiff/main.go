// Command skiff is Kubernetes in one binary: the whole cluster by `skiff up`, or
// each component alone.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends what does not end by itself
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "skiff: %v\n", err)
		stop()
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "skiff",
		Short: "Kubernetes in one binary, on the Docker Engine that is already there",
		Example: `  skiff up                     # a cluster on this machine, in seconds
  kubectl get nodes
  skiff down --purge           # and no trace of it`,
		SilenceUsage:  true,
		SilenceErrors: true, // main prints them, once
	}
	root.AddGroup(
		&cobra.Group{ID: groupCluster, Title: "The cluster on this machine:"},
		&cobra.Group{ID: groupComponent, Title: "One component alone:"},
	)
	root.AddCommand(upCommand(), downCommand(), statusCommand(), logsCommand(), kubectlCommand(), versionCommand())
	root.AddCommand(componentCommands()...)
	return root
}

const (
	groupCluster   = "cluster"
	groupComponent = "component"
)
