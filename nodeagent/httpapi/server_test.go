package httpapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/client-go/util/exec"

	"github.com/skiff-project/skiff/nodeagent/runtime/runtimetest"
)

func TestAuthentication(t *testing.T) {
	f := newFixture(t)
	foreign := newAuthority(t)
	certificate, key := foreign.issue(t, adminUser)
	nobody := rest.TLSClientConfig{Insecure: true}
	tests := []struct {
		name   string
		config *rest.Config
		path   string
		status int
		body   string
	}{
		{"certificate", f.admin, "/healthz", 200, "ok"},
		{"nothing", &rest.Config{TLSClientConfig: nobody}, "/healthz", 401, "Unauthorized\n"},
		{"a bad token", &rest.Config{BearerToken: "bad", TLSClientConfig: nobody}, "/healthz", 401, "Unauthorized\n"},
		{"a certificate of another CA", &rest.Config{TLSClientConfig: rest.TLSClientConfig{Insecure: true, CertData: certificate, KeyData: key}}, "/healthz", 401, "Unauthorized\n"},
		{"a token that may", &rest.Config{BearerToken: goodToken, TLSClientConfig: nobody}, "/metrics", 200, "metrics"},
		{"a token that may not", &rest.Config{BearerToken: goodToken, TLSClientConfig: nobody}, "/pods", 403,
			"Forbidden (user=token-user, verb=get, resource=nodes, subresource(s)=[pods proxy])\n"},
		{"a path that is not there", f.admin, "/nothing", 404, "404 page not found\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if status, body := f.request(tt.config, "GET", tt.path); status != tt.status || body != tt.body {
				t.Errorf("got %d %q, want %d %q", status, body, tt.status, tt.body)
			}
		})
	}
}

