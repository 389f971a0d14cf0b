package probes

import (
	"context"
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
	target  handlers.Target
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
func (m *Manager) begin(pod *corev1.Pod, spec *corev1.Container, podIP string, now Running) *container {
	c := &container{id: now.ID}
	target := handlers.Target{Container: spec, ContainerID: now.ID, PodIP: podIP}
	started, ready := reported(pod, spec.Name, now.ID)
	newProber := func(kind string, probe *corev1.Probe, good bool) *prober {
		if probe == nil {
			return nil
		}
		return &prober{kind: kind, probe: probe, pod: pod, target: target, manager: m, parent: c, good: good}
	}
	c.startup = newProber(kindStartup, spec.StartupProbe, started)
	c.liveness = newProber(kindLiveness, spec.LivenessProbe, true)
	c.readiness = newProber(kindReadiness, spec.ReadinessProbe, ready)
	if c.startup != nil && started {
		c.startup.decided = true
	}
	age := m.cfg.Clock.Since(now.StartedAt)
	if c.startup != nil && !c.startup.decided {
		c.startup.first(age)
		return c
	}
	c.startOthers(age)
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

// startOthers starts liveness and readiness, once the container has started.
func (c *container) startOthers(age time.Duration) {
	for _, p := range []*prober{c.liveness, c.readiness} {
		if p != nil {
			p.first(age)
		}
	}
}

// end stops all probes of the container.
func (c *container) end() {
	for _, p := range []*prober{c.startup, c.liveness, c.readiness} {
		if p == nil {
			continue
		}
		p.ended = true
		if p.timer != nil {
			p.timer.Stop()
		}
	}
}

// first plans the first try of a container that has run for age.
func (p *prober) first(age time.Duration) {
	wait := time.Duration(p.probe.InitialDelaySeconds)*time.Second - age
	if wait <= 0 && age > time.Duration(p.probe.PeriodSeconds)*time.Second {
		// The node agent has just started: do not probe everything at one moment.
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
	m := p.manager
	m.mu.Lock()
	ended := p.ended
	m.mu.Unlock()
	if ended {
		return
	}
	start := m.cfg.Clock.Now()
	result, err := p.run(m.ctx)
	if err != nil && m.ctx.Err() != nil {
		return
	}
	m.mu.Lock()
	if p.ended {
		m.mu.Unlock()
		return
	}
	turned := p.take(result, err)
	if !p.fatal && !p.decided {
		period := time.Duration(p.probe.PeriodSeconds) * time.Second
		p.schedule(max(period-m.cfg.Clock.Since(start), 0))
	}
	m.mu.Unlock()
	if err != nil {
		m.cfg.Unhealthy(p.pod, p.target.Container, fmt.Sprintf("%s probe errored: %v", p.kind, err))
	} else if !result.OK {
		m.cfg.Unhealthy(p.pod, p.target.Container, fmt.Sprintf("%s probe failed: %s", p.kind, result.Output))
	}
	if turned {
		m.cfg.Changed(p.pod.UID)
	}
}

func (p *prober) run(ctx context.Context) (handlers.Result, error) {
	timeout := time.Duration(max(p.probe.TimeoutSeconds, 1)) * time.Second
	switch {
	case p.probe.Exec != nil:
		return handlers.Exec(ctx, p.manager.cfg.Engine, p.target, p.probe.Exec.Command, timeout)
	case p.probe.HTTPGet != nil:
		return handlers.HTTP(ctx, p.target, p.probe.HTTPGet, timeout)
	case p.probe.TCPSocket != nil:
		return handlers.TCP(ctx, p.target, p.probe.TCPSocket, timeout)
	case p.probe.GRPC != nil:
		return handlers.GRPC(ctx, p.target, p.probe.GRPC, timeout)
	}
	return handlers.Result{}, fmt.Errorf("missing probe handler for %s", p.target.Container.Name)
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
			p.parent.startOthers(0)
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
