package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"

	"github.com/skiff-project/skiff/cni/daemon"
	"github.com/skiff-project/skiff/controllers"
	"github.com/skiff-project/skiff/nodeagent"
	"github.com/skiff-project/skiff/proxy"
	"github.com/skiff-project/skiff/scheduler"
	"github.com/skiff-project/skiff/server"
)

// runner is a component that works until its context ends.
type runner interface {
	Run(ctx context.Context) error
}

// options is what every component's command line gives.
type options interface {
	AddFlags(fs *pflag.FlagSet)
	Validate() []error
}

func componentCommands() []*cobra.Command {
	apiserver := server.NewOptions()
	manager := controllers.NewOptions()
	sched := scheduler.NewOptions()
	agent := nodeagent.NewOptions()
	serviceProxy := proxy.NewOptions()
	network := daemon.NewOptions()
	return []*cobra.Command{
		componentCommand("apiserver", "The API server, on embedded or external etcd",
			"skiff apiserver --data-dir /var/lib/skiff --secure-port 6443\n"+
				"  skiff apiserver --etcd-servers https://10.0.0.1:2379 --etcd-cafile ca.crt --etcd-certfile client.crt --etcd-keyfile client.key",
			apiserver, func(ctx context.Context) (runner, error) {
				if err := apiserver.Complete(); err != nil {
					return nil, err
				}
				return server.New(ctx, apiserver)
			}),
		componentCommand("controller-manager", "The controllers",
			"skiff controller-manager --kubeconfig /var/lib/skiff/pki/controller-manager.conf", manager, build(manager.Config, controllers.New)),
		componentCommand("scheduler", "The scheduler",
			"skiff scheduler --kubeconfig /var/lib/skiff/pki/scheduler.conf", sched, build(sched.Config, scheduler.New)),
		componentCommand("nodeagent", "The node agent: pods as containers of Docker Engine",
			"skiff nodeagent --kubeconfig /var/lib/skiff/pki/kubelet.conf", agent, build(agent.Config, nodeagent.New)),
		componentCommand("proxy", "The Service proxy",
			"skiff proxy --kubeconfig /var/lib/skiff/pki/kube-proxy.conf --cluster-cidr 10.244.0.0/16", serviceProxy, build(serviceProxy.Config, proxy.New)),
		componentCommand("cni", "The pod network daemon",
			"skiff cni --kubeconfig /var/lib/skiff/pki/cni.conf", network, build(network.Config, daemon.New)),
	}
}

// build joins a component's two constructors.
func build[C any, R runner](config func() (C, error), construct func(C) (R, error)) func(context.Context) (runner, error) {
	return func(context.Context) (runner, error) {
		c, err := config()
		if err != nil {
			return nil, err
		}
		return construct(c)
	}
}

func componentCommand(name, short, example string, o options, construct func(context.Context) (runner, error)) *cobra.Command {
	var verbosity int
	cmd := &cobra.Command{
		Use:     name,
		Short:   short,
		Example: "  " + example,
		GroupID: groupComponent,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(o.Validate()...); err != nil {
				return err
			}
			logger := textlogger.NewLogger(textlogger.NewConfig(textlogger.Verbosity(verbosity)))
			ctx := klog.NewContext(cmd.Context(), logger)
			component, err := construct(ctx)
			if err != nil {
				return fmt.Errorf("building the %s: %w", name, err)
			}
			return component.Run(ctx)
		},
	}
	o.AddFlags(cmd.Flags())
	cmd.Flags().IntVarP(&verbosity, "v", "v", 0, "verbosity of the log")
	return cmd
}
