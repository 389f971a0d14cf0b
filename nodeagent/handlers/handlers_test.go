package handlers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// short is the timeout of tries that must run into it, long of those that must not.
const (
	short = 100 * time.Millisecond
	long  = 20 * time.Second
)

// served returns the target and port of a server on loopback.
func served(t *testing.T, address string) (Target, int) {
	t.Helper()
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		t.Fatal(err)
	}
	spec := &corev1.Container{Name: "c", Ports: []corev1.ContainerPort{{Name: "main", ContainerPort: int32(port)}}}
	return Target{Container: spec, ContainerID: "id", PodIP: host}, port
}

// closedPort returns an address where nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func matches(t *testing.T, what, got, pattern string) {
	t.Helper()
	if !regexp.MustCompile("^(?s:" + pattern + ")$").MatchString(got) {
		t.Errorf("%s is %q, want %q", what, got, pattern)
	}
}

// httpServer answers by its path; /elsewhere redirects to another host.
func httpServer() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.PathValue("code"))
		w.WriteHeader(code)
		fmt.Fprintf(w, "body of %d", code)
	})
	mux.HandleFunc("/query", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.RawQuery) })
	mux.HandleFunc("/headers", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "agent=%s accept=%v host=%s x=%v encoding=%q", r.UserAgent(), r.Header["Accept"], r.Host, r.Header["X-Test"], r.Header.Get("Accept-Encoding"))
	})
	mux.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/status/503", http.StatusFound) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://elsewhere.invalid/")
		w.WriteHeader(http.StatusMovedPermanently)
		fmt.Fprint(w, "moved")
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 2*maxOutput)) })
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/slowbody", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "root") })
	return mux
}

func TestHTTP(t *testing.T) {
	server := httptest.NewServer(httpServer())
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	target, port := served(t, address)
	number := intstr.FromInt(port)
	header := func(pairs ...string) (list []corev1.HTTPHeader) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, corev1.HTTPHeader{Name: pairs[i], Value: pairs[i+1]})
		}
		return list
	}
	for _, test := range []struct {
		name    string
		action  corev1.HTTPGetAction
		timeout time.Duration
		ok      bool
		warning bool
		output  string // a pattern
	}{
		{name: "no path", ok: true, output: "root"},
		{name: "path without a slash", action: corev1.HTTPGetAction{Path: "status/200"}, ok: true, output: "body of 200"},
		{name: "204", action: corev1.HTTPGetAction{Path: "/status/204"}, ok: true},
		{name: "400", action: corev1.HTTPGetAction{Path: "/status/400"}, output: "HTTP probe failed with statuscode: 400"},
		{name: "500", action: corev1.HTTPGetAction{Path: "/status/500"}, output: "HTTP probe failed with statuscode: 500"},
		{name: "query", action: corev1.HTTPGetAction{Path: "/query?a=b&c=%20"}, ok: true, output: "a=b&c=%20"},
		{name: "named port", action: corev1.HTTPGetAction{Path: "/", Port: intstr.FromString("main")}, ok: true, output: "root"},
		{name: "host", action: corev1.HTTPGetAction{Path: "/", Host: "localhost"}, ok: true, output: "root"},
		{
			name: "default headers", action: corev1.HTTPGetAction{Path: "/headers"}, ok: true,
			output: `agent=kube-probe/1\.37 accept=\[\*/\*\] host=` + regexp.QuoteMeta(address) + ` x=\[\] encoding=""`,
		},
		{
			name:   "own headers",
			action: corev1.HTTPGetAction{Path: "/headers", HTTPHeaders: header("user-agent", "me", "accept", "text/html", "Host", "example.org", "X-Test", "1", "X-Test", "2")},
			ok:     true, output: `agent=me accept=\[text/html\] host=example\.org x=\[1 2\] encoding=""`,
		},
		{
			name: "suppressed headers", action: corev1.HTTPGetAction{Path: "/headers", HTTPHeaders: header("User-Agent", "", "Accept", "")}, ok: true,
			output: `agent= accept=\[\] host=.*`,
		},
		{name: "redirect on the host is followed", action: corev1.HTTPGetAction{Path: "/here"}, output: "HTTP probe failed with statuscode: 503"},
		{name: "endless redirects", action: corev1.HTTPGetAction{Path: "/loop"}, output: `Get "/loop": stopped after 10 redirects`},
		{
			name: "redirect to another host is not", action: corev1.HTTPGetAction{Path: "/elsewhere"}, ok: true, warning: true,
			output: "Probe terminated redirects, Response body: moved",
		},
		{name: "large answer", action: corev1.HTTPGetAction{Path: "/large"}, ok: true, output: strings.Repeat("x{1000}", 10) + "x{240}"},
		{name: "no answer", action: corev1.HTTPGetAction{Path: "/slow"}, timeout: short, output: `Get "http://.*/slow": .*\(Client.Timeout exceeded.*\)`},
		{name: "no end of an answer", action: corev1.HTTPGetAction{Path: "/slowbody"}, timeout: short, output: `.*\(Client.Timeout .* while reading body\)`},
		{name: "TLS with a plain server", action: corev1.HTTPGetAction{Scheme: corev1.URISchemeHTTPS}, output: `Get "https://.*": http: server gave HTTP response to HTTPS client`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.action.Port == (intstr.IntOrString{}) {
				test.action.Port = number
			}
			if test.timeout == 0 {
				test.timeout = long
			}
			result, err := HTTP(t.Context(), target, &test.action, test.timeout)
			if err != nil {
				t.Fatal(err)
			}
			if result.OK != test.ok || result.Warning != test.warning {
				t.Errorf("ok %v, warning %v (%s)", result.OK, result.Warning, result.Output)
			}
			matches(t, "the output", result.Output, test.output)
		})
	}
}

