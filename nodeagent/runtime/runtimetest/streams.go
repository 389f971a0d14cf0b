package runtimetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	utilexec "k8s.io/utils/exec"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

func logs(t *testing.T, p *Pod) {
	ended, all := p.RunToEnd(p.Config("app", "lines", "50"))
	if want := numbered(1, 50); all != want {
		t.Errorf("the whole log is %q", all)
	}
	if got, want := p.Log(ended.ID, runtime.LogOptions{Tail: ptr.To[int64](3)}), numbered(48, 50); got != want {
		t.Errorf("tail: %q, want %q", got, want)
	}
	if got := p.Log(ended.ID, runtime.LogOptions{Tail: ptr.To[int64](0)}); got != "" {
		t.Errorf("no tail: %q", got)
	}
	if got := p.Log(ended.ID, runtime.LogOptions{LimitBytes: ptr.To[int64](10)}); got != "line 1\nlin" {
		t.Errorf("limit: %q", got)
	}
	if got := p.Log(ended.ID, runtime.LogOptions{Since: time.Now().Add(time.Hour)}); got != "" {
		t.Errorf("since the future: %q", got)
	}
	if got := p.Log(ended.ID, runtime.LogOptions{Since: ended.CreatedAt.Add(-time.Hour)}); got != all {
		t.Errorf("since the past: %q", got)
	}
	stamped := strings.SplitN(p.Log(ended.ID, runtime.LogOptions{Timestamps: true}), "\n", 2)[0]
	stamp, text, _ := strings.Cut(stamped, " ")
	if _, err := time.Parse(time.RFC3339Nano, stamp); err != nil || text != "line 1" {
		t.Errorf("timestamps: %q", stamped)
	}
	both, _ := p.RunToEnd(p.Config("both", "both", "out", "err"))
	var stdout, stderr bytes.Buffer
	if err := p.Runtime.ReadLogs(t.Context(), both.ID, runtime.LogOptions{}, &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	if stdout.String() != "out\n" || stderr.String() != "err\n" {
		t.Errorf("stdout %q, stderr %q", stdout.String(), stderr.String())
	}
	var onlyErr bytes.Buffer
	if err := p.Runtime.ReadLogs(t.Context(), both.ID, runtime.LogOptions{}, nil, &onlyErr); err != nil || onlyErr.String() != "err\n" {
		t.Errorf("only stderr: %q, %v", onlyErr.String(), err)
	}
}

func followLogs(t *testing.T, p *Pod) {
	id := p.Start(p.Config("app", "tick"))
	var out Sink
	done := make(chan error, 1)
	go func() { done <- p.Runtime.ReadLogs(t.Context(), id, runtime.LogOptions{Follow: true}, &out, &out) }()
	p.Eventually("some ticks have come", func(context.Context) bool { return countLines(out.String(), "tick") >= 3 })
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := make(chan error, 1)
	var other Sink
	go func() {
		cancelled <- p.Runtime.ReadLogs(ctx, id, runtime.LogOptions{Follow: true}, &other, &other)
	}()
	p.Eventually("the second reader has some", func(context.Context) bool { return other.String() != "" })
	cancel()
	if err := <-cancelled; !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled follow returns %v", err)
	}
	if err := p.Runtime.StopContainer(t.Context(), id, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("following: %v", err)
		}
	case <-time.After(Timeout):
		t.Fatal("following did not end with the container")
	}
	if whole := p.Log(id, runtime.LogOptions{}); whole != out.String() {
		t.Errorf("followed %d bytes of %d", len(out.String()), len(whole))
	}
}