// TestAuthorization: which subresource of nodes stands for each path.
func TestAuthorization(t *testing.T) {
	tests := []struct {
		method, path, verb string
		subresources       []string
	}{
		{"GET", "/exec/ns/pod/c", "get", []string{"proxy"}},
		{"POST", "/exec/ns/pod/c", "create", []string{"proxy"}},
		{"POST", "/attach/ns/pod/c", "create", []string{"proxy"}},
		{"POST", "/portForward/ns/pod", "create", []string{"proxy"}},
		{"POST", "/run/ns/pod/c", "create", []string{"proxy"}},
		{"GET", "/containerLogs/ns/pod/c", "get", []string{"proxy"}},
		{"GET", "/debug/pprof/heap", "get", []string{"proxy"}},
		{"POST", "/checkpoint/ns/pod/c", "create", []string{"checkpoint"}},
		{"GET", "/logs/messages", "get", []string{"log"}},
		{"GET", "/metrics", "get", []string{"metrics"}},
		{"GET", "/metrics/cadvisor", "get", []string{"metrics"}},
		{"GET", "/metricsx", "get", []string{"proxy"}},
		{"GET", "/stats/summary", "get", []string{"stats"}},
		{"GET", "/pods", "get", []string{"pods", "proxy"}},
		{"GET", "/runningpods/", "get", []string{"pods", "proxy"}},
		{"HEAD", "/healthz/ping", "get", []string{"healthz", "proxy"}},
		{"GET", "/configz", "get", []string{"configz", "proxy"}},
		{"PUT", "/statusz", "update", []string{"statusz", "proxy"}},
	}
	for _, tt := range tests {
		request, err := http.NewRequest(tt.method, tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range attributesOf("n1", nil, request) {
			if a.GetVerb() != tt.verb || a.GetResource() != "nodes" || a.GetName() != "n1" || !a.IsResourceRequest() {
				t.Errorf("%s %s: %+v", tt.method, tt.path, a)
			}
			got = append(got, a.GetSubresource())
		}
		if !slices.Equal(got, tt.subresources) {
			t.Errorf("%s %s: %v, want %v", tt.method, tt.path, got, tt.subresources)
		}
	}
	f := newFixture(t)
	f.request(f.admin, "GET", "/stats/summary")
	reviews := f.lastReviews()
	if len(reviews) != 1 {
		t.Fatalf("got %d reviews", len(reviews))
	}
	attributes := reviews[0].ResourceAttributes
	if reviews[0].User != adminUser || !slices.Contains(reviews[0].Groups, "a-group") || attributes.Resource != "nodes" ||
		attributes.Subresource != "stats" || attributes.Name != nodeName || attributes.Verb != "get" {
		t.Errorf("review: %+v", reviews[0])
	}
}

func TestReads(t *testing.T) {
	f := newFixture(t)
	f.pod.Start(f.pod.Config("app", "sleep"))
	status, body := f.request(f.admin, "GET", "/pods")
	var list corev1.PodList
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != 200 || list.Kind != "PodList" || len(list.Items) != 1 || list.Items[0].Name != f.pod.Ref.Name {
		t.Errorf("/pods: %d %s %v", status, body, err)
	}
	status, body = f.request(f.admin, "GET", "/runningpods/")
	list = corev1.PodList{}
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != 200 || len(list.Items) != 1 || list.Items[0].Spec.Containers[0].Name != "app" {
		t.Errorf("/runningpods/: %d %s %v", status, body, err)
	}
	for path, want := range map[string]string{
		"/stats/summary":   `"nodeName":"node-1"`,
		"/configz":         `{"kubeletconfig":{"maxPods":110}}`,
		"/healthz?verbose": "[+]ping ok\nhealthz check passed\n",
		"/healthz/ping":    "ok",
		"/metrics":         "metrics",
	} {
		if status, body := f.request(f.admin, "GET", path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %q, want %q", path, status, body, want)
		}
	}
	if status, body := f.request(f.admin, "POST", f.path("/run", "/app?cmd=/app+echo+hello")); status != 200 || body != "hello\n" {
		t.Errorf("/run: %d %q", status, body)
	}
	if status, _ := f.request(f.admin, "POST", f.path("/run", "/app?cmd=/app+exit+3")); status != 500 {
		t.Errorf("/run of a failing command: %d", status)
	}
}

func TestContainerLogs(t *testing.T) {
	f := newFixture(t)
	ended, _ := f.pod.RunToEnd(f.pod.Config("app", "lines", "5"))
	f.setStatus(corev1.ContainerStatus{Name: "app", State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ContainerID: "docker://" + ended.ID}}})
	tests := []struct {
		path   string
		status int
		body   string
	}{
		{f.path("/containerLogs", "/app"), 200, "line 1\nline 2\nline 3\nline 4\nline 5\n"},
		{f.path("/containerLogs", "/app?tailLines=2"), 200, "line 4\nline 5\n"},
		{f.path("/containerLogs", "/app?limitBytes=3"), 200, "lin"},
		{f.path("/containerLogs", "/app?tailLines=0"), 200, ""},
		{f.path("/containerLogs", "/app?follow=true"), 200, "line 1\nline 2\nline 3\nline 4\nline 5\n"},
		{f.path("/containerLogs", "/app?previous=true"), 400, fmt.Sprintf("previous terminated container \"app\" in pod %q not found\n", f.pod.Ref.Name)},
		{f.path("/containerLogs", "/app?tailLines=-3"), 422, "tailLines: Invalid value: -3: must be greater than or equal to 0\n"},
		{f.path("/containerLogs", "/other"), 400, fmt.Sprintf("container \"other\" not found in pod %q\n", f.pod.Ref.Name)},
		{"/containerLogs/test/no-such-pod/app", 404, "pod \"no-such-pod\" does not exist\n"},
	}
	for _, tt := range tests {
		if status, body := f.request(f.admin, "GET", tt.path); status != tt.status || body != tt.body {
			t.Errorf("%s: got %d %q, want %d %q", tt.path, status, body, tt.status, tt.body)
		}
	}
}

// TestFollowLogs sees lines while the container runs, and no reader left behind when the client goes.
func TestFollowLogs(t *testing.T) {
	f := newFixture(t)
	id := f.pod.Start(f.pod.Config("app", "tick"))
	f.setStatus(corev1.ContainerStatus{Name: "app", ContainerID: "docker://" + id, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}})
	client, err := rest.HTTPClientFor(f.admin)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), runtimetest.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", f.url+f.path("/containerLogs", "/app?follow=true"), nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	buffer := make([]byte, len("tick\ntick\n"))
	if _, err := io.ReadFull(response.Body, buffer); err != nil || string(buffer) != "tick\ntick\n" {
		t.Errorf("got %q, %v", buffer, err)
	}
}

// executors returns kubectl's two ways to run a command.
func (f *fixture) executors(path string) map[string]remotecommand.Executor {
	f.t.Helper()
	target, err := url.Parse(f.url + path)
	if err != nil {
		f.t.Fatal(err)
	}
	overSPDY, err := remotecommand.NewSPDYExecutor(f.admin, "POST", target)
	if err != nil {
		f.t.Fatal(err)
	}
	overWebSocket, err := remotecommand.NewWebSocketExecutorForProtocols(f.admin, "GET", target.String(), "v4.channel.k8s.io")
	if err != nil {
		f.t.Fatal(err)
	}
	return map[string]remotecommand.Executor{"SPDY": overSPDY, "WebSocket": overWebSocket}
}

