// Package scheduler gives every pod without a node the one that suits it best.
//
// # Model
//
// One loop takes the first waiting pod (package queue), lets the plugins of its
// profile filter and score the nodes (package framework) as the cache shows them
// (package snapshot), assumes it there, and binds it in the background while the
// next pod is already worked on. A pod that no node can take waits for an event
// that can help, and its event and condition say why.
package scheduler

import (
	"errors"
	"time"

	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/scheduler/framework"
	"github.com/skiff-project/skiff/scheduler/plugins/defaultbinder"
	"github.com/skiff-project/skiff/scheduler/plugins/imagelocality"
	"github.com/skiff-project/skiff/scheduler/plugins/nodeaffinity"
	"github.com/skiff-project/skiff/scheduler/plugins/nodename"
	"github.com/skiff-project/skiff/scheduler/plugins/nodeports"
	"github.com/skiff-project/skiff/scheduler/plugins/noderesources"
	"github.com/skiff-project/skiff/scheduler/plugins/nodeunschedulable"
	"github.com/skiff-project/skiff/scheduler/plugins/prioritysort"
	"github.com/skiff-project/skiff/scheduler/plugins/schedulinggates"
	"github.com/skiff-project/skiff/scheduler/plugins/tainttoleration"
)

// Config is what a scheduler needs. RESTConfig is mandatory; the rest has kube's
// defaults.
type Config struct {
	// RESTConfig reaches the API server as system:kube-scheduler.
	RESTConfig *rest.Config
	// SchedulerName is the spec.schedulerName of the pods that it takes care of.
	SchedulerName string

	// LeaderElect lets one of several schedulers work at a time.
	LeaderElect   bool
	LeaseDuration time.Duration // 15 s
	RenewDeadline time.Duration // 10 s
	RetryPeriod   time.Duration // 2 s

	Clock clock.WithTicker
}

func (c *Config) complete() error {
	if c.RESTConfig == nil {
		return errors.New("the scheduler needs a RESTConfig")
	}
	if c.SchedulerName == "" {
		c.SchedulerName = corev1.DefaultSchedulerName
	}
	if c.LeaseDuration == 0 {
		c.LeaseDuration, c.RenewDeadline, c.RetryPeriod = 15*time.Second, 10*time.Second, 2*time.Second
	}
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	return nil
}

// defaultProfile is the plugins with kube's order and weights, as far as they
// exist.
func defaultProfile(name string, pods corev1client.PodsGetter) (*framework.Profile, error) {
	return framework.NewProfile(name, []framework.Weighted{
		{Plugin: schedulinggates.Plugin{}},
		{Plugin: prioritysort.Plugin{}},
		{Plugin: nodeunschedulable.Plugin{}},
		{Plugin: nodename.Plugin{}},
		{Plugin: tainttoleration.Plugin{}, Weight: 3},
		{Plugin: nodeaffinity.Plugin{}, Weight: 2},
		{Plugin: nodeports.Plugin{}},
		{Plugin: noderesources.Fit{}, Weight: 1},
		{Plugin: noderesources.Balanced{}, Weight: 1},
		{Plugin: imagelocality.Plugin{}, Weight: 1},
		{Plugin: defaultbinder.Plugin{Pods: pods}},
	})
}

// newClient returns the scheduler's client. Its own queue sets the pace, so the
// client does not limit it.
func newClient(config *rest.Config) (kubernetes.Interface, error) {
	unlimited := rest.CopyConfig(config)
	unlimited.QPS = -1
	return kubernetes.NewForConfig(unlimited)
}
