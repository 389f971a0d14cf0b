package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
	utilexec "k8s.io/utils/exec"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// noDetachKeys is a sequence that nobody types: Docker would take ctrl-p ctrl-q away from the program.
const noDetachKeys = "ctrl-@,ctrl-^,ctrl-@,ctrl-_,ctrl-@,ctrl-^"

// exitCodeDelay paces the wait between the end of a command's streams and the
// moment at which the engine knows its exit code, usually less than a millisecond.
var exitCodeDelay = wait.Backoff{Duration: time.Millisecond, Factor: 2, Steps: 12, Cap: 500 * time.Millisecond}

// ExecSync implements runtime.Streams.
func (r *Runtime) ExecSync(ctx context.Context, id string, command []string, timeout time.Duration) (runtime.ExecResult, error) {
	execCtx := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		execCtx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	stdout, stderr := &limitedBuffer{}, &limitedBuffer{}
	exitCode, err := r.exec(execCtx, id, command, runtime.StreamOptions{Stdout: stdout, Stderr: stderr})
	if err != nil && ctx.Err() == nil && errors.Is(execCtx.Err(), context.DeadlineExceeded) {
		err = runtime.Timeout(fmt.Errorf("command %q timed out", strings.Join(command, " ")))
	}
	return runtime.ExecResult{ExitCode: exitCode, Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}, err
}

// Exec implements runtime.Streams.
func (r *Runtime) Exec(ctx context.Context, id string, command []string, streams runtime.StreamOptions) error {
	exitCode, err := r.exec(ctx, id, command, streams)
	if err != nil {
		return err
	}
	if exitCode != 0 {
		return utilexec.CodeExitError{
			Err:  fmt.Errorf("command terminated with non-zero exit code: exit status %d", exitCode),
			Code: exitCode,
		}
	}
	return nil
}

// exec runs a command to its end, or to the end of ctx, when it is killed.
func (r *Runtime) exec(ctx context.Context, id string, command []string, streams runtime.StreamOptions) (exitCode int, err error) {
	created, err := r.client.ContainerExecCreate(ctx, id, container.ExecOptions{
		Cmd:          command,
		Tty:          streams.TTY,
		AttachStdin:  streams.Stdin != nil,
		AttachStdout: streams.Stdout != nil,
		AttachStderr: streams.Stderr != nil,
		DetachKeys:   noDetachKeys,
	})
	if err != nil {
		return 0, wrapExec(id, err)
	}
	connection, err := r.client.ContainerExecAttach(ctx, created.ID, container.ExecAttachOptions{Tty: streams.TTY})
	if err != nil {
		return 0, wrapExec(id, err)
	}
	stopResize := r.followSize(ctx, streams, func(ctx context.Context, size container.ResizeOptions) error {
		return r.client.ContainerExecResize(ctx, created.ID, size)
	})
	err = copyStreams(ctx, connection, streams, streams.TTY)
	stopResize()
	if ctx.Err() != nil {
		r.killExec(context.WithoutCancel(ctx), id, created.ID)
		return 0, ctx.Err()
	}
	if err != nil {
		return 0, fmt.Errorf("copying the streams of a command in container %s: %w", short(id), err)
	}
	return r.exitCode(ctx, created.ID)
}

func wrapExec(id string, err error) error {
	wrapped := wrap("running a command in container "+short(id), err)
	if cerrdefs.IsConflict(err) { // the container has ended, or is paused
		return runtime.NotRunning(wrapped)
	}
	return wrapped
}

// exitCode asks for it until the engine has noticed that the command has ended.
func (r *Runtime) exitCode(ctx context.Context, execID string) (int, error) {
	var inspected container.ExecInspect
	err := wait.ExponentialBackoffWithContext(ctx, exitCodeDelay, func(ctx context.Context) (bool, error) {
		var err error
		inspected, err = r.client.ContainerExecInspect(ctx, execID)
		return err == nil && !inspected.Running, err
	})
	if wait.Interrupted(err) && ctx.Err() == nil {
		// The command has closed its streams and goes on: nobody will see more of it.
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("asking for the exit code of a command: %w", err)
	}
	return inspected.ExitCode, nil
}

// killExec ends a command, for which Docker has no request.
func (r *Runtime) killExec(ctx context.Context, containerID, execID string) {
	inspected, err := r.client.ContainerExecInspect(ctx, execID)
	if err != nil || !inspected.Running || inspected.Pid <= 1 {
		return
	}
	// The number may belong to another process by now, or to another host.
	membership, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", inspected.Pid))
	if err != nil || !bytes.Contains(membership, []byte(containerID)) {
		return
	}
	if err := unix.Kill(inspected.Pid, unix.SIGKILL); err != nil {
		klog.FromContext(ctx).V(2).Info("Cannot kill a command that took too long", "container", containerID, "pid", inspected.Pid, "err", err)
	}
}

// limitedBuffer keeps the first runtime.MaxExecOutput bytes.
type limitedBuffer struct {
	bytes.Buffer
}

func (b *limitedBuffer) Write(data []byte) (int, error) {
	if room := runtime.MaxExecOutput - b.Len(); room < len(data) {
		b.Buffer.Write(data[:max(room, 0)])
	} else {
		b.Buffer.Write(data)
	}
	return len(data), nil
}

func (b *limitedBuffer) Close() error { return nil }

// demultiplex copies Docker's two streams in one, or the one of a terminal.
func demultiplex(streams runtime.StreamOptions, tty bool, source interface{ Read([]byte) (int, error) }) error {
	stdout, stderr := writerOrDiscard(streams.Stdout), writerOrDiscard(streams.Stderr)
	if tty {
		_, err := copyAll(stdout, source)
		return err
	}
	_, err := stdcopy.StdCopy(stdout, stderr, source)
	return err
}
