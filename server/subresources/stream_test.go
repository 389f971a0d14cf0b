package subresources_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	serverportforward "k8s.io/cri-streaming/pkg/streaming/portforward"
	serverremotecommand "k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/utils/exec"

	"github.com/skiff-project/skiff/e2e/testenv"
	"github.com/skiff-project/skiff/server"
)

// agent is a node agent that echoes. It accepts only clients with a certificate.
type agent struct {
	*httptest.Server
	paths chan string
}

func (a *agent) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	a.paths <- req.URL.RequestURI()
	stdio := []string{serverremotecommand.StreamProtocolV4Name}
	switch {
	case strings.HasPrefix(req.URL.Path, "/containerLogs/"):
		fmt.Fprintln(w, "logged")
	case strings.HasPrefix(req.URL.Path, "/exec/"):
		options, err := serverremotecommand.NewOptions(req)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		serverremotecommand.ServeExec(w, req, a, "", "", "c", req.URL.Query()["command"], options, time.Minute, time.Minute, stdio)
	case strings.HasPrefix(req.URL.Path, "/attach/"):
		options, err := serverremotecommand.NewOptions(req)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		serverremotecommand.ServeAttach(w, req, a, "", "", "c", options, time.Minute, time.Minute, stdio)
	case strings.HasPrefix(req.URL.Path, "/portForward/"):
		serverportforward.ServePortForward(w, req, a, "", "", &serverportforward.V4Options{}, time.Minute, time.Minute,
			[]string{serverportforward.ProtocolV1Name})
	default:
		fmt.Fprintf(w, "%s %s", req.Method, req.URL.Path)
	}
}

// ExecInContainer copies its input and says what it was told; "fail" fails.
func (a *agent) ExecInContainer(_ context.Context, _, _, _ string, command []string, in io.Reader, out, _ io.WriteCloser,
	_ bool, _ <-chan serverremotecommand.TerminalSize, _ time.Duration) error {
	if command[0] == "fail" {
		return exec.CodeExitError{Err: fmt.Errorf("failed"), Code: 7}
	}
	fmt.Fprintf(out, "%s:", strings.Join(command, " "))
	if in != nil {
		_, err := io.Copy(out, in)
		return err
	}
	return nil
}

// AttachContainer copies its input to both outputs.
func (a *agent) AttachContainer(_ context.Context, _, _, _ string, in io.Reader, out, errs io.WriteCloser,
	_ bool, _ <-chan serverremotecommand.TerminalSize) error {
	_, err := io.Copy(io.MultiWriter(out, errs), in)
	return err
}

// PortForward echoes one line.
func (a *agent) PortForward(_ context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	buffer := make([]byte, 16)
	n, err := stream.Read(buffer)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stream, "%d:%s", port, buffer[:n])
	return err
}

// startWithAgent starts a server and an agent that trust each other by the test
// CA, and a pod on the agent's node.
func startWithAgent(t *testing.T) (*testenv.Env, *agent, string) {
	t.Helper()
	var dir string
	env := testenv.Start(t, func(o *server.Options) {
		// Any certificate of the CA will do on both sides.
		dir = o.DataDir
		o.Kubelet.CAFile = o.ClientCert.ClientCA
		o.Kubelet.ClientCertFile = o.SecureServing.ServerCert.CertKey.CertFile
		o.Kubelet.ClientKeyFile = o.SecureServing.ServerCert.CertKey.KeyFile
		o.Kubelet.PreferredAddressTypes = []string{"InternalIP"}
	})
	a := &agent{paths: make(chan string, 100)}
	a.Server = httptest.NewUnstartedServer(a)
	pair, err := tls.LoadX509KeyPair(dir+"/apiserver.crt", dir+"/apiserver.key")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(dir + "/ca.crt")
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	a.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	a.StartTLS()
	t.Cleanup(a.Close)

	port := a.Listener.Addr().(*net.TCPAddr).Port
	node, err := env.Client.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "one"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "127.0.0.1"}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(port)
	if _, err := env.Client.CoreV1().Nodes().UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	ns := newNamespace(t, env)
	createPod(t, env, ns, newPod("p", "one", "c", "d"))
	createPod(t, env, ns, newPod("unbound", "", "c"))
	return env, a, ns
}