// The node does not know who signed a container's certificate.
func TestHTTPSWithUnknownCA(t *testing.T) {
	server := httptest.NewTLSServer(httpServer())
	defer server.Close()
	target, port := served(t, strings.TrimPrefix(server.URL, "https://"))
	result, err := HTTP(t.Context(), target, &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt(port), Scheme: corev1.URISchemeHTTPS}, long)
	if err != nil || !result.OK || result.Output != "root" {
		t.Errorf("got %+v, %v", result, err)
	}
}

// A proxy of the node's environment is not for its own containers.
func TestHTTPUsesNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://"+closedPort(t))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://10.1.2.3/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if transport, ok := httpClient(long).Transport.(*http.Transport); !ok || transport.Proxy != nil {
		t.Errorf("a proxy is asked for %s", request.URL)
	}
}

func TestHTTPHook(t *testing.T) {
	seen := make(chan *http.Request, 10)
	record := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		w.WriteHeader(http.StatusInternalServerError)
	})
	plain, secure := httptest.NewServer(record), httptest.NewTLSServer(record)
	defer plain.Close()
	defer secure.Close()
	for _, test := range []struct {
		name          string
		server        string
		scheme        corev1.URIScheme
		authorization string
	}{
		{"http", plain.URL, corev1.URISchemeHTTP, "secret"},
		{"https", secure.URL, corev1.URISchemeHTTPS, "secret"},
		{"https falls back to http, without secrets", plain.URL, corev1.URISchemeHTTPS, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			u, err := url.Parse(test.server)
			if err != nil {
				t.Fatal(err)
			}
			target, _ := served(t, u.Host)
			action := &corev1.HTTPGetAction{
				Path: "/hook?x=1", Port: intstr.FromString("main"), Scheme: test.scheme,
				HTTPHeaders: []corev1.HTTPHeader{{Name: "Authorization", Value: "secret"}},
			}
			// The status does not count: the hook was called.
			if err := HTTPHook(t.Context(), target, action); err != nil {
				t.Fatal(err)
			}
			r := <-seen
			if r.URL.String() != "/hook?x=1" || r.UserAgent() != "kube-lifecycle/1.37" || r.Header.Get("Authorization") != test.authorization {
				t.Errorf("got %s by %q with Authorization %q", r.URL, r.UserAgent(), r.Header.Get("Authorization"))
			}
		})
	}
	target, _ := served(t, closedPort(t))
	err := HTTPHook(t.Context(), target, &corev1.HTTPGetAction{Port: intstr.FromString("main")})
	if err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("no server: got %v", err)
	}
}

