// Package controllers runs the cluster's controllers: each makes one kind of
// wish in the API true. This package only wires them; controllers.go is the list.
//
// # Model
//
// All controllers are controller-runtime reconcilers in one manager and share
// one cache, whose objects are not copied on reading: a controller copies what
// it changes. Managed fields are left out of the cache; the server keeps them
// when an update comes without.
package controllers

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// Config is what the controllers need. RESTConfig is mandatory; the rest has
// kube's defaults.
type Config struct {
	// RESTConfig reaches the API server as system:kube-controller-manager.
	RESTConfig *rest.Config
	// Controllers selects by name: "*" all, "foo" only foo, "-foo" all but foo.
	// Empty means "*".
	Controllers []string

	LeaderElect   bool
	LeaseDuration time.Duration // 15 s
	RenewDeadline time.Duration // 10 s
	RetryPeriod   time.Duration // 2 s

	// RootCA is the PEM bundle that pods verify the API server with.
	RootCA []byte
	// ServiceAccountSigningKey is the PEM private key that signs the tokens of
	// service-account-token Secrets; without it they get none.
	ServiceAccountSigningKey []byte

	// ClusterCIDRs are the pod ranges; empty: nodes get no podCIDRs.
	ClusterCIDRs     []netip.Prefix
	NodeCIDRMaskIPv4 int // 24
	NodeCIDRMaskIPv6 int // 64
	ServiceCIDRs     []netip.Prefix

	NodeMonitorGracePeriod time.Duration // 50 s
	NodeStartupGracePeriod time.Duration // 60 s
	NodeEvictionRate       float32       // nodes per second and zone, 0.1
	TerminatedPodThreshold int           // 12500; negative: none are removed

	Clock clock.WithTicker
}

// Manager runs the controllers.
type Manager struct {
	cfg     Config
	ready   chan struct{}
	once    sync.Once
	running atomic.Bool
}

// New checks the configuration; it does no I/O.
func New(cfg Config) (*Manager, error) {
	cfg.setDefaults()
	var errs []error
	if cfg.RESTConfig == nil {
		errs = append(errs, errors.New("controllers: RESTConfig is missing"))
	}
	if err := checkNames(cfg.Controllers); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Manager{cfg: cfg, ready: make(chan struct{})}, nil
}

func (c *Config) setDefaults() {
	c.LeaseDuration = orDefault(c.LeaseDuration, 15*time.Second)
	c.RenewDeadline = orDefault(c.RenewDeadline, 10*time.Second)
	c.RetryPeriod = orDefault(c.RetryPeriod, 2*time.Second)
	c.NodeCIDRMaskIPv4 = orDefault(c.NodeCIDRMaskIPv4, 24)
	c.NodeCIDRMaskIPv6 = orDefault(c.NodeCIDRMaskIPv6, 64)
	c.NodeMonitorGracePeriod = orDefault(c.NodeMonitorGracePeriod, 50*time.Second)
	c.NodeStartupGracePeriod = orDefault(c.NodeStartupGracePeriod, time.Minute)
	c.NodeEvictionRate = orDefault(c.NodeEvictionRate, 0.1)
	c.TerminatedPodThreshold = orDefault(c.TerminatedPodThreshold, 12500)
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// maskSizes returns the subnet size for each cluster CIDR.
func (c *Config) maskSizes() []int {
	out := make([]int, len(c.ClusterCIDRs))
	for i, cidr := range c.ClusterCIDRs {
		out[i] = c.NodeCIDRMaskIPv4
		if cidr.Addr().Is6() {
			out[i] = c.NodeCIDRMaskIPv6
		}
	}
	return out
}

// Ready is closed when the controllers run: elected, their caches filled.
func (m *Manager) Ready() <-chan struct{} { return m.ready }

// Healthy returns an error while the controllers are not running here: not
// started, not elected, or stopped.
func (m *Manager) Healthy() error {
	if !m.running.Load() {
		return errors.New("controllers are not running")
	}
	return nil
}

// Run runs the controllers until ctx is cancelled. Losing the leadership is an
// error: the process must not go on as if it were the leader.
func (m *Manager) Run(ctx context.Context) error {
	logger := klog.FromContext(ctx).WithName("controller-manager")
	setLogger.Do(func() { ctrllog.SetLogger(klog.Background()) })
	if err := m.waitForServer(ctx, logger); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	mgr, err := m.newManager(logger)
	if err != nil {
		return err
	}
	if err := m.register(ctx, mgr, logger); err != nil {
		return err
	}
	// It starts when the manager has been elected.
	if err := mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			return nil // cancelled
		}
		m.running.Store(true)
		defer m.running.Store(false)
		m.once.Do(func() { close(m.ready) })
		<-ctx.Done()
		return nil
	})); err != nil {
		return fmt.Errorf("adding the readiness mark: %w", err)
	}
	if err := mgr.Start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // the lease is given back on the way out, which counts as lost
		}
		return fmt.Errorf("running controllers: %w", err)
	}
	return nil
}

