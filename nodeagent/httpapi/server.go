// Package httpapi is the kubelet's HTTPS API on port 10250: what the API
// server calls for logs, exec, attach and port-forward, and what monitoring
// reads.
//
// Every request is authenticated, by a client certificate or by a token that
// the API server reviews, and then authorized by the API server as a
// subresource of this node (authorize.go). Only then a handler sees it. The
// package knows the agent through small interfaces alone.
package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/klog/v2"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
	"k8s.io/utils/clock"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// Pods tells of the pods that the agent runs.
type Pods interface {
	// Pods returns all pods of this node with their present status. The objects are shared: not to be changed.
	Pods() []*corev1.Pod
	// Pod returns one of them.
	Pod(name types.NamespacedName) (*corev1.Pod, bool)
}

// Runtime is what the API needs of the container runtime.
type Runtime interface {
	runtime.Pods
	runtime.Streams
	runtime.Logs
}

// Stats tells what the node and its pods use.
type Stats interface {
	Summary(ctx context.Context) (*statsapi.Summary, error)
}

// Config is what a Server needs.
type Config struct {
	NodeName string
	// Address and Port to listen on.
	Address string
	Port    int
	TLS     TLSConfig
	// Authenticator and Authorizer decide on every request; NewAuth makes those that ask the API server.
	Authenticator authenticator.Request
	Authorizer    authorizer.Authorizer

	Pods    Pods
	Runtime Runtime
	Stats   Stats
	Clock   clock.PassiveClock
	// Metrics serves /metrics, ResourceMetrics /metrics/resource; both may be nil.
	Metrics, ResourceMetrics http.Handler
	// Configz returns what /configz shows; may be nil.
	Configz func() any
	// HealthChecks are those of /healthz beside "ping".
	HealthChecks []healthz.HealthChecker
}

// Server serves the kubelet's API.
type Server struct {
	config Config
}

// The same as kubelets have: how long a silent stream lives, and how long a
// client may take to open its streams.
const (
	streamIdleTimeout     = 4 * time.Hour
	streamCreationTimeout = 30 * time.Second
	shutdownTimeout       = 2 * time.Second
)

// New returns a Server.
func New(config Config) (*Server, error) {
	for name, missing := range map[string]bool{
		"NodeName":      config.NodeName == "",
		"Authenticator": config.Authenticator == nil,
		"Authorizer":    config.Authorizer == nil,
		"Pods":          config.Pods == nil,
		"Runtime":       config.Runtime == nil,
		"Stats":         config.Stats == nil,
		"Clock":         config.Clock == nil,
	} {
		if missing {
			return nil, fmt.Errorf("httpapi: %s is missing", name)
		}
	}
	return &Server{config: config}, nil
}

// Run listens and serves until ctx is done; streams that are open then are cut.
func (s *Server) Run(ctx context.Context) error {
	address := net.JoinHostPort(s.config.Address, strconv.Itoa(s.config.Port))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listening for the kubelet API: %w", err)
	}
	return s.Serve(ctx, listener)
}

// Serve serves on a listener, which it closes, until ctx is done.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	logger := klog.FromContext(ctx).WithName("kubelet-api")
	tlsConfig, err := s.config.TLS.build(ctx, s.config.NodeName)
	if err != nil {
		listener.Close()
		return err
	}
	// Requests end with the server: a hijacked stream would not notice.
	server := &http.Server{
		Handler:           s.Handler(),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 32 * time.Second,
		IdleTimeout:       90 * time.Second,
		// Port scanners and health checks that do not speak TLS are not worth a line each.
		ErrorLog: log.New(logWriter{logger}, "", 0),
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(tls.NewListener(listener, tlsConfig)) }()
	logger.Info("Serving the kubelet API", "address", listener.Addr().String())
	select {
	case err := <-done:
		return fmt.Errorf("serving the kubelet API: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(stop); errors.Is(err, context.DeadlineExceeded) {
		return server.Close()
	} else if err != nil {
		return fmt.Errorf("ending the kubelet API: %w", err)
	}
	return nil
}

type logWriter struct{ logger klog.Logger }

func (w logWriter) Write(data []byte) (int, error) {
	message := strings.TrimSpace(string(data))
	if strings.HasPrefix(message, "http: TLS handshake error") {
		w.logger.V(2).Info("A client failed the TLS handshake", "message", message)
	} else {
		w.logger.Info("The HTTP server complains", "message", message)
	}
	return len(data), nil
}

// Handler returns the whole API behind authentication and authorization.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/healthz", s.healthz())
	mux.HandleFunc("/healthz/{check}", s.oneHealthCheck)
	mux.HandleFunc("GET /pods", s.pods)
	mux.HandleFunc("GET /pods/{$}", s.pods)
	mux.HandleFunc("GET /runningpods", s.runningPods)
	mux.HandleFunc("GET /runningpods/{$}", s.runningPods)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", s.containerLogs)
	for _, method := range []string{"GET", "POST"} {
		mux.HandleFunc(method+" /exec/{namespace}/{pod}/{container}", s.exec)
		mux.HandleFunc(method+" /exec/{namespace}/{pod}/{uid}/{container}", s.exec)
		mux.HandleFunc(method+" /attach/{namespace}/{pod}/{container}", s.attach)
		mux.HandleFunc(method+" /attach/{namespace}/{pod}/{uid}/{container}", s.attach)
		mux.HandleFunc(method+" /portForward/{namespace}/{pod}", s.portForward)
		mux.HandleFunc(method+" /portForward/{namespace}/{pod}/{uid}", s.portForward)
	}
	mux.HandleFunc("POST /run/{namespace}/{pod}/{container}", s.run)
	mux.HandleFunc("POST /run/{namespace}/{pod}/{uid}/{container}", s.run)
	mux.HandleFunc("GET /stats/summary", s.statsSummary)
	if s.config.Metrics != nil {
		mux.Handle("GET /metrics", s.config.Metrics)
	}
	if s.config.ResourceMetrics != nil {
		mux.Handle("GET /metrics/resource", s.config.ResourceMetrics)
	}
	if s.config.Configz != nil {
		mux.HandleFunc("GET /configz", s.configz)
	}
	return s.guard(mux)
}
