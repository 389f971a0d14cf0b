package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// PortForward implements runtime.Streams.
func (r *Runtime) PortForward(ctx context.Context, sandboxID string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	inspected, err := r.client.ContainerInspect(ctx, sandboxID)
	if err != nil {
		return wrap("forwarding a port of sandbox "+short(sandboxID), err)
	}
	sandbox, err := sandboxFrom(inspected)
	if err != nil {
		return err
	}
	if sandbox.State != runtime.StateRunning {
		return runtime.NotRunning(fmt.Errorf("sandbox %s is not running", short(sandboxID)))
	}
	connection, err := dialIn(ctx, sandbox, port)
	if err != nil {
		return fmt.Errorf("failed to connect to localhost:%d inside namespace %q: %w", port, sandbox.ID, err)
	}
	return splice(ctx, connection, stream)
}

// dialIn connects to a port in the sandbox's network namespace. A socket
// stays in the namespace in which it was made, so only making it happens there.
func dialIn(ctx context.Context, sandbox runtime.Sandbox, port int32) (net.Conn, error) {
	if sandbox.HostNetwork {
		return dialLocal(ctx, port)
	}
	var connection net.Conn
	err := ns.WithNetNSPath(sandbox.NetNS, func(ns.NetNS) error {
		var err error
		connection, err = dialLocal(ctx, port)
		return err
	})
	return connection, err
}

func dialLocal(ctx context.Context, port int32) (net.Conn, error) {
	var dialer net.Dialer
	var errs []error
	// Addresses, not "localhost": dialing one address stays on this thread, and thus in the namespace.
	for _, host := range []string{"127.0.0.1", "::1"} {
		connection, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
		if err == nil {
			return connection, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// splice copies both ways until the server has closed, or ctx is done. A
// client that has sent everything may still wait for the answer.
func splice(ctx context.Context, connection net.Conn, stream io.ReadWriteCloser) error {
	defer connection.Close()
	stop := context.AfterFunc(ctx, func() { connection.Close() })
	defer stop()
	go func() {
		_, _ = io.Copy(connection, stream)
		if tcp, ok := connection.(*net.TCPConn); ok {
			_ = tcp.CloseWrite()
		}
	}()
	if _, err := copyAll(stream, connection); err != nil && ctx.Err() == nil {
		return fmt.Errorf("copying from the pod: %w", err)
	}
	return nil
}
