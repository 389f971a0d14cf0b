package probes

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"github.com/skiff-project/skiff/nodeagent/handlers"
)

// The kinds of probes, as events name them.
const (
	kindStartup   = "Startup"
	kindLiveness  = "Liveness"
	kindReadiness = "Readiness"
)

// prober repeats one probe. Its fields are guarded by the manager's lock.
type prober struct {
	kind    string
	probe   *corev1.Probe
	pod     *corev1.Pod
	spec    *corev1.Container
	manager *Manager
	parent  *container

	timer   clock.Timer
	ended   bool
	good    bool // the result
	decided bool // the startup probe has succeeded: it is over
	fatal   bool
	message string // of the last failure
	streak  int    // results of one sort in a row
	last    bool   // their sort
}

// begin starts the probes of a container. Results start as the pod's status has
// them for this very container.
func (m *Manager) begin(pod *corev1.Pod, spec *corev1.Container, now Running) *container {
	c := &container{id: now.ID, startedAt: now.StartedAt}
	c.ctx, c.cancel = context.WithCancel(m.ctx)
	started, ready := reported(pod, spec.Name, now.ID)
	newProber := func(kind string, probe *corev1.Probe, good bool) *prober {
		if probe == nil {
			return nil
		}
		return &prober{kind: kind, probe: probe, pod: pod, spec: spec, manager: m, parent: c, good: good}
	}
	c.startup = newProber(kindStartup, spec.StartupProbe, started)
	c.liveness = newProber(kindLiveness, spec.LivenessProbe, true)
	c.readiness = newProber(kindReadiness, spec.ReadinessProbe, ready)
	if c.startup != nil {
		c.startup.decided = started
	}
	// The node agent has just started if the container is older than a period: do
	// not probe everything at one moment.
	spread := func(p *prober) bool { return m.cfg.Clock.Since(now.StartedAt) > p.period() }
	if c.startup != nil && !started {
		c.startup.first(spread(c.startup))
		return c
	}
	for _, p := range []*prober{c.liveness, c.readiness} {
		if p != nil {
			p.first(spread(p))
		}
	}
	return c
}

// reported says what the pod's status has of a container with that ID.
func reported(pod *corev1.Pod, name, id string) (started, ready bool) {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for i := range list {
			s := &list[i]
			if s.Name == name && len(s.ContainerID) >= len(id) && s.ContainerID[len(s.ContainerID)-len(id):] == id {
				return s.Started != nil && *s.Started, s.Ready
			}
		}
	}
	return false, false
}

// startOthers starts liveness and readiness, as the container has started.
func (c *container) startOthers() {
	for _, p := range []*prober{c.liveness, c.readiness} {
		if p != nil {
			p.first(false)
		}
	}
}

// end stops all probes of the container, also those under way.
func (c *container) end() {
	c.cancel()
	c.endRestarters()
	if c.readiness != nil {
		c.readiness.end()
	}
}

// endRestarters stops the probes that make containers restart.
func (c *container) endRestarters() {
	for _, p := range []*prober{c.startup, c.liveness} {
		if p != nil {
			p.end()
		}
	}
}

func (p *prober) end() {
	p.ended = true
	if p.timer != nil {
		p.timer.Stop()
	}
}

func (p *prober) period() time.Duration {
	return time.Duration(max(p.probe.PeriodSeconds, 1)) * time.Second
}

// first plans the first try. The initial delay counts from the container's start.
// With spread, one that is due waits for up to a second.
func (p *prober) first(spread bool) {
	wait := time.Duration(p.probe.InitialDelaySeconds)*time.Second - p.manager.cfg.Clock.Since(p.parent.startedAt)
	if wait <= 0 && spread {
		wait = time.Duration(rand.Int64N(int64(time.Second)))
	}
	p.schedule(max(wait, 0))
}

func (p *prober) schedule(wait time.Duration) {
	if p.ended || p.manager.stopped {
		return
	}
	p.timer = p.manager.cfg.Clock.AfterFunc(wait, func() { go p.try() })
}

// try carries the probe out once and plans the next try.
func (p *prober) try() {
	m, ctx := p.manager, p.parent.ctx
	m.mu.Lock()
	ended := p.ended
	target := handlers.Target{Container: p.spec, ContainerID: p.parent.id, PodIP: p.parent.podIP}
	m.mu.Unlock()
	if ended {
		return
	}
	start := m.cfg.Clock.Now()
	result, err := p.run(ctx, target)
	m.mu.Lock()
	// A try that was cut off says nothing, whatever its result looks like.
	if p.ended || ctx.Err() != nil {
		m.mu.Unlock()
		return
	}
	turned := p.take(result, err)
	if !p.fatal && !p.decided {
		p.schedule(max(p.period()-m.cfg.Clock.Since(start), 0))
	}
	m.mu.Unlock()
	p.tell(result, err)
	if turned {
		m.cfg.Changed(p.pod.UID)
	}
}

// tell hands on what users read as events.
func (p *prober) tell(result handlers.Result, err error) {
	cfg := p.manager.cfg
	switch {
	case errors.Is(err, handlers.ErrNoAddress): // that will come
	case err != nil:
		cfg.Unhealthy(p.pod, p.spec, fmt.Sprintf("%s probe errored and resulted in unknown state: %v", p.kind, err))
	case !result.OK:
		cfg.Unhealthy(p.pod, p.spec, fmt.Sprintf("%s probe failed: %s", p.kind, result.Output))
	case result.Warning && cfg.Warning != nil:
		cfg.Warning(p.pod, p.spec, fmt.Sprintf("%s probe warning: %s", p.kind, result.Output))
	}
}

func (p *prober) run(ctx context.Context, target handlers.Target) (handlers.Result, error) {
	timeout := time.Duration(max(p.probe.TimeoutSeconds, 1)) * time.Second
	switch {
	case p.probe.Exec != nil:
		return handlers.Exec(ctx, p.manager.cfg.Engine, target, p.probe.Exec.Command, timeout)
	case p.probe.HTTPGet != nil:
		return handlers.HTTP(ctx, target, p.probe.HTTPGet, timeout)
	case p.probe.TCPSocket != nil:
		return handlers.TCP(ctx, target, p.probe.TCPSocket, timeout)
	case p.probe.GRPC != nil:
		return handlers.GRPC(ctx, target, p.probe.GRPC, timeout)
	}
	return handlers.Result{}, fmt.Errorf("missing probe handler for %s", target.Container.Name)
}

// take counts a result and reports whether it turned what others see. An error is
// a try that did not take place: it counts for nothing.
func (p *prober) take(result handlers.Result, err error) (turned bool) {
	if err != nil {
		return false
	}
	if p.streak > 0 && p.last == result.OK {
		p.streak++
	} else {
		p.streak, p.last = 1, result.OK
	}
	if result.OK {
		if p.streak < int(max(p.probe.SuccessThreshold, 1)) {
			return false
		}
		turned = !p.good
		p.good = true
		if p.kind == kindStartup && !p.decided {
			p.decided = true
			p.parent.startOthers()
			turned = true
		}
		return turned
	}
	p.message = result.Output
	if p.streak < int(max(p.probe.FailureThreshold, 1)) {
		return false
	}
	if p.kind != kindReadiness {
		turned = !p.fatal
		p.fatal, p.good = true, false
		return turned
	}
	turned = p.good
	p.good = false
	return turned
}
