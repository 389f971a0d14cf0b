package storage

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/client/v3/kubernetes"

	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/etcd3/metrics"
	"k8s.io/apiserver/pkg/storage/feature"
	"k8s.io/utils/clock"
)

// Backend is the one way to etcd that all resources share. It is made by
// OpenEmbedded or OpenExternal and must be closed after the API server has
// stopped serving.
type Backend struct {
	client     *kubernetes.Client
	compactor  compactor
	size       func(ctx context.Context) (int64, error)
	stopServer func() // nil where etcd is another process

	sizeMu sync.Mutex // size of an external server rotates over its endpoints
	close  sync.Once
}

type compactor interface {
	etcd3.Compactor
	Stop()
}

func newBackend(client *kubernetes.Client, compaction time.Duration) *Backend {
	client.KV = etcd3.NewETCDLatencyTracker(client.KV)
	return &Backend{
		client:    client,
		compactor: etcd3.NewCompactor(client.Client, compaction, clock.RealClock{}, nil),
	}
}

// Client returns the shared etcd client.
func (b *Backend) Client() *kubernetes.Client { return b.client }

// Probe reports whether etcd answers a linearizable read.
func (b *Backend) Probe(ctx context.Context) error {
	if _, err := b.client.Client.Get(ctx, "/registry/health"); err != nil {
		return fmt.Errorf("error getting data from etcd: %w", err)
	}
	return nil
}

// Close stops the compactor, the client and an embedded server, in this order.
func (b *Backend) Close() {
	b.close.Do(func() {
		b.compactor.Stop()
		_ = b.client.Client.Close()
		if b.stopServer != nil {
			b.stopServer()
		}
	})
}

// PublishSize makes apiserver_storage_size_bytes report this backend. It must
// come after the last EtcdOptions.ApplyTo of the process, which installs a
// monitor that dials.
func (b *Backend) PublishSize() {
	metrics.SetStorageMonitorGetter(func() ([]metrics.Monitor, error) {
		return []metrics.Monitor{sizeMonitor{b}}, nil
	})
}

// sizeMonitor shares the backend's client, so closing it closes nothing.
type sizeMonitor struct{ backend *Backend }

func (m sizeMonitor) Close() error { return nil }

func (m sizeMonitor) Monitor(ctx context.Context) (metrics.StorageMetrics, error) {
	m.backend.sizeMu.Lock()
	defer m.backend.sizeMu.Unlock()
	size, err := m.backend.size(ctx)
	return metrics.StorageMetrics{Size: size}, err
}

// inProcessChecker answers for an etcd that is compiled into this binary. The
// library's checker asks the endpoints of the client, and the in-process client
// has none: it would take watch progress requests, and with them consistent
// reads from the watch cache, for unsupported.
type inProcessChecker struct{ feature.FeatureSupportChecker }

func (c inProcessChecker) Supports(f storage.Feature) bool {
	switch f {
	case storage.RequestWatchProgress:
		return true
	case storage.RangeStream: // the in-process adapter has no streaming range
		return false
	}
	return c.FeatureSupportChecker.Supports(f)
}

var trustInProcessFeatures = sync.OnceFunc(func() {
	feature.DefaultFeatureSupportChecker = inProcessChecker{feature.DefaultFeatureSupportChecker}
})
