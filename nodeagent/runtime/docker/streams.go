package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// Attach implements runtime.Streams.
func (r *Runtime) Attach(ctx context.Context, id string, streams runtime.StreamOptions) error {
	inspected, err := r.client.ContainerInspect(ctx, id)
	if err != nil {
		return wrap("attaching to container "+short(id), err)
	}
	if state, _ := stateOf(inspected.State); state != runtime.StateRunning {
		return runtime.NotRunning(fmt.Errorf("container %s is not running", short(id)))
	}
	connection, err := r.client.ContainerAttach(ctx, id, container.AttachOptions{
		Stream:     true,
		Stdin:      streams.Stdin != nil,
		Stdout:     streams.Stdout != nil,
		Stderr:     streams.Stderr != nil,
		DetachKeys: noDetachKeys,
	})
	if err != nil {
		return wrap("attaching to container "+short(id), err)
	}
	stopResize := r.followSize(ctx, streams, func(ctx context.Context, size container.ResizeOptions) error {
		return r.client.ContainerResize(ctx, id, size)
	})
	defer stopResize()
	if err := copyStreams(ctx, connection, streams, inspected.Config.Tty); err != nil {
		return fmt.Errorf("copying the streams of container %s: %w", short(id), err)
	}
	return ctx.Err()
}

// copyStreams copies until the output has ended or, where none is wanted,
// the input. It closes the connection.
func copyStreams(ctx context.Context, connection types.HijackedResponse, streams runtime.StreamOptions, tty bool) error {
	defer connection.Close()
	// A read from a connection does not know of ctx.
	stop := context.AfterFunc(ctx, connection.Close)
	defer stop()

	inputDone := make(chan struct{})
	if streams.Stdin != nil {
		go func() {
			defer close(inputDone)
			_, _ = io.Copy(connection.Conn, streams.Stdin)
			_ = connection.CloseWrite()
		}()
	}
	if streams.Stdout == nil && streams.Stderr == nil && streams.Stdin != nil {
		select {
		case <-inputDone:
		case <-ctx.Done():
		}
		return nil
	}
	err := demultiplex(streams, tty, connection.Reader)
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// followSize sets the size of a terminal as often as it changes, until the returned function is called.
func (r *Runtime) followSize(ctx context.Context, streams runtime.StreamOptions, set func(context.Context, container.ResizeOptions) error) (stop func()) {
	if streams.Resize == nil || !streams.TTY {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case size, open := <-streams.Resize:
				if !open {
					return
				}
				if size.Width == 0 || size.Height == 0 {
					continue
				}
				// The first size comes before the command has a terminal.
				backoff := wait.Backoff{Duration: 5 * time.Millisecond, Factor: 2, Steps: 8}
				_ = wait.ExponentialBackoffWithContext(ctx, backoff, func(ctx context.Context) (bool, error) {
					return set(ctx, container.ResizeOptions{Height: uint(size.Height), Width: uint(size.Width)}) == nil, nil
				})
			}
		}
	})
	return func() {
		cancel()
		group.Wait()
	}
}

func writerOrDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// copyAll is io.Copy that does not hand the copying to the reader, so that output appears as it comes.
func copyAll(to io.Writer, from io.Reader) (int64, error) {
	return io.Copy(to, struct{ io.Reader }{from})
}
