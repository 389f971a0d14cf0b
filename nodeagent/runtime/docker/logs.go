package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// errLimit ends a copy that has reached its limit.
var errLimit = errors.New("limit reached")

// ReadLogs implements runtime.Logs.
func (r *Runtime) ReadLogs(ctx context.Context, id string, options runtime.LogOptions, stdout, stderr io.Writer) error {
	inspected, err := r.client.ContainerInspect(ctx, id)
	if err != nil {
		return wrap("reading the log of container "+short(id), err)
	}
	request := container.LogsOptions{
		ShowStdout: stdout != nil,
		ShowStderr: stderr != nil,
		Follow:     options.Follow,
		Timestamps: options.Timestamps,
		Tail:       "all",
	}
	if !options.Since.IsZero() {
		request.Since = fmt.Sprintf("%d.%09d", options.Since.Unix(), options.Since.Nanosecond())
	}
	if options.Tail != nil {
		request.Tail = strconv.FormatInt(*options.Tail, 10)
	}
	body, err := r.client.ContainerLogs(ctx, id, request)
	if err != nil {
		return wrap("reading the log of container "+short(id), err)
	}
	defer body.Close()
	stdout, stderr = writerOrDiscard(stdout), writerOrDiscard(stderr)
	if options.LimitBytes != nil {
		left := *options.LimitBytes
		stdout, stderr = &limitedWriter{to: stdout, left: &left}, &limitedWriter{to: stderr, left: &left}
	}
	if err := copyLog(body, inspected.Config.Tty, options.Timestamps, stdout, stderr); err != nil && !errors.Is(err, errLimit) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("copying the log of container %s: %w", short(id), err)
	}
	return nil
}

func copyLog(body io.Reader, tty, timestamps bool, stdout, stderr io.Writer) error {
	if tty {
		_, err := copyAll(stdout, body)
		return err
	}
	if timestamps {
		stdout, stderr = &joiner{to: stdout}, &joiner{to: stderr}
	}
	_, err := stdcopy.StdCopy(stdout, stderr, body)
	return err
}

// joiner mends long lines: Docker stores a line in pieces of 16 KiB and puts
// a timestamp before each of them. Each Write is one piece, for StdCopy writes frame by frame.
type joiner struct {
	to     io.Writer
	inLine bool
}

func (j *joiner) Write(data []byte) (int, error) {
	piece := data
	if j.inLine {
		if i := bytes.IndexByte(piece, ' '); i >= 0 {
			piece = piece[i+1:]
		}
	}
	if len(data) > 0 {
		j.inLine = data[len(data)-1] != '\n'
	}
	if _, err := j.to.Write(piece); err != nil {
		return 0, err
	}
	return len(data), nil
}

// limitedWriter passes on what is left of a limit that it shares, then fails with errLimit.
type limitedWriter struct {
	to   io.Writer
	left *int64
}

func (w *limitedWriter) Write(data []byte) (int, error) {
	if int64(len(data)) <= *w.left {
		*w.left -= int64(len(data))
		n, err := w.to.Write(data)
		if err == nil && *w.left == 0 {
			err = errLimit
		}
		return n, err
	}
	n, err := w.to.Write(data[:*w.left])
	*w.left -= int64(n)
	if err == nil {
		err = errLimit
	}
	return n, err
}
