package volumes

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// resyncAfter is when content is compared with the API although nobody said that it changed.
	resyncAfter = 2 * time.Minute
	// The time after a failed refresh, doubled with each failure.
	firstRetry = time.Second
	// idleWait is how long Run sleeps when nothing is ever due.
	idleWait = time.Hour
)

// refreshState is when the content of a pod's volumes is looked at again.
type refreshState struct {
	pod      *corev1.Pod
	at       time.Time // zero: never, the pod has no such volumes
	failures int
}

// Refresh makes Run bring the content of a pod's volumes up to date at once:
// something that they show has changed. It is what objects.Config.Changed wants.
func (m *Manager) Refresh(uid types.UID) {
	m.mu.Lock()
	if state := m.pods[uid]; state != nil && !state.at.IsZero() {
		state.at = m.config.Clock.Now()
	}
	m.mu.Unlock()
	m.signal()
}

func (m *Manager) signal() {
	select {
	case m.wake <- struct{}{}:
	default: // Run will look anyway
	}
}

// Run refreshes what changes in volumes until ctx ends: config maps, secrets and
// fields when Refresh or Mount says so, tokens when 80 % of their life is over,
// everything rarely, and what failed with backoff. It returns nil.
func (m *Manager) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		now := m.config.Clock.Now()
		due, next := m.due(now)
		for _, uid := range due {
			m.refresh(ctx, uid)
		}
		if len(due) > 0 {
			continue
		}
		timer := m.config.Clock.NewTimer(next.Sub(now))
		if !m.config.Clock.Now().Before(next) { // it has passed since: a clock that is stepped would not fire the timer
			timer.Stop()
			continue
		}
		select {
		case <-ctx.Done():
		case <-m.wake:
		case <-timer.C():
		}
		timer.Stop()
	}
	return nil
}

// due returns the pods to refresh now, and when the next one follows.
func (m *Manager) due(now time.Time) (due []types.UID, next time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next = now.Add(idleWait)
	for uid, state := range m.pods {
		switch {
		case state.at.IsZero():
		case !state.at.After(now):
			due = append(due, uid)
		default:
			next = earlier(next, state.at)
		}
	}
	return due, next
}

func (m *Manager) refresh(ctx context.Context, uid types.UID) {
	m.busy.LockKey(string(uid))
	defer m.unlock(uid)
	pod := m.begin(uid)
	if pod == nil {
		return // unmounted meanwhile
	}
	var filled []corev1.Volume
	for _, volume := range pod.Spec.Volumes {
		if payloadOf(&volume) != nil {
			filled = append(filled, volume)
		}
	}
	result := m.apply(ctx, pod, filled)
	if ctx.Err() != nil {
		return
	}
	m.remember(pod, result)
	for _, failure := range result.failures {
		// What was never made is reported by Mount, which is called again for it.
		if failure.kept {
			m.reportKept(ctx, pod, failure)
		}
	}
	if result.changed {
		m.config.Changed(uid)
	}
}

// begin returns the pod to refresh. The time of the next refresh is moved already
// here, so that a change that comes in while this one runs is not forgotten.
func (m *Manager) begin(uid types.UID) *corev1.Pod {
	m.mu.Lock()
	defer m.mu.Unlock()
	state := m.pods[uid]
	if state == nil {
		return nil
	}
	state.at = m.config.Clock.Now().Add(resyncAfter)
	return state.pod
}

// remember keeps the pod, and when its volumes are to be looked at next.
func (m *Manager) remember(pod *corev1.Pod, result outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.config.Clock.Now()
	state := m.pods[pod.UID]
	if state == nil {
		state = &refreshState{}
		m.pods[pod.UID] = state
	}
	state.pod = pod
	if len(result.failures) > 0 {
		state.failures++
	} else {
		state.failures = 0
	}
	if !hasPayload(pod) {
		return
	}
	// One that is due already has changed after this look at it.
	if state.at.IsZero() || state.at.After(now) {
		state.at = nextLook(now, result.renewAt, state.failures)
	}
	m.signal()
}

func hasPayload(pod *corev1.Pod) bool {
	for i := range pod.Spec.Volumes {
		if payloadOf(&pod.Spec.Volumes[i]) != nil {
			return true
		}
	}
	return false
}

// nextLook returns when to refresh again.
func nextLook(now, renewAt time.Time, failures int) time.Time {
	if failures > 0 {
		return now.Add(min(firstRetry<<min(failures-1, 16), resyncAfter))
	}
	next := earlier(now.Add(resyncAfter), renewAt)
	if next.Before(now.Add(firstRetry)) {
		next = now.Add(firstRetry) // a token with hardly any life must not make a busy loop
	}
	return next
}

func (m *Manager) forget(uid types.UID) {
	m.mu.Lock()
	delete(m.pods, uid)
	m.mu.Unlock()
	m.config.Tokens.Forget(uid)
}