func TestExec(t *testing.T) {
	f := newFixture(t)
	f.pod.Start(f.pod.Config("app", "sleep"))
	for name, executor := range f.executors(f.path("/exec", "/app?command=/app&command=both&command=o+u+t&command=err&output=1&error=1")) {
		var stdout, stderr bytes.Buffer
		err := executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr})
		if err != nil || stdout.String() != "o u t\n" || stderr.String() != "err\n" {
			t.Errorf("%s: stdout %q, stderr %q, %v", name, stdout.String(), stderr.String(), err)
		}
	}
	// The path may hold the pod's UID.
	for name, executor := range f.executors(f.path("/exec", "/"+f.pod.Ref.UID+"/app?command=/app&command=exit&command=7&output=1")) {
		err := executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdout: io.Discard})
		var exit utilexec.CodeExitError
		if !errors.As(err, &exit) || exit.Code != 7 {
			t.Errorf("%s: exit 7 gave %v", name, err)
		}
	}
	var echoed bytes.Buffer
	input := strings.Repeat("some input\n", 10000)
	executor := f.executors(f.path("/exec", "/app?command=/app&command=cat&input=1&output=1"))["SPDY"]
	if err := executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: strings.NewReader(input), Stdout: &echoed}); err != nil || echoed.String() != input {
		t.Errorf("cat of %d bytes gave %d, %v", len(input), echoed.Len(), err)
	}
	for path, want := range map[string]string{
		f.path("/exec", "/app?command=x"):                          "400 you must specify at least 1 of stdin, stdout, stderr",
		f.path("/exec", "/app?output=1"):                           "400 you must specify at least 1 command",
		f.path("/exec", "/other?command=x&output=1"):               `500 container not found ("other")`,
		f.path("/exec", "/other-uid/app?command=x&output=1"):       "404 pod does not exist",
		"/exec/test/no-such-pod/app?command=x&output=1":            "404 pod does not exist",
		"/portForward/test/no-such-pod":                            "404 pod does not exist",
		f.path("/attach", "/other?output=1"):                       `500 container not found ("other")`,
		f.path("/run", "/app"):                                     `400 query parameter "cmd" is required`,
		f.path("/run", "/app?cmd=/no/such/program+with+arguments"): "500 command terminated with exit code 126:",
	} {
		status, body := f.request(f.admin, "POST", path)
		if got := fmt.Sprint(status, " ", strings.TrimSpace(body)); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

func TestAttach(t *testing.T) {
	f := newFixture(t)
	config := f.pod.Config("app", "cat")
	config.Stdin, config.StdinOnce = true, true
	f.pod.Start(config)
	executor := f.executors(f.path("/attach", "/app?input=1&output=1"))["SPDY"]
	input, writer := io.Pipe()
	var out runtimetest.Sink
	done := make(chan error, 1)
	go func() {
		done <- executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: input, Stdout: &out})
	}()
	go func() { _, _ = io.WriteString(writer, "hello\n") }()
	f.pod.Eventually("the echo has come", func(context.Context) bool { return out.String() == "hello\n" })
	writer.Close()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(runtimetest.Timeout):
		t.Fatal("the stream did not end with the container")
	}
}

// TestPortForward uses kubectl's own forwarder; the fake runtime answers with what it gets.
func TestPortForward(t *testing.T) {
	f := newFixture(t)
	roundTripper, upgrader, err := spdy.RoundTripperFor(f.admin)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(f.url + f.path("/portForward", ""))
	if err != nil {
		t.Fatal(err)
	}
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: roundTripper}, "POST", target)
	stop, ready := make(chan struct{}), make(chan struct{})
	forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{"0:8080"}, stop, ready, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatalf("ForwardPorts: %v", err)
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		text := fmt.Sprintf("message %d", i)
		if got := echo(t, fmt.Sprintf("127.0.0.1:%d", ports[0].Local), text); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
	if calls := f.engine.Calls(); !slices.Contains(calls, "PortForward 8080") {
		t.Errorf("calls: %v", calls)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// echo sends a text, says that it is all, and returns what comes back.
func echo(t *testing.T, address, text string) string {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(runtimetest.Timeout)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(connection, text); err != nil {
		t.Fatal(err)
	}
	if err := connection.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(connection)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func TestServingCertificate(t *testing.T) {
	f := newFixture(t)
	connection, err := tls.Dial("tcp", strings.TrimPrefix(f.url, "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	certificate := connection.ConnectionState().PeerCertificates[0]
	if err := certificate.VerifyHostname(nodeName); err != nil {
		t.Error(err)
	}
	if err := certificate.VerifyHostname("127.0.0.1"); err != nil {
		t.Error(err)
	}
	old, err := tls.Dial("tcp", strings.TrimPrefix(f.url, "https://"), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11})
	if err == nil {
		old.Close()
		t.Error("TLS 1.1 is accepted")
	}
}