func TestTCP(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	target, port := served(t, listener.Addr().String())
	_, closed := served(t, closedPort(t))
	for _, test := range []struct {
		name   string
		action corev1.TCPSocketAction
		ok     bool
		output string
	}{
		{"open", corev1.TCPSocketAction{Port: intstr.FromInt(port)}, true, ""},
		{"named", corev1.TCPSocketAction{Port: intstr.FromString("main")}, true, ""},
		{"of a host", corev1.TCPSocketAction{Port: intstr.FromInt(port), Host: "localhost"}, true, ""},
		{"closed", corev1.TCPSocketAction{Port: intstr.FromInt(closed)}, false, `dial tcp 127\.0\.0\.1:\d+: connect: connection refused`},
		{"unknown host", corev1.TCPSocketAction{Port: intstr.FromInt(port), Host: "256.0.0.1"}, false, "dial tcp: .*256.0.0.1.*"},
	} {
		t.Run(test.name, func(t *testing.T) {
			result, err := TCP(t.Context(), target, &test.action, long)
			if err != nil || result.OK != test.ok {
				t.Fatalf("got %+v, %v", result, err)
			}
			matches(t, "the output", result.Output, test.output)
		})
	}
	t.Run("cut off", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if result, err := TCP(ctx, target, &corev1.TCPSocketAction{Port: intstr.FromInt(port)}, long); err != nil || result.OK {
			t.Errorf("got %+v, %v", result, err)
		}
	})
}

// healthServer serves the health of "" and "good" and "bad" and returns its target
// and the user agents it sees.
func healthServer(t *testing.T, withHealth bool) (Target, int, chan string) {
	t.Helper()
	agents := make(chan string, 100)
	server := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if md, ok := metadata.FromIncomingContext(ctx); ok {
			agents <- strings.Join(md.Get("user-agent"), ",")
		}
		if request.(*grpc_health_v1.HealthCheckRequest).Service == "slow" {
			<-ctx.Done()
		}
		return handler(ctx, request)
	}))
	if withHealth {
		states := health.NewServer()
		states.SetServingStatus("", grpc_health_v1.HealthCheckResponse_SERVING)
		states.SetServingStatus("bad", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
		grpc_health_v1.RegisterHealthServer(server, states)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		<-done
	})
	target, port := served(t, listener.Addr().String())
	return target, port, agents
}