func TestAgentsAreReached(t *testing.T) {
	env, a, ns := startWithAgent(t)
	config := env.SocketConfigFor(t, testenv.AdminUser, testenv.AdminGroup)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("log", func(t *testing.T) { testLog(t, client, a, ns) })
	t.Run("exec", func(t *testing.T) { testExec(t, client, config, a, ns) })
	t.Run("attach", func(t *testing.T) { testAttach(t, client, config, a, ns) })
	t.Run("portforward", func(t *testing.T) { testPortForward(t, client, config, ns) })
	t.Run("proxy", func(t *testing.T) { testProxy(t, client, ns) })
	t.Run("rights", func(t *testing.T) { testExecNeedsCreate(t, env, client, ns) })
}

func testLog(t *testing.T, client kubernetes.Interface, a *agent, ns string) {
	tail := int64(3)
	raw, err := client.CoreV1().Pods(ns).GetLogs("p", &corev1.PodLogOptions{
		Container: "c", Follow: true, TailLines: &tail, Timestamps: true, Previous: true,
	}).DoRaw(t.Context())
	if err != nil || string(raw) != "logged\n" {
		t.Errorf("got %q, %v", raw, err)
	}
	want := "/containerLogs/" + ns + "/p/c?follow=true&previous=true&tailLines=3&timestamps=true"
	if got := <-a.paths; got != want {
		t.Errorf("the agent was asked for %s, want %s", got, want)
	}
	for name, test := range map[string]struct {
		pod     string
		options corev1.PodLogOptions
		text    string
	}{
		"several containers": {"p", corev1.PodLogOptions{}, "a container name must be specified for pod p, choose one of: [c d]"},
		"unknown container":  {"p", corev1.PodLogOptions{Container: "x"}, "container x is not valid for pod p"},
		"negative tail":      {"p", corev1.PodLogOptions{Container: "c", TailLines: func() *int64 { n := int64(-1); return &n }()}, "must be greater than or equal to 0"},
	} {
		err := client.CoreV1().Pods(ns).GetLogs(test.pod, &test.options).Do(t.Context()).Error()
		if err == nil || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if raw, err := client.CoreV1().Pods(ns).GetLogs("unbound", &corev1.PodLogOptions{}).DoRaw(t.Context()); err != nil || len(raw) != 0 {
		t.Errorf("the log of a pod that never ran: %q, %v", raw, err)
	}
}

// protocols are those in which clients stream standard input and output.
var protocols = []string{"SPDY", "WebSocket"}

// stream sends "input" and returns both outputs.
func stream(t *testing.T, config *rest.Config, protocol string, url *url.URL) (stdout, stderr string, err error) {
	t.Helper()
	var executor remotecommand.Executor
	if protocol == "SPDY" {
		executor, err = remotecommand.NewSPDYExecutor(config, "POST", url)
	} else {
		executor, err = remotecommand.NewWebSocketExecutor(config, "GET", url.String())
	}
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	err = executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{
		Stdin: strings.NewReader("input"), Stdout: &out, Stderr: &errs,
	})
	return out.String(), errs.String(), err
}

