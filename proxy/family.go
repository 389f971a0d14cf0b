package proxy

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/skiff-project/skiff/proxy/conntrack"
	"github.com/skiff-project/skiff/proxy/iptables"
	"github.com/skiff-project/skiff/proxy/model"
	"github.com/skiff-project/skiff/proxy/rules"
)

// backend writes ports into the kernel; one per proxy mode.
type backend interface {
	// Sync writes changes, or everything where that is needed.
	Sync(ctx context.Context, changes map[model.PortName]model.Change) (full bool, err error)
	// Check reports whether what was written still stands.
	Check(ctx context.Context) (bool, error)
	// Invalidate makes the next Sync write everything.
	Invalidate()
}

var _ backend = (*iptables.Backend)(nil)

// family is the proxy of one IP family.
type family struct {
	name    corev1.IPFamily
	tracker *model.Tracker
	backend backend
	// flowsChanged says that UDP flows must be looked at, and gone holds the
	// ports whose old addresses they may lead to. Both stay until that succeeded.
	flowsChanged bool
	gone         map[model.PortName]*model.Port
	forget       func(*conntrack.Expected) (uint, error)
}

func newFamily(name corev1.IPFamily, node string) *family {
	return &family{
		name: name, tracker: model.NewTracker(name, node), gone: map[model.PortName]*model.Port{},
		forget: func(e *conntrack.Expected) (uint, error) { return e.Forget(name) },
	}
}

func (f *family) open(config rules.Config) error {
	program, err := iptables.Open(f.name)
	if err != nil {
		return fmt.Errorf("opening iptables for %s: %w", f.name, err)
	}
	f.backend, err = iptables.NewBackend(program, config)
	return err
}

func (f *family) sync(ctx context.Context) error {
	start := time.Now() // for the metric, which measures real time
	changes := f.tracker.Sync()
	f.noteFlows(changes)
	full, err := f.backend.Sync(ctx, changes)
	observeSync(f.name, full, time.Since(start), err)
	if err != nil {
		return fmt.Errorf("syncing %s rules: %w", f.name, err)
	}
	klog.FromContext(ctx).V(1).Info("Synced", "family", f.name, "changed", len(changes), "all", full, "took", time.Since(start))
	f.flowsChanged = f.flowsChanged || full
	f.forgetFlows(ctx)
	return nil
}

// noteFlows comes before the rules, so that what changed is known even if they
// can only be written by a later sync.
func (f *family) noteFlows(changes map[model.PortName]model.Change) {
	for name, change := range changes {
		if name.Protocol != corev1.ProtocolUDP {
			continue
		}
		f.flowsChanged = true
		if change.Old != nil {
			f.gone[name] = change.Old
		}
	}
}

// forgetFlows comes after the rules, so that a flow that begins anew finds them.
// That it fails must not hold back rules: the next look at them tries again.
func (f *family) forgetFlows(ctx context.Context) {
	if !f.flowsChanged {
		return
	}
	logger := klog.FromContext(ctx)
	expected := conntrack.Expect(f.tracker.Ports())
	for _, port := range f.gone {
		expected.Gone(port)
	}
	n, err := f.forget(expected)
	if err != nil {
		logger.Error(err, "UDP flows may lead to endpoints that are gone, trying again later", "family", f.name)
		return
	}
	f.flowsChanged = false
	clear(f.gone)
	if n > 0 {
		logger.V(1).Info("Forgot stale UDP flows", "family", f.name, "count", n)
	}
}
