package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/skiff-project/skiff/cluster/local"
	"github.com/skiff-project/skiff/cluster/progress"
)

func downCommand() *cobra.Command {
	var o localOptions
	var purge bool
	var grace time.Duration
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the cluster and remove its traces from this machine",
		Long: `Stop the cluster and remove its containers, pod network, Service rules and
mounts from this machine. The data stays, so that "skiff up" brings every object
back, unless --purge is given.`,
		Example: `  skiff down
  skiff down --purge           # the data and the kubeconfig context, too`,
		GroupID: groupCluster,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := o.dir()
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if err := local.Down(cmd.Context(), local.DownOptions{
				DataDir: dir, DockerHost: o.dockerHost, Grace: grace, Purge: purge, Kubeconfig: o.kubeconfigTarget(),
			}, &progress.Printer{Out: out}); err != nil {
				return err
			}
			if purge {
				fmt.Fprintln(out, "The cluster is gone.")
			} else {
				fmt.Fprintf(out, "The cluster is down. Its data is kept in %s.\n", dir)
			}
			return nil
		},
	}
	o.addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&purge, "purge", false, "remove the data and the kubeconfig context as well")
	cmd.Flags().DurationVar(&grace, "grace", 5*time.Second, "how long containers may take to end")
	return cmd
}