func testAttach(t *testing.T, client kubernetes.Interface, config *rest.Config, a *agent, ns string) {
	attach := func(protocol, pod, container string) (stdout, stderr string, err error) {
		return stream(t, config, protocol, client.CoreV1().RESTClient().Post().Namespace(ns).Resource("pods").Name(pod).SubResource("attach").
			VersionedParams(&corev1.PodAttachOptions{Container: container, Stdin: true, Stdout: true, Stderr: true}, scheme.ParameterCodec).URL())
	}
	for _, protocol := range protocols {
		out, errs, err := attach(protocol, "p", "d")
		if err != nil || out != "input" || errs != "input" {
			t.Errorf("%s: got %q, %q, %v", protocol, out, errs, err)
		}
		if got, want := <-a.paths, "/attach/"+ns+"/p/d?error=1&input=1&output=1"; got != want {
			t.Errorf("%s: the agent was asked for %s, want %s", protocol, got, want)
		}
	}
	for name, test := range map[string]struct{ pod, container, text string }{
		"several containers": {"p", "", "a container name must be specified for pod p, choose one of: [c d]"},
		"unknown container":  {"p", "x", "container x is not valid for pod p"},
		"a pod without node": {"unbound", "c", "does not have a host assigned"},
	} {
		if _, _, err := attach("SPDY", test.pod, test.container); err == nil || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func testExec(t *testing.T, client kubernetes.Interface, config *rest.Config, a *agent, ns string) {
	run := func(protocol string, command ...string) (string, error) {
		out, _, err := stream(t, config, protocol, client.CoreV1().RESTClient().Post().Namespace(ns).Resource("pods").Name("p").SubResource("exec").
			VersionedParams(&corev1.PodExecOptions{Container: "c", Command: command, Stdin: true, Stdout: true, Stderr: true}, scheme.ParameterCodec).URL())
		return out, err
	}
	for _, protocol := range protocols {
		out, err := run(protocol, "say", "this")
		if err != nil || out != "say this:input" {
			t.Errorf("%s: got %q, %v", protocol, out, err)
		}
		if got, want := <-a.paths, "/exec/"+ns+"/p/c?command=say&command=this&error=1&input=1&output=1"; got != want {
			t.Errorf("%s: the agent was asked for %s, want %s", protocol, got, want)
		}
		_, err = run(protocol, "fail")
		<-a.paths
		exit, ok := err.(exec.ExitError)
		if !ok || exit.ExitStatus() != 7 {
			t.Errorf("%s: a failing command gave %v", protocol, err)
		}
	}
}

func testPortForward(t *testing.T, client kubernetes.Interface, config *rest.Config, ns string) {
	url := client.CoreV1().RESTClient().Post().Namespace(ns).Resource("pods").Name("p").SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		t.Fatal(err)
	}
	overSPDY := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, "POST", url)
	overWebSocket, err := portforward.NewSPDYOverWebsocketDialer(url, config)
	if err != nil {
		t.Fatal(err)
	}
	for name, dialer := range map[string]httpstream.Dialer{
		"SPDY": overSPDY, "WebSocket": overWebSocket,
	} {
		stop, ready := make(chan struct{}), make(chan struct{})
		forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{"0:80"}, stop, ready, io.Discard, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- forwarder.ForwardPorts() }()
		select {
		case <-ready:
		case err := <-done:
			t.Fatalf("%s: %v", name, err)
		}
		ports, err := forwarder.GetPorts()
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0].Local))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "ping")
		got, err := io.ReadAll(conn)
		if err != nil || string(got) != "80:ping" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		_ = conn.Close()
		close(stop)
		<-done
	}
}

func testProxy(t *testing.T, client kubernetes.Interface, ns string) {
	raw, err := client.CoreV1().RESTClient().Get().Resource("nodes").Name("one").SubResource("proxy").Suffix("stats/summary").DoRaw(t.Context())
	if err != nil || string(raw) != "GET /stats/summary" {
		t.Errorf("got %q, %v", raw, err)
	}
	// Only the agent is trusted with a loopback address.
	err = client.CoreV1().RESTClient().Get().Resource("nodes").Name("one:22").SubResource("proxy").Do(t.Context()).Error()
	if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "address not allowed") {
		t.Errorf("another port of the host: %v", err)
	}
	// The same goes for a pod that claims such an address.
	pod, err := client.CoreV1().Pods(ns).Get(t.Context(), "p", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod.Status.PodIP, pod.Status.PodIPs = "127.0.0.1", []corev1.PodIP{{IP: "127.0.0.1"}}
	if _, err := client.CoreV1().Pods(ns).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	err = client.CoreV1().RESTClient().Get().Namespace(ns).Resource("pods").Name("p:80").SubResource("proxy").Do(t.Context()).Error()
	if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "address not allowed") {
		t.Errorf("a pod on loopback: %v", err)
	}
}

// Test that a WebSocket, which is a GET, does not let readers of pods run
// commands.
func testExecNeedsCreate(t *testing.T, env *testenv.Env, client kubernetes.Interface, ns string) {
	_, err := env.Client.RbacV1().Roles(ns).Create(t.Context(), role("reader", "get"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = env.Client.RbacV1().RoleBindings(ns).Create(t.Context(), roleBinding("reader", "eve"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	config := env.SocketConfigFor(t, "eve")
	url := client.CoreV1().RESTClient().Get().Namespace(ns).Resource("pods").Name("p").SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: "c", Command: []string{"x"}, Stdout: true}, scheme.ParameterCodec).URL()
	executor, err := remotecommand.NewWebSocketExecutor(config, "GET", url.String())
	if err != nil {
		t.Fatal(err)
	}
	err = executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdout: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "Forbidden") && !strings.Contains(err.Error(), "forbidden") {
		t.Errorf("a reader of pods ran a command: %v", err)
	}
}
