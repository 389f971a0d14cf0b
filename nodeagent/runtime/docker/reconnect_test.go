package docker

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/runtime/runtimetest"
)

// TestReconnect cuts the connection to the engine, as its restart does.
func TestReconnect(t *testing.T) {
	e := env(t)
	socket := strings.TrimPrefix(engine.client.DaemonHost(), "unix://")
	proxy := newProxy(t, socket)
	through, err := New(Config{Host: "unix://" + proxy.path, Node: engine.node})
	if err != nil {
		t.Fatal(err)
	}
	defer through.Close()
	ctx, cancel := context.WithTimeout(t.Context(), runtimetest.Timeout)
	defer cancel()
	watch := through.Watch(ctx)
	resync := func() {
		t.Helper()
		for event := range watch {
			if event.Type == runtime.EventResync {
				return
			}
		}
		t.Fatal("no resync came")
	}
	resync()
	proxy.stop()
	if _, err := through.Info(ctx); err == nil {
		t.Error("the engine answers though it is cut off")
	}
	proxy.start()
	resync()
	p := runtimetest.NewPod(t, e)
	for event := range watch {
		if event.PodUID == p.Ref.UID && event.Type == runtime.EventStarted && event.ContainerID == p.Sandbox.ID {
			return
		}
	}
	t.Error("no event after the new connection")
}

// proxy is a socket before the engine's that can be cut.
type proxy struct {
	t            *testing.T
	path, target string
	listener     net.Listener
	connections  chan net.Conn
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	p := &proxy{t: t, path: filepath.Join(t.TempDir(), "docker.sock"), target: target, connections: make(chan net.Conn, 100)}
	p.start()
	t.Cleanup(p.stop)
	return p
}

func (p *proxy) start() {
	listener, err := net.Listen("unix", p.path)
	if err != nil {
		p.t.Fatal(err)
	}
	p.listener = listener
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", p.target)
			if err != nil {
				client.Close()
				continue
			}
			p.connections <- client
			go func() { _, _ = io.Copy(server, client); server.Close() }()
			go func() { _, _ = io.Copy(client, server); client.Close() }()
		}
	}()
}

func (p *proxy) stop() {
	p.listener.Close()
	for {
		select {
		case connection := <-p.connections:
			connection.Close()
		default:
			return
		}
	}
}