func TestGRPC(t *testing.T) {
	target, port, agents := healthServer(t, true)
	_, bare, _ := healthServer(t, false)
	_, closed := served(t, closedPort(t))
	mute, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	_, silent := served(t, mute.Addr().String())
	for _, test := range []struct {
		name    string
		port    int
		service string
		timeout time.Duration
		ok      bool
		output  string
	}{
		{"serving", port, "", long, true, "service healthy"},
		{"not serving", port, "bad", long, false, `service unhealthy \(responded with "NOT_SERVING"\)`},
		{"unknown service", port, "other", long, false, "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service"},
		{"slow", port, "slow", short, false, "timeout: health rpc did not complete within 100ms"},
		{
			"no health service", bare, "", long, false,
			`error: this server does not implement the grpc health protocol \(grpc\.health\.v1\.Health\): unknown service grpc\.health\.v1\.Health`,
		},
		{"unreachable", closed, "", short, false, `timeout: failed to connect service "127\.0\.0\.1:\d+" within 100ms: context deadline exceeded`},
		{"not gRPC", silent, "", short, false, `timeout: failed to connect service "127\.0\.0\.1:\d+" within 100ms: context deadline exceeded`},
	} {
		t.Run(test.name, func(t *testing.T) {
			action := &corev1.GRPCAction{Port: int32(test.port), Service: &test.service}
			start := time.Now()
			result, err := GRPC(t.Context(), target, action, test.timeout)
			if err != nil || result.OK != test.ok {
				t.Fatalf("got %+v, %v", result, err)
			}
			matches(t, "the output", result.Output, test.output)
			if took := time.Since(start); took > test.timeout+5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	if agent := <-agents; !strings.HasPrefix(agent, "kube-probe/1.37") {
		t.Errorf("the user agent is %q", agent)
	}
}

type execer struct {
	result runtime.ExecResult
	err    error
	call   string
}

func (e *execer) ExecSync(_ context.Context, id string, command []string, timeout time.Duration) (runtime.ExecResult, error) {
	e.call = fmt.Sprint(id, command, timeout)
	return e.result, e.err
}

func TestExec(t *testing.T) {
	broken := errors.New("the engine is gone")
	for _, test := range []struct {
		name string
		done runtime.ExecResult
		fail error
		want Result
		err  error
	}{
		{"good", runtime.ExecResult{Stdout: []byte("out"), Stderr: []byte("err")}, nil, Result{OK: true, Output: "outerr"}, nil},
		{"bad", runtime.ExecResult{ExitCode: 3, Stderr: []byte("no such file")}, nil, Result{Output: "no such file", ExitCode: 3}, nil},
		{
			"much output", runtime.ExecResult{ExitCode: 1, Stdout: []byte(strings.Repeat("x", 3*maxOutput))}, nil,
			Result{Output: strings.Repeat("x", maxOutput), ExitCode: 1}, nil,
		},
		{"too slow", runtime.ExecResult{}, runtime.Timeout(errors.New("late")), Result{Output: `command timed out: "sh -c x" timed out after 2s`}, nil},
		{"not tried", runtime.ExecResult{}, broken, Result{}, broken},
	} {
		t.Run(test.name, func(t *testing.T) {
			engine := &execer{result: test.done, err: test.fail}
			got, err := Exec(t.Context(), engine, Target{ContainerID: "id"}, []string{"sh", "-c", "x"}, 2*time.Second)
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("got %+v, %v", got, err)
			}
			if engine.call != "id[sh -c x] 2s" {
				t.Errorf("ran %s", engine.call)
			}
		})
	}
}

func TestPort(t *testing.T) {
	container := &corev1.Container{Name: "c", Ports: []corev1.ContainerPort{
		{Name: "web", ContainerPort: 8080}, {Name: "web", ContainerPort: 9999, Protocol: corev1.ProtocolUDP}, {ContainerPort: 1},
	}}
	for _, test := range []struct {
		port intstr.IntOrString
		want int
		err  string
	}{
		{intstr.FromInt(80), 80, ""},
		{intstr.FromInt(65535), 65535, ""},
		{intstr.FromString("web"), 8080, ""},
		{intstr.FromString("8081"), 8081, ""},
		{intstr.FromInt(0), 0, "invalid port number: 0"},
		{intstr.FromInt(65536), 0, "invalid port number: 65536"},
		{intstr.FromString("-1"), 0, "invalid port number: -1"},
		{intstr.FromString("other"), 0, `couldn't find port "other" in container "c"`},
	} {
		got, err := Port(test.port, container)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != test.want || text != test.err {
			t.Errorf("%s: got %d, %q", test.port.String(), got, text)
		}
	}
}

// An empty host is the node itself: nothing may be sent there in the pod's stead.
func TestNoAddress(t *testing.T) {
	target, port := served(t, closedPort(t))
	target.PodIP = ""
	number := intstr.FromInt(port)
	_, errHTTP := HTTP(t.Context(), target, &corev1.HTTPGetAction{Port: number}, long)
	_, errTCP := TCP(t.Context(), target, &corev1.TCPSocketAction{Port: number}, long)
	_, errGRPC := GRPC(t.Context(), target, &corev1.GRPCAction{Port: int32(port)}, long)
	errHook := HTTPHook(t.Context(), target, &corev1.HTTPGetAction{Port: number})
	for i, err := range []error{errHTTP, errTCP, errGRPC, errHook} {
		if !errors.Is(err, ErrNoAddress) {
			t.Errorf("%d: got %v", i, err)
		}
	}
}
