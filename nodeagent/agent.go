package nodeagent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/skiff-project/skiff/nodeagent/network"
	"github.com/skiff-project/skiff/nodeagent/node"
	"github.com/skiff-project/skiff/nodeagent/pods"
	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/runtime/docker"
)

// enginePeriod is how often a container engine that does not answer is asked again.
const enginePeriod = 500 * time.Millisecond

// Agent is a node agent.
type Agent struct {
	config  Config
	client  kubernetes.Interface
	engine  runtime.Runtime
	network *network.Network

	changed chan struct{} // holds one token: the network may have changed
}

// New returns an agent that has not touched anything yet.
func New(config Config) (*Agent, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	engine, err := docker.New(docker.Config{Host: config.DockerHost, Node: config.NodeName})
	if err != nil {
		return nil, err
	}
	return newAgent(config, engine)
}

// newAgent makes an agent on any engine.
func newAgent(config Config, engine runtime.Runtime) (*Agent, error) {
	// The API server guards itself; a limit here only makes pods start late.
	restConfig := rest.CopyConfig(config.RESTConfig)
	restConfig.QPS = -1
	client, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return nil, fmt.Errorf("making the API client: %w", err)
	}
	a := &Agent{config: config, client: client, engine: engine, changed: make(chan struct{}, 1)}
	a.network, err = network.New(network.Config{
		ConfDir: config.CNIConfDir, BinDirs: config.CNIBinDirs, CacheDir: config.CNICacheDir, OnChange: a.networkChanged,
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Agent) networkChanged() {
	select {
	case a.changed <- struct{}{}:
	default: // a token that was not taken yet stands for this change too
	}
}

// Run runs pods until ctx is done. Their containers keep running after that; the
// next run of an agent adopts them.
func (a *Agent) Run(ctx context.Context) error {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName("nodeagent"))
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: a.client.CoreV1().Events("")})
	recorder := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet", Host: a.config.NodeName})

	reporter, err := a.newNode(recorder)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.network.Run(ctx) })
	group.Go(func() error { return reporter.Run(ctx) })
	group.Go(func() error { return a.runPods(ctx, reporter, recorder) })
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("node agent: %w", err)
	}
	return nil
}

func (a *Agent) newNode(recorder record.EventRecorder) (*node.Node, error) {
	return node.New(node.Config{
		Client: a.client, Name: a.config.NodeName, IPs: a.config.NodeIPs, Labels: a.config.NodeLabels, Taints: a.config.RegisterWithTaints,
		MaxPods: a.config.MaxPods, Port: a.config.Port, RootDir: a.config.RootDir,
		Engine: a.engine.Info, Network: a.network.Ready, Images: a.engine.ListImages, Recorder: recorder, Clock: a.config.Clock,
	})
}

// runPods runs everything that needs the engine, once it answers.
func (a *Agent) runPods(ctx context.Context, reporter *node.Node, recorder record.EventRecorder) error {
	listers := a.newListers()
	listers.start(ctx)
	info, err := a.waitForEngine(ctx)
	if err != nil {
		return nil // ctx ended
	}
	parts, err := a.build(ctx, info, listers, recorder, reporter.Trigger)
	if err != nil {
		return err
	}
	defer parts.objects.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return parts.server.Run(ctx) })
	group.Go(func() error { return parts.volumes.Run(ctx) })
	group.Go(func() error {
		parts.writer.Run(ctx)
		return nil
	})
	group.Go(func() error {
		a.passOnNetworkChanges(ctx, reporter, parts.pods)
		return nil
	})
	group.Go(func() error {
		if !listers.wait(ctx) {
			return nil
		}
		if err := listers.feed(ctx, parts.pods); err != nil {
			return err
		}
		parts.pods.Run(ctx)
		return nil
	})
	return group.Wait()
}

func (a *Agent) waitForEngine(ctx context.Context) (runtime.Info, error) {
	var info runtime.Info
	said := false
	err := wait.PollUntilContextCancel(ctx, enginePeriod, true, func(ctx context.Context) (bool, error) {
		var err error
		if info, err = a.engine.Info(ctx); err != nil && !said {
			said = true
			klog.FromContext(ctx).Error(err, "The container engine does not answer; waiting for it")
		}
		return err == nil, nil
	})
	return info, err
}

func (a *Agent) passOnNetworkChanges(ctx context.Context, reporter *node.Node, manager *pods.Manager) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.changed:
			reporter.Trigger()
			manager.WakeAll()
		}
	}
}
