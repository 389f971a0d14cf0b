package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/skiff-project/skiff/proxy/model"
)

// Local is what a health check node port tells about its Service.
type Local struct {
	Port      uint16
	Endpoints int // ready ones on this node
}

// LocalServices returns the Services that have a health check node port.
func LocalServices(ports map[model.PortName]*model.Port, into map[types.NamespacedName]Local) {
	for name, p := range ports {
		if p.HealthCheckNodePort == 0 {
			continue
		}
		// Ports of one Service may differ in their endpoints; a pod counts once.
		known := into[name.NamespacedName]
		into[name.NamespacedName] = Local{Port: p.HealthCheckNodePort, Endpoints: max(known.Endpoints, p.ReadyLocal)}
	}
}

// Services runs the health check node ports.
type Services struct {
	healthy func() bool
	listen  func(address string) (net.Listener, error)

	mu      sync.Mutex // protects everything below
	running map[types.NamespacedName]*serviceServer
}

type serviceServer struct {
	service types.NamespacedName
	port    uint16
	server  *http.Server

	mu        sync.Mutex // protects endpoints
	endpoints int
}

// NewServices returns a set without ports. Healthy tells whether the proxy works.
func NewServices(healthy func() bool) *Services {
	return &Services{
		healthy: healthy,
		listen:  func(address string) (net.Listener, error) { return net.Listen("tcp", address) },
		running: map[types.NamespacedName]*serviceServer{},
	}
}

// Sync opens, closes and updates ports. A port that cannot be opened is tried
// again at the next Sync.
func (s *Services) Sync(ctx context.Context, wanted map[types.NamespacedName]Local) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var problems []error
	for name, server := range s.running {
		if w, ok := wanted[name]; !ok || w.Port != server.port {
			problems = append(problems, server.server.Close())
			delete(s.running, name)
		}
	}
	for name, w := range wanted {
		server := s.running[name]
		if server == nil {
			var err error
			if server, err = s.start(ctx, name, w.Port); err != nil {
				problems = append(problems, err)
				continue
			}
			s.running[name] = server
		}
		server.set(w.Endpoints)
	}
	return errors.Join(problems...)
}

func (s *Services) start(ctx context.Context, name types.NamespacedName, port uint16) (*serviceServer, error) {
	listener, err := s.listen(net.JoinHostPort("", strconv.Itoa(int(port))))
	if err != nil {
		return nil, fmt.Errorf("opening the health check node port of Service %s: %w", name, err)
	}
	server := &serviceServer{service: name, port: port}
	server.server = &http.Server{Handler: server.handler(s.healthy), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			klog.FromContext(ctx).Error(err, "Health check node port stopped", "service", name)
		}
	}()
	return server, nil
}

// Close closes all ports.
func (s *Services) Close() error { return s.Sync(context.Background(), nil) }

func (s *serviceServer) set(endpoints int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endpoints = endpoints
}

func (s *serviceServer) handler(healthy func() bool) http.Handler {
	type serviceRef struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		endpoints := s.endpoints
		s.mu.Unlock()
		ok := healthy()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("X-Load-Balancing-Endpoint-Weight", strconv.Itoa(endpoints))
		if endpoints == 0 || !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		// A balancer that hung up needs no answer.
		_ = json.NewEncoder(w).Encode(struct {
			Service             serviceRef `json:"service"`
			LocalEndpoints      int        `json:"localEndpoints"`
			ServiceProxyHealthy bool       `json:"serviceProxyHealthy"`
		}{serviceRef{s.service.Namespace, s.service.Name}, endpoints, ok})
	})
}
