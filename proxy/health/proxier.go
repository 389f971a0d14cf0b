package health

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// Proxier knows whether the rules follow the API.
type Proxier struct {
	clock   clock.PassiveClock
	timeout time.Duration

	mu           sync.Mutex // protects everything below
	queued       time.Time  // the oldest change that is not in the kernel yet
	synced       time.Time
	nodeEligible bool
}

// NewProxier returns a proxier that is unhealthy until its first sync. A change
// that waits longer than the timeout makes it unhealthy again.
func NewProxier(c clock.PassiveClock, timeout time.Duration) *Proxier {
	return &Proxier{clock: c, timeout: timeout, nodeEligible: true}
}

// Queued notes that a change waits for the next sync.
func (p *Proxier) Queued() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queued.IsZero() {
		p.queued = p.clock.Now()
	}
}

// Synced notes that all changes up to the start of a sync are in the kernel.
func (p *Proxier) Synced(start time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.synced = p.clock.Now()
	if !p.queued.After(start) {
		p.queued = time.Time{}
	}
}

// SetNodeEligible says whether new connections should be sent to this node: not
// if it is being deleted.
func (p *Proxier) SetNodeEligible(eligible bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.nodeEligible = eligible
}

// Healthy reports whether the rules are up to date.
func (p *Proxier) Healthy() bool {
	healthy, _, _ := p.state()
	return healthy
}

func (p *Proxier) state() (healthy, eligible bool, updated time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	switch {
	case p.synced.IsZero():
		return false, p.nodeEligible, time.Time{}
	case p.queued.IsZero():
		return true, p.nodeEligible, now
	default:
		return now.Sub(p.queued) < p.timeout, p.nodeEligible, p.synced
	}
}

// Handler serves /healthz, which load balancers ask whether to send traffic
// here, and /livez, which tells only whether the proxy itself works.
func (p *Proxier) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { p.answer(w, true) })
	mux.HandleFunc("/livez", func(w http.ResponseWriter, _ *http.Request) { p.answer(w, false) })
	return mux
}

func (p *Proxier) answer(w http.ResponseWriter, withNode bool) {
	healthy, eligible, updated := p.state()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !healthy || withNode && !eligible {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	// The form of the times is Go's, as kube-proxy prints them.
	if withNode {
		fmt.Fprintf(w, `{"lastUpdated": %q,"currentTime": %q, "nodeEligible": %v}`, updated.String(), p.clock.Now().String(), eligible)
		return
	}
	fmt.Fprintf(w, `{"lastUpdated": %q,"currentTime": %q}`, updated.String(), p.clock.Now().String())
}
