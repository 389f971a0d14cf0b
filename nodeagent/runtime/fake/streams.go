package fake

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"k8s.io/utils/clock"
	utilexec "k8s.io/utils/exec"

	"github.com/skiff-project/skiff/nodeagent/runtime"
	"github.com/skiff-project/skiff/nodeagent/runtime/runtimetest/program"
)

// running returns a container that runs.
func (r *Runtime) running(ctx context.Context, method, id, subject string) (*fakeContainer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.containers[id]
	if c == nil {
		return nil, runtime.NotFound(fmt.Errorf("No such container: %s", id))
	}
	if err := r.begin(ctx, method, c.Name+" "+subject); err != nil {
		return nil, err
	}
	if c.State != runtime.StateRunning {
		return nil, runtime.NotRunning(fmt.Errorf("container %s is not running", id))
	}
	return c, nil
}

// run runs a command beside a container's process.
func (r *Runtime) run(ctx context.Context, c *fakeContainer, command []string, streams runtime.StreamOptions) (int, error) {
	args := arguments(command)
	if len(args) == 0 || !knownCommand(args[0]) {
		return 126, nil
	}
	process := &program.Process{
		Args: args, Env: c.config.Env, Stdin: streams.Stdin, Stdout: orDiscard(streams.Stdout), Stderr: orDiscard(streams.Stderr),
		Signals: make(chan string), Killed: ctx.Done(),
	}
	if process.Stdin == nil {
		process.Stdin = strings.NewReader("")
	}
	if streams.TTY {
		process.Stderr = process.Stdout
	}
	code := make(chan int, 1)
	go func() { code <- program.Run(process) }()
	select {
	case code := <-code:
		return code, ctx.Err()
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-c.done:
		return 137, nil
	}
}

func orDiscard(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}

// closeBuffer is a bytes.Buffer that can be closed and read while it is written.
type closeBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *closeBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(data)
}

func (b *closeBuffer) Close() error { return nil }

func (b *closeBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.buffer.Bytes())
}

// ExecSync implements runtime.Streams.
func (r *Runtime) ExecSync(ctx context.Context, id string, command []string, timeout time.Duration) (runtime.ExecResult, error) {
	c, err := r.running(ctx, "ExecSync", id, strings.Join(command, " "))
	if err != nil {
		return runtime.ExecResult{}, err
	}
	execCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	timedOut := make(chan struct{})
	if timeout > 0 {
		timer := r.clock.NewTimer(timeout)
		defer timer.Stop()
		go func() {
			select {
			case <-timer.C():
				close(timedOut)
				cancel()
			case <-execCtx.Done():
			}
		}()
	}
	var stdout, stderr closeBuffer
	code, err := r.run(execCtx, c, command, runtime.StreamOptions{Stdout: &stdout, Stderr: &stderr})
	select {
	case <-timedOut:
		err = runtime.Timeout(fmt.Errorf("command %q timed out", strings.Join(command, " ")))
	default:
	}
	return runtime.ExecResult{ExitCode: code, Stdout: stdout.bytes(), Stderr: stderr.bytes()}, err
}

// Exec implements runtime.Streams.
func (r *Runtime) Exec(ctx context.Context, id string, command []string, streams runtime.StreamOptions) error {
	c, err := r.running(ctx, "Exec", id, strings.Join(command, " "))
	if err != nil {
		return err
	}
	code, err := r.run(ctx, c, command, streams)
	if err != nil {
		return err
	}
	if code != 0 {
		return utilexec.CodeExitError{Err: fmt.Errorf("command terminated with non-zero exit code: exit status %d", code), Code: code}
	}
	return nil
}

// Attach implements runtime.Streams.
func (r *Runtime) Attach(ctx context.Context, id string, streams runtime.StreamOptions) error {
	c, err := r.running(ctx, "Attach", id, "")
	if err != nil {
		return err
	}
	if streams.Stdin != nil {
		go func() {
			_, _ = io.Copy(c.stdinW, streams.Stdin)
			if c.config.StdinOnce {
				c.stdinW.Close()
			}
		}()
	}
	return c.log.read(ctx, runtime.LogOptions{Follow: true, Tail: new(int64)}, orDiscard(streams.Stdout), orDiscard(streams.Stderr))
}

// PortForward implements runtime.Streams: it answers with what it gets.
func (r *Runtime) PortForward(ctx context.Context, sandboxID string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	r.mu.Lock()
	sandbox := r.sandboxes[sandboxID]
	err := r.begin(ctx, "PortForward", fmt.Sprint(port))
	r.mu.Unlock()
	if err != nil {
		return err
	}
	if sandbox == nil || sandbox.State != runtime.StateRunning {
		return runtime.NotRunning(fmt.Errorf("sandbox %s is not running", sandboxID))
	}
	_, err = io.Copy(stream, stream)
	return err
}

// ReadLogs implements runtime.Logs.
func (r *Runtime) ReadLogs(ctx context.Context, id string, options runtime.LogOptions, stdout, stderr io.Writer) error {
	r.mu.Lock()
	c := r.containers[id]
	r.mu.Unlock()
	if c == nil {
		return runtime.NotFound(fmt.Errorf("No such container: %s", id))
	}
	return c.log.read(ctx, options, orDiscard(stdout), orDiscard(stderr))
}

// logLine is one Write of a container.
type logLine struct {
	stream string
	time   time.Time
	text   []byte
}

// logBuffer is a container's log.
type logBuffer struct {
	mu      sync.Mutex
	lines   []logLine
	changed chan struct{} // closed and replaced at each change
	closed  bool
}

func newLogBuffer() *logBuffer { return &logBuffer{changed: make(chan struct{})} }

type logWriter func([]byte)

func (w logWriter) Write(data []byte) (int, error) {
	w(data)
	return len(data), nil
}

func (b *logBuffer) writer(stream string, clk clock.PassiveClock) io.Writer {
	var partial []byte
	return logWriter(func(data []byte) {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.closed {
			return
		}
		partial = append(partial, data...)
		for {
			i := bytes.IndexByte(partial, '\n')
			if i < 0 {
				break
			}
			b.lines = append(b.lines, logLine{stream, clk.Now(), bytes.Clone(partial[:i+1])})
			partial = partial[i+1:]
		}
		close(b.changed)
		b.changed = make(chan struct{})
	})
}

func (b *logBuffer) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		close(b.changed)
	}
}

func (b *logBuffer) read(ctx context.Context, options runtime.LogOptions, stdout, stderr io.Writer) error {
	next, left := b.start(options), int64(-1)
	if options.LimitBytes != nil {
		left = *options.LimitBytes
	}
	for {
		b.mu.Lock()
		lines, changed, closed := b.lines[next:], b.changed, b.closed
		next = len(b.lines)
		b.mu.Unlock()
		for _, line := range lines {
			if line.time.Before(options.Since) {
				continue
			}
			text := line.text
			if options.Timestamps {
				text = append([]byte(line.time.UTC().Format(time.RFC3339Nano)+" "), text...)
			}
			if left >= 0 {
				text = text[:min(int64(len(text)), left)]
				left -= int64(len(text))
			}
			to := stdout
			if line.stream == "stderr" {
				to = stderr
			}
			if _, err := to.Write(text); err != nil {
				return err
			}
			if left == 0 {
				return nil
			}
		}
		if closed || !options.Follow {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// start returns the first line to show.
func (b *logBuffer) start(options runtime.LogOptions) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if options.Tail == nil {
		return 0
	}
	return max(0, len(b.lines)-int(*options.Tail))
}
