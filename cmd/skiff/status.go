package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/skiff-project/skiff/cluster/local"
)

func statusCommand() *cobra.Command {
	var o localOptions
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say what runs, since when, what it uses and what is wrong",
		Long: `Say what runs, since when, how much memory and CPU it uses and what is wrong.
The exit code is 0 if all is well, and 1 if skiff does not run or has problems.`,
		Example: "  skiff status",
		GroupID: groupCluster,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := o.dir()
			if err != nil {
				return err
			}
			status, err := local.ReadStatus(cmd.Context(), dir)
			if err != nil {
				return err
			}
			status.Print(cmd.OutOrStdout(), time.Now())
			if status.Process == nil {
				return fmt.Errorf("not running")
			}
			if n := len(status.Problems); n > 0 {
				return fmt.Errorf("%d problems found", n)
			}
			return nil
		},
	}
	o.addDataDir(cmd.Flags())
	return cmd
}
