package local

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fsnotify/fsnotify"

	"github.com/skiff-project/skiff/cluster/allinone"
	"github.com/skiff-project/skiff/cluster/layout"
)

// LogOptions says which log to show.
type LogOptions struct {
	DataDir   layout.DataDir
	Component string // empty: the process itself, with what it printed
	Tail      int    // lines; negative: all
	Follow    bool
}

// Logs copies a component's log to out.
func Logs(ctx context.Context, o LogOptions, out io.Writer) error {
	component := o.Component
	if component == "" {
		component = "skiff"
	} else if !slices.Contains(allinone.Components, component) {
		return fmt.Errorf("there is no component %q: want one of %s", component, strings.Join(allinone.Components, ", "))
	}
	path := o.DataDir.Log(component)
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s has not logged anything yet (%s does not exist)", component, path)
	}
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	defer func() { _ = file.Close() }()
	if err := seekTail(file, o.Tail); err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	if _, err := io.Copy(out, file); err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	if !o.Follow {
		return nil
	}
	return follow(ctx, path, file, out)
}

// seekTail moves to the start of the last n lines.
func seekTail(file *os.File, n int) error {
	if n < 0 {
		return nil
	}
	var starts []int64 // a ring would save little: one entry a line shown
	var offset int64
	reader := bufio.NewReader(file)
	for {
		line, err := reader.ReadString('\n')
		if len(line) > 0 {
			starts = append(starts, offset)
			if len(starts) > n {
				starts = starts[1:]
			}
			offset += int64(len(line))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if len(starts) > 0 {
		offset = starts[0]
	}
	_, err := file.Seek(offset, io.SeekStart)
	return err
}

// follow copies what is added until ctx ends, across rotations of the file.
func follow(ctx context.Context, path string, file *os.File, out io.Writer) error {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching the log: %w", err)
	}
	defer watcher.Close()
	// The folder, not the file: a rotation puts a new file in its place.
	if err := watcher.Add(filepath.Dir(path)); err != nil {
		return fmt.Errorf("watching the log: %w", err)
	}
	current := file
	defer func() {
		if current != file {
			_ = current.Close()
		}
	}()
	for {
		if _, err := io.Copy(out, current); err != nil {
			return fmt.Errorf("reading the log: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-watcher.Errors:
			if errors.Is(err, fsnotify.ErrEventOverflow) {
				continue // other files were busy; what is new here is read above
			}
			return fmt.Errorf("watching the log: %w", err)
		case event := <-watcher.Events:
			if event.Name != path || !event.Has(fsnotify.Create) {
				continue
			}
			next, err := os.Open(path)
			if err != nil {
				continue // rotated again; its own event follows
			}
			if current != file {
				_ = current.Close()
			}
			current = next
		}
	}
}
