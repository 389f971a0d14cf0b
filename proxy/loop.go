package proxy

import (
	"context"
	"slices"
	"time"

	"k8s.io/klog/v2"
)

const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 30 * time.Second
)

// loop syncs when woken, at most once in the minimum period, and looks after the
// rules every sync period.
func (p *Proxy) loop(ctx context.Context) {
	clock := p.config.Clock
	check := clock.NewTicker(p.config.SyncPeriod)
	defer check.Stop()
	lastFull := clock.Now()
	retry := firstRetry
	p.changed() // the first sync writes even if the cluster has no Service
	for {
		select {
		case <-ctx.Done():
			return
		case <-check.C():
			if clock.Since(lastFull) >= fullSyncPeriod {
				p.invalidate()
				lastFull = clock.Now()
			} else if p.check(ctx) && !p.flowsLeft() {
				continue
			}
		case <-p.wake:
		}
		err := p.sync(ctx)
		pause := p.config.MinSyncPeriod
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			klog.FromContext(ctx).Error(err, "Sync failed, trying again", "after", retry)
			pause, retry = retry, min(2*retry, lastRetry)
			p.changed()
		} else {
			retry = firstRetry
		}
		select {
		case <-ctx.Done():
			return
		case <-clock.After(pause):
		}
	}
}

// check reports whether the rules of all families still stand.
func (p *Proxy) check(ctx context.Context) bool {
	intact := true
	for _, f := range p.families {
		ok, err := f.backend.Check(ctx)
		if err != nil {
			klog.FromContext(ctx).Error(err, "Looking after the rules failed, writing them again", "family", f.name)
			f.backend.Invalidate()
		}
		intact = intact && ok && err == nil
	}
	return intact
}

// flowsLeft reports whether stale UDP flows may be left, as forgetting them failed.
func (p *Proxy) flowsLeft() bool {
	return slices.ContainsFunc(p.families, func(f *family) bool { return f.flowsChanged })
}

func (p *Proxy) invalidate() {
	for _, f := range p.families {
		f.backend.Invalidate()
	}
}
