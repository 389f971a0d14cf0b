package storage

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"k8s.io/apimachinery/pkg/util/wait"
)

// EmbeddedConfig describes the etcd member that runs in this process.
type EmbeddedConfig struct {
	// Dir holds the member's data; it is made when missing.
	Dir string
	// QuotaBytes limits the database; 0 is etcd's default of 2 GiB.
	QuotaBytes int64
	// UnsafeNoFsync trades durability for speed, for tests only.
	UnsafeNoFsync bool
	// CompactionInterval is how often old revisions are dropped; 0: never.
	CompactionInterval time.Duration
}

// raftLogEntries bounds the raft log that etcd keeps in memory. There is no
// follower that could need old entries, so it can be far below etcd's default.
const (
	raftLogEntries     = 2000
	raftCatchUpEntries = 100
)

// OpenEmbedded starts an etcd member without any listener and returns its
// backend. The data in cfg.Dir is kept from run to run.
func OpenEmbedded(ctx context.Context, cfg EmbeddedConfig) (*Backend, error) {
	etcdConfig, err := embeddedEtcdConfig(cfg)
	if err != nil {
		return nil, err
	}
	member, err := embed.StartEtcd(etcdConfig)
	if err != nil {
		return nil, fmt.Errorf("starting embedded etcd in %s: %w", cfg.Dir, err)
	}
	select {
	case <-member.Server.ReadyNotify():
	case err := <-member.Err():
		member.Close()
		return nil, fmt.Errorf("starting embedded etcd in %s: %w", cfg.Dir, err)
	case <-member.Server.StopNotify():
		member.Close()
		return nil, fmt.Errorf("starting embedded etcd in %s: stopped before it was ready", cfg.Dir)
	case <-ctx.Done():
		member.Close()
		return nil, fmt.Errorf("starting embedded etcd in %s: %w", cfg.Dir, ctx.Err())
	}

	client := &kubernetes.Client{Client: v3client.New(member.Server)}
	client.Kubernetes = client
	trustInProcessFeatures()

	b := newBackend(client, cfg.CompactionInterval)
	b.size = func(context.Context) (int64, error) { return member.Server.Backend().Size(), nil }
	b.stopServer = member.Close
	return b, nil
}

func embeddedEtcdConfig(cfg EmbeddedConfig) (*embed.Config, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("resolving the etcd directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the etcd directory: %w", err)
	}
	c := embed.NewConfig()
	c.Name = "skiff"
	c.Dir = dir
	// etcd wants a peer URL for its membership record, also where nothing
	// listens on it.
	peer := url.URL{Scheme: "unix", Path: "/embedded-etcd-has-no-peers"}
	c.ListenPeerUrls, c.ListenClientUrls, c.AdvertiseClientUrls = nil, nil, nil
	c.AdvertisePeerUrls = []url.URL{peer}
	c.InitialCluster = c.Name + "=" + peer.String()
	c.QuotaBackendBytes = cfg.QuotaBytes
	c.UnsafeNoFsync = cfg.UnsafeNoFsync
	c.SnapshotCount = raftLogEntries
	c.SnapshotCatchUpEntries = raftCatchUpEntries
	c.WatchProgressNotifyInterval = 5 * time.Second
	// Compaction is the API server's job; etcd refuses an empty mode.
	c.AutoCompactionMode, c.AutoCompactionRetention = embed.CompactorModePeriodic, "0"
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(etcdLogger())
	// A member waits for a random part of the election timeout before it elects
	// itself, and there is no peer to wait for. Shorter ticks would cost more idle
	// time than they save at the start.
	c.TickMs, c.ElectionMs = 50, 250
	return c, nil
}

// etcdLogger lets through what an operator must hear of (fatal states, a
// corrupt file), not etcd's running commentary.
func etcdLogger() *zap.Logger {
	encoder := zapcore.NewConsoleEncoder(zap.NewProductionEncoderConfig())
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), zapcore.ErrorLevel)).Named("etcd")
}

// waitReady polls the probe until it answers.
func waitReady(ctx context.Context, b *Backend) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, dialTimeout, true, func(ctx context.Context) (bool, error) {
		probeCtx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		last = b.Probe(probeCtx)
		return last == nil, nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}
