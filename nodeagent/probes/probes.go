// Package probes finds out whether containers have started, are alive and are
// ready, as their probes say.
//
// # Model
//
// Sync tells the manager which containers of a pod run; it keeps one prober for
// each of their probes. A prober is a timer: between two tries nothing runs. Its
// result is a streak: so many failures or successes in a row (the thresholds)
// turn it. A liveness or startup probe that fails makes the container unhealthy,
// for good: the node agent then replaces it.
//
// Until the startup probe has succeeded, the others wait. After a restart of the
// node agent the results start as the pod's status has them, so that a pod that
// was ready stays so. Of a pod that is being deleted only readiness counts.
package probes

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/skiff-project/skiff/nodeagent/handlers"
)

// Config is what a Manager needs; all is mandatory unless marked.
type Config struct {
	Engine handlers.Execer
	Clock  clock.WithDelayedExecution
	// Changed is called, without locks held, when the result of a pod's probe turned.
	Changed func(uid types.UID)
	// Unhealthy is told of each failure: the events that users see.
	Unhealthy func(pod *corev1.Pod, container *corev1.Container, message string)
	// Warning is told of successes that users should look at, for events with the
	// reason ProbeWarning. May be nil.
	Warning func(pod *corev1.Pod, container *corev1.Container, message string)
}

// Running is a container that runs.
type Running struct {
	ID        string
	StartedAt time.Time
}

// Manager is safe for concurrent use.
type Manager struct {
	cfg Config
	ctx context.Context // of Run; probes end with it

	mu      sync.Mutex // guards pods and all probers
	pods    map[types.UID]map[string]*container
	stopped bool
}

// container is a running container and its probes; a nil prober means that it has
// no such probe.
type container struct {
	id                           string
	startedAt                    time.Time
	podIP                        string          // follows what Sync is told
	ctx                          context.Context // of all tries
	cancel                       context.CancelFunc
	startup, liveness, readiness *prober
}

// New returns a manager whose probes end with ctx.
func New(ctx context.Context, cfg Config) (*Manager, error) {
	if cfg.Engine == nil || cfg.Clock == nil || cfg.Changed == nil || cfg.Unhealthy == nil {
		return nil, fmt.Errorf("the probe manager needs an Engine, a Clock, Changed and Unhealthy")
	}
	m := &Manager{cfg: cfg, ctx: ctx, pods: map[types.UID]map[string]*container{}}
	context.AfterFunc(ctx, m.stop)
	return m, nil
}

func (m *Manager) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
	for uid := range m.pods {
		m.forget(uid)
	}
}

// Sync starts the probes of containers that run and ends those of containers that
// no longer do. running is by container name.
func (m *Manager) Sync(pod *corev1.Pod, podIP string, running map[string]Running) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return
	}
	known := m.pods[pod.UID]
	if known == nil {
		known = map[string]*container{}
		m.pods[pod.UID] = known
	}
	for name, c := range known {
		if now, runs := running[name]; !runs || now.ID != c.id {
			c.end()
			delete(known, name)
		}
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			spec := &list[i]
			now, runs := running[spec.Name]
			if runs && known[spec.Name] == nil && hasProbe(spec) {
				known[spec.Name] = m.begin(pod, spec, now)
			}
			if c := known[spec.Name]; c != nil {
				c.podIP = podIP
				if pod.DeletionTimestamp != nil {
					c.endRestarters()
				}
			}
		}
	}
	if len(known) == 0 {
		delete(m.pods, pod.UID)
	}
}

func hasProbe(c *corev1.Container) bool {
	return c.StartupProbe != nil || c.LivenessProbe != nil || c.ReadinessProbe != nil
}

// Forget ends all probes of a pod.
func (m *Manager) Forget(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(uid)
}

func (m *Manager) forget(uid types.UID) {
	for _, c := range m.pods[uid] {
		c.end()
	}
	delete(m.pods, uid)
}

// Started reports whether a running container has started: its startup probe has
// succeeded, or it has none.
func (m *Manager) Started(uid types.UID, spec *corev1.Container, id string) bool {
	if spec.StartupProbe == nil {
		return true
	}
	return m.succeeds(uid, spec.Name, id, func(c *container) *prober { return c.startup })
}

// Ready reports whether a running container is ready: it has started, and its
// readiness probe succeeds, or it has none.
func (m *Manager) Ready(uid types.UID, spec *corev1.Container, id string) bool {
	if !m.Started(uid, spec, id) {
		return false
	}
	if spec.ReadinessProbe == nil {
		return true
	}
	return m.succeeds(uid, spec.Name, id, func(c *container) *prober { return c.readiness })
}

func (m *Manager) succeeds(uid types.UID, name, id string, of func(*container) *prober) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.pods[uid][name]
	if c == nil || c.id != id {
		return false // not probed yet
	}
	p := of(c)
	return p == nil || p.good
}

// Failure is a probe that says that a container must be replaced.
type Failure struct {
	Kind    string // "Liveness" or "Startup"
	Message string
	// Grace overrides the pod's terminationGracePeriodSeconds; nil: it does not.
	Grace *int64
}

// Unhealthy returns the failure of a container's liveness or startup probe, or nil.
func (m *Manager) Unhealthy(uid types.UID, name, id string) *Failure {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.pods[uid][name]
	if c == nil || c.id != id {
		return nil
	}
	for _, p := range []*prober{c.startup, c.liveness} {
		if p != nil && p.fatal {
			return &Failure{Kind: p.kind, Message: p.message, Grace: p.probe.TerminationGracePeriodSeconds}
		}
	}
	return nil
}
