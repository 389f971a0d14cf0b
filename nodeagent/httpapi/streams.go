package httpapi

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/klog/v2"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// target finds the pod of a request's path; it answers the request if there is none.
func (s *Server) target(w http.ResponseWriter, r *http.Request) (*corev1.Pod, bool) {
	pod, ok := s.config.Pods.Pod(types.NamespacedName{Namespace: r.PathValue("namespace"), Name: r.PathValue("pod")})
	if uid := r.PathValue("uid"); !ok || (uid != "" && uid != string(pod.UID)) {
		http.Error(w, "pod does not exist", http.StatusNotFound)
		return nil, false
	}
	return pod, true
}

// container finds the running container of a request's path.
func (s *Server) container(w http.ResponseWriter, r *http.Request) (id string, ok bool) {
	pod, ok := s.target(w, r)
	if !ok {
		return "", false
	}
	observed, err := s.config.Runtime.GetPod(r.Context(), string(pod.UID))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return "", false
	}
	name := r.PathValue("container")
	found := observed.Container(name)
	if found == nil || found.State != runtime.StateRunning {
		http.Error(w, fmt.Sprintf("container not found (%q)", name), http.StatusInternalServerError)
		return "", false
	}
	return found.ID, true
}

// streamer carries one request to the runtime, in the terms of the streaming library.
type streamer struct {
	runtime Runtime
	id      string // of the container, or of the sandbox
	wanted  *remotecommand.Options
}

// options drops what the client has not asked for: over WebSocket all streams exist.
func (s streamer) options(in io.Reader, out, err io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) runtime.StreamOptions {
	options := runtime.StreamOptions{TTY: tty, Resize: resize}
	if s.wanted.Stdin {
		options.Stdin = in
	}
	if s.wanted.Stdout {
		options.Stdout = out
	}
	if s.wanted.Stderr && !tty {
		options.Stderr = err
	}
	return options
}

// ExecInContainer implements remotecommand.Executor.
func (s streamer) ExecInContainer(ctx context.Context, _, _, _ string, command []string, in io.Reader, out, err io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	return s.runtime.Exec(ctx, s.id, command, s.options(in, out, err, tty, resize))
}

// AttachContainer implements remotecommand.Attacher.
func (s streamer) AttachContainer(ctx context.Context, _, _, _ string, in io.Reader, out, err io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	return s.runtime.Attach(ctx, s.id, s.options(in, out, err, tty, resize))
}

// PortForward implements portforward.PortForwarder.
func (s streamer) PortForward(ctx context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	return s.runtime.PortForward(ctx, s.id, port, stream)
}

func (s *Server) exec(w http.ResponseWriter, r *http.Request) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	command := r.URL.Query()["command"]
	if len(command) == 0 {
		http.Error(w, "you must specify at least 1 command", http.StatusBadRequest)
		return
	}
	id, ok := s.container(w, r)
	if !ok {
		return
	}
	remotecommand.ServeExec(w, r, streamer{s.config.Runtime, id, options}, r.PathValue("pod"), r.PathValue("uid"), r.PathValue("container"),
		command, options, streamIdleTimeout, streamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

func (s *Server) attach(w http.ResponseWriter, r *http.Request) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id, ok := s.container(w, r)
	if !ok {
		return
	}
	remotecommand.ServeAttach(w, r, streamer{s.config.Runtime, id, options}, r.PathValue("pod"), r.PathValue("uid"), r.PathValue("container"),
		options, streamIdleTimeout, streamCreationTimeout, remotecommand.SupportedStreamingProtocols)
}

func (s *Server) portForward(w http.ResponseWriter, r *http.Request) {
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	pod, ok := s.target(w, r)
	if !ok {
		return
	}
	observed, err := s.config.Runtime.GetPod(r.Context(), string(pod.UID))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	sandbox := observed.Sandbox()
	if sandbox == nil || sandbox.State != runtime.StateRunning {
		http.Error(w, fmt.Sprintf("not found sandbox for pod %q", klog.KObj(pod)), http.StatusInternalServerError)
		return
	}
	// The library's handlers return when the client has gone; what still
	// copies then must end too.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	portforward.ServePortForward(w, r.WithContext(ctx), streamer{runtime: s.config.Runtime, id: sandbox.ID}, pod.Name, string(pod.UID),
		options, streamIdleTimeout, streamCreationTimeout, portforward.SupportedProtocols)
}

// run runs a command and answers with all it has written.
func (s *Server) run(w http.ResponseWriter, r *http.Request) {
	command := r.URL.Query()["cmd"]
	if len(command) == 0 {
		http.Error(w, "query parameter \"cmd\" is required", http.StatusBadRequest)
		return
	}
	id, ok := s.container(w, r)
	if !ok {
		return
	}
	result, err := s.config.Runtime.ExecSync(r.Context(), id, splitCommand(command), 0)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	output := append(result.Stdout, result.Stderr...)
	if result.ExitCode != 0 {
		http.Error(w, fmt.Sprintf("command terminated with exit code %d: %s", result.ExitCode, output), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(output)
}
