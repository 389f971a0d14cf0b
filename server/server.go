package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/skiff-project/skiff/server/inprocess"
	"github.com/skiff-project/skiff/server/storage"
)

// Server is the API server with its storage.
type Server struct {
	generic   *genericapiserver.GenericAPIServer
	informers informers.SharedInformerFactory
	backend   *storage.Backend
	transport *inprocess.Transport
	loopback  kubernetes.Interface
	ready     chan struct{}
	readyOnce sync.Once
}

// New builds the server that completed options describe. It opens storage and
// the listening socket; Run must be called to serve, and to release both.
func New(ctx context.Context, o *Options) (*Server, error) {
	if errs := o.Validate(); len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	backend, err := o.openBackend(ctx)
	if err != nil {
		return nil, err
	}
	identity := inprocess.NewIdentities()
	b := &builder{options: o, backend: backend, identity: identity, transport: inprocess.NewTransport(identity)}
	s, err := b.build(ctx)
	if err != nil {
		if b.config != nil && b.config.SecureServing != nil {
			_ = b.config.SecureServing.Listener.Close()
		}
		backend.Close()
		return nil, err
	}
	return s, nil
}

func (o *Options) openBackend(ctx context.Context) (*storage.Backend, error) {
	config := o.Etcd.StorageConfig
	if len(config.Transport.ServerList) > 0 {
		return storage.OpenExternal(ctx, config.Transport, config.CompactionInterval)
	}
	return storage.OpenEmbedded(ctx, storage.EmbeddedConfig{
		Dir:                filepath.Join(o.DataDir, "etcd"),
		UnsafeNoFsync:      o.EtcdUnsafeNoFsync,
		CompactionInterval: config.CompactionInterval,
	})
}

// externalAddress is the host:port under which clients find the server.
func (b *builder) externalAddress() string {
	host := b.config.ExternalAddress
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(b.options.SecureServing.BindPort))
}

func (b *builder) build(ctx context.Context) (*Server, error) {
	if err := b.buildConfig(ctx); err != nil {
		return nil, err
	}
	groups, err := b.buildGroups()
	if err != nil {
		return nil, err
	}
	generic, err := b.config.Complete(b.informers).New("kube-apiserver", genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, fmt.Errorf("building the server: %w", err)
	}
	if err := install(generic, groups); err != nil {
		return nil, err
	}
	if b.auth.Discovery != nil {
		b.auth.Discovery.Install(generic.Handler.NonGoRestfulMux)
	}
	if err := b.addHooks(generic); err != nil {
		return nil, err
	}
	b.transport.SetHandler(generic.Handler)
	return &Server{
		generic:   generic,
		informers: b.informers,
		backend:   b.backend,
		transport: b.transport,
		loopback:  b.client,
		ready:     make(chan struct{}),
	}, nil
}

// Run serves until ctx ends, lets requests finish, and closes storage. It
// returns nil after a clean shutdown.
func (s *Server) Run(ctx context.Context) error {
	prepared := s.generic.PrepareRun()
	go s.waitReady(ctx)
	err := prepared.RunWithContext(ctx)
	// Nothing may reach storage once it is closed: neither in-process clients that
	// outlive the server nor its own informers, for which the library does not wait.
	s.transport.SetHandler(nil)
	s.informers.Shutdown()
	s.backend.Close()
	if err != nil {
		return fmt.Errorf("running the API server: %w", err)
	}
	return nil
}

// waitReady closes the ready channel when /readyz says ok.
func (s *Server) waitReady(ctx context.Context) {
	logger := klog.FromContext(ctx)
	start := time.Now()
	client := s.loopback.Discovery().RESTClient()
	err := wait.PollUntilContextCancel(ctx, 10*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		return client.Get().AbsPath("/readyz").Do(ctx).Error() == nil, nil
	})
	if err == nil {
		logger.V(1).Info("API server is ready", "after", time.Since(start))
		s.readyOnce.Do(func() { close(s.ready) })
	}
}

// Ready is closed when /readyz is ok for the first time.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Address is where the server listens.
func (s *Server) Address() net.Addr { return s.generic.SecureServingInfo.Listener.Addr() }

// ClientConfig returns a client configuration that reaches the server in memory,
// authenticated as the user and groups.
func (s *Server) ClientConfig(username string, groups ...string) *restclient.Config {
	return s.transport.ClientConfig(username, groups...)
}