func execSync(t *testing.T, p *Pod) {
	ctx := t.Context()
	config := p.Config("app", "sleep")
	config.Env = []string{"GREETING=hello world", "data-1=dash"}
	id := p.Start(config)
	result, err := p.Runtime.ExecSync(ctx, id, []string{p.Program, "env", "GREETING"}, 10*time.Second)
	if err != nil || string(result.Stdout) != "hello world\n" || result.ExitCode != 0 {
		t.Errorf("env: %+v, %v", result, err)
	}
	if result, err := p.Runtime.ExecSync(ctx, id, []string{p.Program, "env", "data-1"}, 0); err != nil || string(result.Stdout) != "dash\n" {
		t.Errorf("a name with a dash: %+v, %v", result, err)
	}
	result, err = p.Runtime.ExecSync(ctx, id, []string{p.Program, "both", "out", "err"}, 0)
	if err != nil || string(result.Stdout) != "out\n" || string(result.Stderr) != "err\n" {
		t.Errorf("both: %+v, %v", result, err)
	}
	if result, err := p.Runtime.ExecSync(ctx, id, []string{p.Program, "exit", "5"}, 0); err != nil || result.ExitCode != 5 {
		t.Errorf("exit code: %+v, %v", result, err)
	}
	if result, err := p.Runtime.ExecSync(ctx, id, []string{"/no/such"}, 0); err == nil && result.ExitCode == 0 {
		t.Errorf("a missing command: %+v", result)
	}
	if _, err := p.Runtime.ExecSync(ctx, id, []string{p.Program, "stubborn"}, 200*time.Millisecond); !runtime.IsTimeout(err) {
		t.Errorf("a command that takes too long: %v", err)
	}
	if err := p.Runtime.StopContainer(ctx, id, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Runtime.ExecSync(ctx, id, []string{p.Program, "exit", "0"}, 0); !runtime.IsNotRunning(err) {
		t.Errorf("in an ended container: %v", err)
	}
}

func exec(t *testing.T, p *Pod) {
	ctx := t.Context()
	id := p.Start(p.Config("app", "sleep"))
	var stdout, stderr Sink
	big := strings.Repeat("0123456789abcdef", 1<<16)
	err := p.Runtime.Exec(ctx, id, []string{p.Program, "cat"}, runtime.StreamOptions{Stdin: strings.NewReader(big), Stdout: &stdout, Stderr: &stderr})
	if err != nil || stdout.String() != big || stderr.String() != "" {
		t.Errorf("cat of %d bytes gave %d, stderr %q, %v", len(big), len(stdout.String()), stderr.String(), err)
	}
	err = p.Runtime.Exec(ctx, id, []string{p.Program, "exit", "9"}, runtime.StreamOptions{Stdout: &stdout})
	var exitError utilexec.ExitError
	if !errors.As(err, &exitError) || exitError.ExitStatus() != 9 {
		t.Errorf("exit 9: %v", err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	var ticks Sink
	go func() {
		done <- p.Runtime.Exec(cancelled, id, []string{p.Program, "tick"}, runtime.StreamOptions{Stdout: &ticks})
	}()
	p.Eventually("the command writes", func(context.Context) bool { return ticks.String() != "" })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled command: %v", err)
	}
}

func attach(t *testing.T, p *Pod) {
	ctx := t.Context()
	config := p.Config("app", "cat")
	config.Stdin, config.StdinOnce = true, true
	id := p.Start(config)
	if !p.Get(id).Stdin {
		t.Error("the container does not remember its stdin")
	}
	input, writer := io.Pipe()
	var out Sink
	done := make(chan error, 1)
	go func() {
		done <- p.Runtime.Attach(ctx, id, runtime.StreamOptions{Stdin: input, Stdout: &out, Stderr: &Sink{}})
	}()
	if _, err := io.WriteString(writer, "hello\n"); err != nil {
		t.Fatal(err)
	}
	p.Eventually("the echo has come", func(context.Context) bool { return strings.Contains(out.String(), "hello\n") })
	writer.Close() // and with it the container's stdin
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Attach: %v", err)
		}
	case <-time.After(Timeout):
		t.Fatal("Attach did not end with the container")
	}
	if c := p.WaitEnded(id); c.ExitCode != 0 {
		t.Errorf("cat ended with %d", c.ExitCode)
	}
	if err := p.Runtime.Attach(ctx, id, runtime.StreamOptions{Stdout: &out}); !runtime.IsNotRunning(err) {
		t.Errorf("attaching to an ended container: %v", err)
	}
}
