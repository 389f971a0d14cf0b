package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/skiff-project/skiff/cluster/allinone"
	"github.com/skiff-project/skiff/cluster/local"
)

func logsCommand() *cobra.Command {
	var o localOptions
	var log local.LogOptions
	cmd := &cobra.Command{
		Use:   "logs [COMPONENT]",
		Short: "Show the log of the cluster's process or of one component",
		Long: "Show the log of the cluster's process or of one component: " +
			strings.Join(allinone.Components, ", ") + ".",
		Example: `  skiff logs
  skiff logs nodeagent --follow --tail 20`,
		GroupID:   groupCluster,
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1)),
		ValidArgs: allinone.Components,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := o.dir()
			if err != nil {
				return err
			}
			log.DataDir = dir
			if len(args) == 1 {
				log.Component = args[0]
			}
			return local.Logs(cmd.Context(), log, cmd.OutOrStdout())
		},
	}
	o.addDataDir(cmd.Flags())
	cmd.Flags().IntVar(&log.Tail, "tail", -1, "show only that many of the last lines")
	cmd.Flags().BoolVarP(&log.Follow, "follow", "f", false, "go on with what is added")
	return cmd
}
