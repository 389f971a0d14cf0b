package testenv

import (
	"context"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/skiff-project/skiff/server"
)

// AdminUser and AdminGroup are the identity of Env.Admin, bound to cluster-admin
// by the bootstrap policy.
const (
	AdminUser  = "kubernetes-admin"
	AdminGroup = "skiff:cluster-admins"
)

// startTimeout is long because test machines can be very busy.
const startTimeout = time.Minute

// Env is a running API server.
type Env struct {
	// Admin reaches the server in memory as the cluster's administrator.
	Admin *rest.Config
	// Client is made from Admin.
	Client kubernetes.Interface
	Server *server.Server

	ca     *authority
	dir    string
	cancel context.CancelFunc
	done   chan error // gets Run's result
}

// Option changes the server's options before it starts.
type Option func(*server.Options)

// Start starts a server and stops it when the test ends.
func Start(t testing.TB, options ...Option) *Env {
	t.Helper()
	env, err := start(t.TempDir(), options...)
	if err != nil {
		t.Fatalf("starting the test API server: %v", err)
	}
	t.Cleanup(func() {
		if err := env.stop(); err != nil {
			t.Errorf("stopping the test API server: %v", err)
		}
	})
	return env
}

// ConfigFor returns a configuration that reaches the server in memory as the
// user with these groups.
func (e *Env) ConfigFor(user string, groups ...string) *rest.Config {
	return e.Server.ClientConfig(user, groups...)
}

// SocketConfigFor returns a configuration that reaches the server through its
// TLS port with a client certificate: for programs, and for what the in-memory
// transport cannot do (exec, port-forward).
func (e *Env) SocketConfigFor(t testing.TB, user string, groups ...string) *rest.Config {
	t.Helper()
	certPEM, keyPEM, err := e.ca.issue(pkix.Name{CommonName: user, Organization: groups})
	if err != nil {
		t.Fatalf("issuing a client certificate: %v", err)
	}
	return &rest.Config{
		Host:            "https://" + e.Server.Address().String(),
		TLSClientConfig: rest.TLSClientConfig{CAData: e.ca.pem(), CertData: certPEM, KeyData: keyPEM},
		QPS:             -1,
	}
}

// Kubeconfig writes a kubeconfig of the administrator and returns its path.
func (e *Env) Kubeconfig(t testing.TB) string {
	t.Helper()
	return writeKubeconfig(t, e.SocketConfigFor(t, AdminUser, AdminGroup))
}

func writeKubeconfig(t testing.TB, config *rest.Config) string {
	t.Helper()
	const name = "testenv"
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	kubeconfig.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
	kubeconfig.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	kubeconfig.CurrentContext = name
	path := t.TempDir() + "/kubeconfig"
	if err := clientcmd.WriteToFile(*kubeconfig, path); err != nil {
		t.Fatalf("writing a kubeconfig: %v", err)
	}
	return path
}

func start(dir string, options ...Option) (*Env, error) {
	ca, err := newAuthority(dir)
	if err != nil {
		return nil, err
	}
	o, err := serverOptions(ca, dir)
	if err != nil {
		return nil, err
	}
	for _, option := range options {
		option(o)
	}
	if err := o.Complete(); err != nil {
		return nil, fmt.Errorf("completing the options: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.New(ctx, o)
	if err != nil {
		cancel()
		return nil, err
	}
	env := &Env{Server: s, ca: ca, dir: dir, cancel: cancel, done: make(chan error, 1)}
	go func() { env.done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-env.done:
		cancel()
		return nil, errors.Join(errors.New("the server ended before it was ready"), err)
	case <-time.After(startTimeout):
		return nil, errors.Join(errors.New("the server is not ready"), env.stop())
	}
	env.Admin = s.ClientConfig(AdminUser, AdminGroup)
	if env.Client, err = kubernetes.NewForConfig(env.Admin); err != nil {
		return nil, errors.Join(err, env.stop())
	}
	return env, nil
}

func serverOptions(ca *authority, dir string) (*server.Options, error) {
	certFile, keyFile, err := ca.write("apiserver", pkix.Name{CommonName: "kube-apiserver"})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	o := server.NewOptions()
	o.DataDir = dir
	o.EtcdUnsafeNoFsync = true
	o.SecureServing.Listener = listener
	o.SecureServing.BindAddress = net.IPv4(127, 0, 0, 1)
	o.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	o.SecureServing.ServerCert.CertDirectory = dir
	o.SecureServing.ServerCert.CertKey.CertFile = certFile
	o.SecureServing.ServerCert.CertKey.KeyFile = keyFile
	o.Run.AdvertiseAddress = net.IPv4(127, 0, 0, 1)
	o.ClientCert.ClientCA = ca.path("ca.crt")
	return o, nil
}

// stop ends the server and waits for it.
func (e *Env) stop() error {
	e.cancel()
	select {
	case err := <-e.done:
		return err
	case <-time.After(startTimeout):
		return errors.New("the server does not stop")
	}
}

// removeDir removes what a shared environment has written.
func (e *Env) removeDir() error { return os.RemoveAll(e.dir) }
