package allinone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/skiff-project/skiff/cluster/pki"
	"github.com/skiff-project/skiff/cluster/progress"
	"github.com/skiff-project/skiff/server"
)

// runner is a component that works until its context ends.
type runner interface {
	Run(ctx context.Context) error
}

// part is a component with the name it logs under.
type part struct {
	name  string
	build func() (runner, error)
}

// Run starts the cluster, reports its steps, ends the report with Done once the
// node is Ready, and then works until ctx ends or a component fails. It returns
// nil if ctx ended and everything stopped cleanly.
func Run(ctx context.Context, cfg Config, report progress.Reporter) error {
	if err := cfg.validate(); err != nil {
		return fmt.Errorf("checking the configuration: %w", err)
	}
	p := &process{cfg: cfg, report: report}
	defer p.closeLogs()
	return p.run(ctx)
}

type process struct {
	cfg     Config
	started time.Time
	report  progress.Reporter
	files   *pki.Files

	server     *server.Server
	serverDone chan struct{} // closed when the API server has ended
	serverErr  error         // why; read after serverDone

	mu   sync.Mutex // guards logs
	logs []io.Closer
}

func (p *process) run(ctx context.Context) error {
	if err := progress.Time(p.report, "certificates", p.ensurePKI); err != nil {
		return err
	}
	// The API server outlives the others: they still write while they stop.
	serverCtx, stopServer := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServer()

	start := time.Now()
	p.started = start
	preparing, prepareCtx := errgroup.WithContext(ctx)
	preparing.Go(func() error { return p.prepareNode(prepareCtx) })
	if err := p.startServer(serverCtx); err != nil {
		return errors.Join(err, preparing.Wait())
	}
	select {
	case <-p.server.Ready():
	case <-p.serverDone:
	case <-ctx.Done():
	}
	var err error
	if err = preparing.Wait(); err == nil && p.serverRuns() && ctx.Err() == nil {
		p.report.Report(progress.Event{Step: "etcd and API server", Took: time.Since(start)})
		err = p.runParts(ctx)
	}
	stopServer()
	<-p.serverDone
	return errors.Join(err, p.serverErr)
}

// startServer builds the API server and lets it run until ctx ends.
func (p *process) startServer(ctx context.Context) error {
	logged, file := withLog(ctx, p.cfg.DataDir, "apiserver", 0)
	p.addLog(file)
	sendGlobalLog(file)
	options, err := p.serverOptions()
	if err != nil {
		return err
	}
	built, err := server.New(logged, options)
	if err != nil {
		return fmt.Errorf("building the API server: %w", err)
	}
	p.server, p.serverDone = built, make(chan struct{})
	go func() {
		defer close(p.serverDone)
		if err := built.Run(logged); err != nil {
			p.serverErr = fmt.Errorf("running the API server: %w", err)
		}
	}()
	return nil
}

func (p *process) serverRuns() bool {
	select {
	case <-p.serverDone:
		return false
	default:
		return true
	}
}

// runParts runs everything but the API server until ctx ends or one part fails.
func (p *process) runParts(ctx context.Context) error {
	parts := p.parts()
	components := make([]runner, len(parts)) // all are built before one runs
	for i, part := range parts {
		component, err := part.build()
		if err != nil {
			return fmt.Errorf("building the %s: %w", part.name, err)
		}
		components[i] = component
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for i, part := range parts {
		component := components[i]
		group.Go(func() error {
			logged, file := withLog(groupCtx, p.cfg.DataDir, part.name, 0)
			p.addLog(file)
			if err := component.Run(logged); err != nil && groupCtx.Err() == nil {
				return fmt.Errorf("running the %s: %w", part.name, err)
			}
			return nil
		})
	}
	group.Go(func() error {
		select {
		case <-p.serverDone:
			return errors.New("the API server has ended")
		case <-groupCtx.Done():
			return nil
		}
	})
	group.Go(func() error { return p.awaitNode(groupCtx) })
	return group.Wait()
}

// awaitNode reports Done once the node is Ready.
func (p *process) awaitNode(ctx context.Context) error {
	start := time.Now()
	if err := nodeReady(ctx, p.client(pki.AdminUser, pki.AdminGroup), p.cfg.NodeName, p.started); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("waiting for the node: %w", err)
	}
	p.report.Report(progress.Event{Step: "node " + p.cfg.NodeName + " Ready", Took: time.Since(start)})
	p.report.Report(progress.Event{Done: true})
	return nil
}

// client returns the in-memory transport to the API server under an identity.
func (p *process) client(user string, groups ...string) *rest.Config {
	return p.server.ClientConfig(user, groups...)
}

func (p *process) addLog(c io.Closer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logs = append(p.logs, c)
}

func (p *process) closeLogs() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.logs {
		_ = c.Close()
	}
}
