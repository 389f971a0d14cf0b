package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/skiff-project/skiff/proxy/health"
)

// Proxy keeps the Service rules of one node.
type Proxy struct {
	config   Config
	client   kubernetes.Interface
	families []*family
	wake     chan struct{} // holds one token: something changed since the last sync

	health   *health.Proxier
	services *health.Services
}

// New returns a proxy that has not touched anything yet.
func New(c Config) (*Proxy, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	c.setDefaults()
	client, err := kubernetes.NewForConfig(c.RESTConfig)
	if err != nil {
		return nil, fmt.Errorf("proxy: making the API client: %w", err)
	}
	p := &Proxy{config: c, client: client, wake: make(chan struct{}, 1)}
	p.health = health.NewProxier(c.Clock, 2*c.SyncPeriod)
	p.services = health.NewServices(p.health.Healthy)
	for _, f := range c.families() {
		p.families = append(p.families, newFamily(f, c.NodeName))
	}
	return p, nil
}

// Run keeps the rules until the context ends. It returns an error only if it
// cannot work at all: no iptables, or the health port is taken.
func (p *Proxy) Run(ctx context.Context) error {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName("proxy"))
	for _, f := range p.families {
		if err := f.open(p.config.rules(f.name)); err != nil {
			return fmt.Errorf("proxy: %w", err)
		}
	}
	if err := setSysctls(ctx, p.config); err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	if err := p.serveHealth(ctx, group); err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	group.Go(func() error {
		defer p.services.Close() //nolint:errcheck // the listeners end with the process
		stop, err := p.watch(ctx)
		defer stop()
		if err != nil {
			return err
		}
		p.loop(ctx)
		return nil
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("proxy: %w", err)
	}
	return nil
}

func (p *Proxy) serveHealth(ctx context.Context, group *errgroup.Group) error {
	if p.config.HealthzBindAddress == "" {
		return nil
	}
	listener, err := net.Listen("tcp", p.config.HealthzBindAddress)
	if err != nil {
		return fmt.Errorf("opening the health port: %w", err)
	}
	server := &http.Server{Handler: p.health.Handler(), ReadHeaderTimeout: 10 * time.Second}
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving health: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	return nil
}

// changed wakes the loop.
func (p *Proxy) changed() {
	p.health.Queued()
	select {
	case p.wake <- struct{}{}:
	default: // a sync that has not begun will see this change too
	}
}

// sync brings all families into the kernel. It tries each even if another fails.
func (p *Proxy) sync(ctx context.Context) error {
	start := p.config.Clock.Now()
	var problems []error
	healthPorts := map[types.NamespacedName]health.Local{}
	for _, f := range p.families {
		if err := f.sync(ctx); err != nil {
			problems = append(problems, err)
		}
		health.LocalServices(f.tracker.Ports(), healthPorts)
	}
	if err := p.services.Sync(ctx, healthPorts); err != nil {
		// One taken port must not make the whole proxy repeat its work.
		klog.FromContext(ctx).Error(err, "Health check node ports are not all served")
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	p.health.Synced(start)
	return nil
}
