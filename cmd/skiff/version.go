package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/component-base/version"
)

// skiffVersion is set by the linker.
var skiffVersion = "dev"

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of skiff and of the Kubernetes it serves",
		Example: "  skiff version",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "skiff %s (Kubernetes %s)\n", skiffVersion, version.Get().GitVersion)
			return err
		},
	}
}
