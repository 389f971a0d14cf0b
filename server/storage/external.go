package storage

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"

	"k8s.io/apiserver/pkg/storage/storagebackend"
)

const (
	dialTimeout      = 20 * time.Second
	keepaliveTime    = 30 * time.Second
	keepaliveTimeout = 10 * time.Second
)

// OpenExternal connects to the etcd servers that t names, with TLS where it
// gives certificates, and waits until one answers.
func OpenExternal(ctx context.Context, t storagebackend.TransportConfig, compaction time.Duration) (*Backend, error) {
	cfg := clientv3.Config{
		Endpoints:            t.ServerList,
		DialTimeout:          dialTimeout,
		DialKeepAliveTime:    keepaliveTime,
		DialKeepAliveTimeout: keepaliveTimeout,
		Logger:               etcdLogger(),
	}
	if t.CertFile != "" || t.KeyFile != "" || t.TrustedCAFile != "" {
		info := transport.TLSInfo{CertFile: t.CertFile, KeyFile: t.KeyFile, TrustedCAFile: t.TrustedCAFile}
		tlsConfig, err := info.ClientConfig()
		if err != nil {
			return nil, fmt.Errorf("reading the etcd client certificates: %w", err)
		}
		cfg.TLS = tlsConfig
	}
	client, err := kubernetes.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("connecting to etcd at %v: %w", t.ServerList, err)
	}
	b := newBackend(client, compaction)
	next := 0
	b.size = func(ctx context.Context) (int64, error) {
		endpoint := t.ServerList[next%len(t.ServerList)]
		next++
		status, err := client.Status(ctx, endpoint)
		if err != nil {
			return 0, fmt.Errorf("asking etcd at %s for its size: %w", endpoint, err)
		}
		return status.DbSize, nil
	}
	if err := waitReady(ctx, b); err != nil {
		b.Close()
		return nil, fmt.Errorf("connecting to etcd at %v: %w", t.ServerList, err)
	}
	return b, nil
}
