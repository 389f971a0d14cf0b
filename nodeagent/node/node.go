// Package node keeps this machine's Node object: it registers it, renews its
// lease, and reports capacity, conditions and images.
//
// # Model
//
// A pure function (Describe) turns facts about the machine into the node's
// status. The status is computed anew when something says so (Trigger) and every
// half minute for what has no event (memory, disk), but written only if it
// differs or when a heartbeat is due. That the node lives is told by its Lease,
// every ten seconds (KEP-589).
package node

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// Config is what a Node needs; all is mandatory unless marked.
type Config struct {
	Client kubernetes.Interface
	Name   string
	IPs    []netip.Addr // the primary one first
	// Labels and Taints of the machine's administrator; may be empty.
	Labels  map[string]string
	Taints  []corev1.Taint
	MaxPods int
	Port    int    // of the kubelet API
	RootDir string // its file system is the node's ephemeral storage

	// Engine describes the container engine; an error means that it is down.
	Engine func(ctx context.Context) (runtime.Info, error)
	// Network is nil if pods can get addresses, else it says why not.
	Network func() error
	// Images lists what the engine has.
	Images   func(ctx context.Context) ([]runtime.Image, error)
	Recorder record.EventRecorder
	Clock    clock.WithTicker
}

// The periods that kube's users know: a lease of 40 s renewed every 10 s, a
// heartbeat in the status every 5 minutes.
const (
	leaseDuration = 40 * time.Second
	checkPeriod   = 30 * time.Second
	reportPeriod  = 5 * time.Minute
	engineTimeout = 30 * time.Second
)

// retryBackoff is how what the API server refused is tried again.
var retryBackoff = wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Jitter: 0.1, Steps: 10, Cap: 7 * time.Second}

// Node reports for one machine.
type Node struct {
	cfg     Config
	trigger chan struct{}
	written time.Time                 // of the last status
	uid     atomic.Pointer[types.UID] // of the Node object, the lease's owner
}

// New checks the configuration; it does no I/O.
func New(cfg Config) (*Node, error) {
	for _, missing := range []struct {
		is   bool
		what string
	}{
		{cfg.Client == nil, "Client"}, {cfg.Name == "", "Name"}, {len(cfg.IPs) == 0, "IPs"}, {cfg.MaxPods == 0, "MaxPods"},
		{cfg.RootDir == "", "RootDir"}, {cfg.Engine == nil, "Engine"}, {cfg.Network == nil, "Network"},
		{cfg.Images == nil, "Images"}, {cfg.Recorder == nil, "Recorder"}, {cfg.Clock == nil, "Clock"},
	} {
		if missing.is {
			return nil, errors.New("the node needs " + missing.what)
		}
	}
	return &Node{cfg: cfg, trigger: make(chan struct{}, 1)}, nil
}

// Trigger makes the node look at its status at once, after the engine or the
// network has changed.
func (n *Node) Trigger() {
	select {
	case n.trigger <- struct{}{}:
	default:
	}
}

// Run registers the node and reports until ctx ends.
func (n *Node) Run(ctx context.Context) error {
	logger := klog.FromContext(ctx)
	err := retryBackoff.DelayFunc().Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		err := n.register(ctx)
		if err != nil && ctx.Err() == nil {
			logger.Error(err, "Registering the node; will be tried again", "node", n.cfg.Name)
		}
		return err == nil, nil
	})
	if err != nil {
		return nil // ctx ended
	}
	var renewal sync.WaitGroup
	renewal.Go(func() { n.renewLease(ctx) })
	defer renewal.Wait()
	ticker := n.cfg.Clock.NewTicker(checkPeriod)
	defer ticker.Stop()
	delay := retryBackoff.DelayFunc()
	for {
		err := n.report(ctx)
		if ctx.Err() != nil {
			return nil
		}
		retry := time.Duration(0)
		if err != nil {
			logger.Error(err, "Reporting the node's status; will be tried again", "node", n.cfg.Name)
			retry = delay()
		} else {
			delay = retryBackoff.DelayFunc()
		}
		n.pause(ctx, ticker, retry)
	}
}

// pause returns when a report is due: after retry, if that is not zero, at the
// latest.
func (n *Node) pause(ctx context.Context, ticker clock.Ticker, retry time.Duration) {
	var again <-chan time.Time
	if retry > 0 {
		timer := n.cfg.Clock.NewTimer(retry)
		defer timer.Stop()
		again = timer.C()
	}
	select {
	case <-ctx.Done():
	case <-n.trigger:
	case <-ticker.C():
	case <-again:
	}
}

// facts asks the machine and the engine.
func (n *Node) facts(ctx context.Context) Facts {
	f := Facts{Machine: readMachine(n.cfg.RootDir), NetworkProblem: n.cfg.Network(), Now: n.cfg.Clock.Now()}
	// An engine that hangs is down.
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	if f.Engine, f.EngineProblem = n.cfg.Engine(ctx); f.EngineProblem != nil {
		return f
	}
	images, err := n.cfg.Images(ctx)
	if err != nil { // the node can do without: the last list stays
		klog.FromContext(ctx).Error(err, "Listing images for the node's status", "node", n.cfg.Name)
		return f
	}
	f.Images = append([]runtime.Image{}, images...)
	return f
}
