package local

import (
	"bytes"
	"context"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/skiff-project/skiff/cluster/layout"
)

func writeLog(t *testing.T, dir layout.DataDir, component, content string) {
	t.Helper()
	if err := os.MkdirAll(dir.Logs(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir.Log(component), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLogsTail(t *testing.T) {
	for name, test := range map[string]struct {
		content string
		tail    int
		want    string
	}{
		"all":                {content: "a\nb\n", tail: -1, want: "a\nb\n"},
		"none":               {content: "a\nb\n", tail: 0, want: ""},
		"last":               {content: "a\nb\n", tail: 1, want: "b\n"},
		"last two":           {content: "a\nb\nc\n", tail: 2, want: "b\nc\n"},
		"more than there is": {content: "a\nb\n", tail: 5, want: "a\nb\n"},
		"as many as can be":  {content: "a\nb\n", tail: math.MaxInt, want: "a\nb\n"},
		"no final newline":   {content: "a\nb", tail: 1, want: "b"},
		"empty":              {content: "", tail: 3, want: ""},
		"line over a buffer": {content: "a\n" + strings.Repeat("x", 10000) + "\n", tail: 1, want: strings.Repeat("x", 10000) + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := layout.DataDir(t.TempDir())
			writeLog(t, dir, "proxy", test.content)
			var out bytes.Buffer
			if err := Logs(t.Context(), LogOptions{DataDir: dir, Component: "proxy", Tail: test.tail}, &out); err != nil {
				t.Fatal(err)
			}
			if out.String() != test.want {
				t.Errorf("got %.50q, want %.50q", out.String(), test.want)
			}
		})
	}
}

func TestLogsRefuses(t *testing.T) {
	dir := layout.DataDir(t.TempDir())
	for name, test := range map[string]struct{ component, want string }{
		"unknown component": {"etcdd", `there is no component "etcdd": want one of apiserver, `},
		"path":              {"../pki/ca", "there is no component"},
		"never started":     {"proxy", "proxy has not logged anything yet"},
		"never detached":    {"", "skiff has not logged anything yet"},
	} {
		err := Logs(t.Context(), LogOptions{DataDir: dir, Component: test.component, Tail: -1}, io.Discard)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}

// lines is a writer whose lines can be waited for.
type lines struct{ all chan string }

func (l lines) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		l.all <- line
	}
	return len(p), nil
}

func (l lines) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-l.all:
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("%q did not come", want)
	}
}

// Following goes on with what is added, also to the file that a rotation puts in
// the place of the old one, and ends with its context.
func TestLogsFollow(t *testing.T) {
	dir := layout.DataDir(t.TempDir())
	writeLog(t, dir, "cni", "one\ntwo\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := lines{all: make(chan string, 16)}
	ended := make(chan error, 1)
	go func() { ended <- Logs(ctx, LogOptions{DataDir: dir, Component: "cni", Tail: 1, Follow: true}, out) }()
	out.expect(t, "two\n")

	appendTo(t, dir.Log("cni"), "three\n")
	out.expect(t, "three\n")

	if err := os.Rename(dir.Log("cni"), dir.Log("cni")+".old"); err != nil {
		t.Fatal(err)
	}
	appendTo(t, dir.Log("cni"), "four\n")
	out.expect(t, "four\n")
	appendTo(t, dir.Log("cni"), "five\n")
	out.expect(t, "five\n")

	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Error("following did not end with its context")
	}
}

func appendTo(t *testing.T, path, line string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(line); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}