// waitForServer returns when the API server answers us: it may start at the same
// time, and grant us our rights a moment later.
func (m *Manager) waitForServer(ctx context.Context, logger klog.Logger) error {
	client, err := discovery.NewDiscoveryClientForConfig(m.cfg.RESTConfig)
	if err != nil {
		return fmt.Errorf("making a discovery client: %w", err)
	}
	told := false
	return wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(context.Context) (bool, error) {
		_, err := client.ServerGroups()
		if err != nil && !told {
			told = true
			logger.Info("Waiting for the API server", "err", err)
		}
		return err == nil, nil
	})
}

// setLogger guards controller-runtime's process-wide fallback logger.
var setLogger sync.Once

func (m *Manager) newManager(logger klog.Logger) (ctrl.Manager, error) {
	restConfig := rest.CopyConfig(m.cfg.RESTConfig)
	restConfig.QPS = -1 // priority and fairness in the server is the limit
	// The empty type lets controller-runtime choose protobuf per kind.
	restConfig.ContentType, restConfig.AcceptContentTypes = "", ""
	if restConfig.UserAgent == "" {
		restConfig.UserAgent = "kube-controller-manager"
	}
	mgr, err := ctrl.NewManager(restConfig, ctrl.Options{
		Scheme: clientgoscheme.Scheme,
		Logger: logger.V(1), // starting and stopping of each part is no news; errors are logged anyway
		Cache: cache.Options{
			DefaultTransform:             stripManagedFields(),
			DefaultUnsafeDisableDeepCopy: ptr.To(true),
			ByObject: map[client.Object]cache.ByObject{
				// Only heartbeats of nodes, not every program's leader election.
				&coordinationv1.Lease{}: {Namespaces: map[string]cache.Config{corev1.NamespaceNodeLease: {}}},
				// Only the tokens controller reads Secrets; the others stay out of memory.
				&corev1.Secret{}: {Field: fields.OneTermEqualSelector("type", string(corev1.SecretTypeServiceAccountToken))},
			},
		},
		Metrics:                       metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress:        "0",
		LeaderElection:                m.cfg.LeaderElect,
		LeaderElectionID:              "kube-controller-manager",
		LeaderElectionNamespace:       "kube-system",
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &m.cfg.LeaseDuration,
		RenewDeadline:                 &m.cfg.RenewDeadline,
		RetryPeriod:                   &m.cfg.RetryPeriod,
		GracefulShutdownTimeout:       ptr.To(5 * time.Second),
		Controller: config.Controller{
			SkipNameValidation: ptr.To(true), // several managers may live in one process
			EnableWarmup:       ptr.To(true),
			RecoverPanic:       ptr.To(true),
			Logger:             logger.V(1),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("making the controller manager: %w", err)
	}
	return mgr, nil
}

// stripManagedFields keeps the cache small.
func stripManagedFields() func(any) (any, error) {
	strip := cache.TransformStripManagedFields()
	return func(obj any) (any, error) {
		if _, ok := obj.(runtime.Object); !ok {
			return obj, nil
		}
		return strip(obj)
	}
}

func (m *Manager) register(ctx context.Context, mgr ctrl.Manager, logger klog.Logger) error {
	protobuf := rest.CopyConfig(mgr.GetConfig())
	protobuf.ContentType = runtime.ContentTypeProtobuf
	protobuf.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	clientset, err := kubernetes.NewForConfigAndClient(protobuf, mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	meta, err := metadata.NewForConfigAndClient(metadata.ConfigFor(mgr.GetConfig()), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("making a metadata client: %w", err)
	}
	w := wiring{ctx: ctx, cfg: m.cfg, mgr: mgr, clientset: clientset, metadata: meta}
	if err := w.index(); err != nil {
		return fmt.Errorf("adding indexes: %w", err)
	}
	for _, e := range list {
		if !enabled(e.name, m.cfg.Controllers) {
			logger.Info("Controller is disabled", "controller", e.name)
			continue
		}
		switch err := e.register(w); {
		case errors.Is(err, errNotConfigured):
			logger.Info("Controller is not configured", "controller", e.name)
		case err != nil:
			return fmt.Errorf("setting up %s: %w", e.name, err)
		}
	}
	return nil
}

// enabled says whether a selection of controllers includes a name.
func enabled(name string, selection []string) bool {
	if len(selection) == 0 {
		return true
	}
	if slices.Contains(selection, name) {
		return true
	}
	if slices.Contains(selection, "-"+name) {
		return false
	}
	return slices.Contains(selection, "*")
}

// checkNames returns an error that lists the names which no controller has.
func checkNames(selection []string) error {
	var unknown []string
	for _, s := range selection {
		if name := strings.TrimPrefix(s, "-"); s != "*" && !slices.Contains(Names(), name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("unknown controllers: %s; known ones: %s", strings.Join(unknown, ", "), strings.Join(Names(), ", "))
	}
	return nil
}
