// Package progress carries the steps of a long command from the place where they
// happen to the terminal of the user, also across a process boundary: the
// detached skiff process writes Events as JSON lines into a pipe, and the
// command that started it prints them.
package progress

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// Event is one line of news.
type Event struct {
	// Step is what was finished, in the words the user sees.
	Step string `json:"step,omitempty"`
	// Took is how long it took.
	Took time.Duration `json:"took,omitempty"`
	// Done says that everything is up: the last event of a good start.
	Done bool `json:"done,omitempty"`
	// Error says why the start failed: the last event of a bad one.
	Error string `json:"error,omitempty"`
}

// Reporter takes events. It is safe for concurrent use.
type Reporter interface {
	Report(Event)
}

// Func makes a Reporter of a function.
type Func func(Event)

// Report calls the function.
func (f Func) Report(e Event) { f(e) }

// Time runs do and reports it as a step when it succeeds.
func Time(r Reporter, step string, do func() error) error {
	start := time.Now()
	if err := do(); err != nil {
		return err
	}
	r.Report(Event{Step: step, Took: time.Since(start)})
	return nil
}

// Printer reports to a terminal.
type Printer struct {
	Out io.Writer
	mu  sync.Mutex
}

// Report prints a step and its time; ends of the stream are for the caller to word.
func (p *Printer) Report(e Event) {
	if e.Step == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.Out, "  %-44s %6.2fs\n", e.Step, e.Took.Seconds())
}

// Pipe reports as JSON lines. Once the reader has gone, events are dropped: a
// start must not fail because nobody watches it.
type Pipe struct {
	W  io.Writer
	mu sync.Mutex
}

// Report writes one line.
func (p *Pipe) Report(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line, err := json.Marshal(e)
	if err != nil {
		return
	}
	_, _ = p.W.Write(append(line, '\n'))
}

// Read passes the events of a pipe to r until the stream ends, and returns the
// last Done or Error event. An end without one means that the writer died, which
// is an error.
func Read(in io.Reader, r Reporter) (Event, error) {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var e Event
		if err := json.Unmarshal(scanner.Bytes(), &e); err != nil {
			return Event{}, fmt.Errorf("reading progress: %w", err)
		}
		if e.Done || e.Error != "" {
			return e, nil
		}
		r.Report(e)
	}
	if err := scanner.Err(); err != nil {
		return Event{}, fmt.Errorf("reading progress: %w", err)
	}
	return Event{}, io.ErrUnexpectedEOF
}
