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
	// flowsChanged says that UDP flows must be looked at. It stays set until
	// that succeeded.
	flowsChanged bool
}

func newFamily(name corev1.IPFamily, node string) *family {
	return &family{name: name, tracker: model.NewTracker(name, node)}
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
	full, err := f.backend.Sync(ctx, changes)
	observeSync(f.name, full, time.Since(start), err)
	if err != nil {
		return fmt.Errorf("syncing %s rules: %w", f.name, err)
	}
	klog.FromContext(ctx).V(1).Info("Synced", "family", f.name, "changed", len(changes), "all", full, "took", time.Since(start))
	return f.forgetFlows(ctx, changes, full)
}

// forgetFlows comes after the rules, so that a flow that begins anew finds them.
func (f *family) forgetFlows(ctx context.Context, changes map[model.PortName]model.Change, full bool) error {
	f.flowsChanged = f.flowsChanged || full
	for name := range changes {
		f.flowsChanged = f.flowsChanged || name.Protocol == corev1.ProtocolUDP
	}
	if !f.flowsChanged {
		return nil
	}
	expected := conntrack.Expect(f.tracker.Ports())
	for name, change := range changes {
		if change.Old != nil && name.Protocol == corev1.ProtocolUDP {
			expected.Gone(change.Old)
		}
	}
	n, err := expected.Forget(f.name)
	if err != nil {
		return err
	}
	f.flowsChanged = false
	if n > 0 {
		klog.FromContext(ctx).V(1).Info("Forgot stale UDP flows", "family", f.name, "count", n)
	}
	return nil
}
