package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"
)

// kubectlCommand is stock kubectl, for machines that have none. Its flags are
// its own, so cobra must not touch them.
func kubectlCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "kubectl ARGS...",
		Short:              "Stock kubectl",
		Example:            "  skiff kubectl get pods --all-namespaces",
		GroupID:            groupCluster,
		DisableFlagParsing: true,
		Run: func(_ *cobra.Command, args []string) {
			signal.Reset(os.Interrupt, syscall.SIGTERM) // kubectl ends by them, or has its own way
			streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
			stock := kubectl.NewDefaultKubectlCommandWithArgs(kubectl.KubectlOptions{
				PluginHandler: kubectl.NewDefaultPluginHandler([]string{"kubectl"}),
				Arguments:     append([]string{"kubectl"}, args...),
				ConfigFlags:   genericclioptions.NewConfigFlags(true).WithDeprecatedPasswordFlag(),
				IOStreams:     streams,
			})
			stock.SetArgs(args)
			if err := cli.RunNoErrOutput(stock); err != nil {
				cmdutil.CheckErr(err) // prints as kubectl does, and exits
			}
		},
	}
}
