package progress

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestPipeToPrinter(t *testing.T) {
	for name, test := range map[string]struct {
		events  []Event
		printed string
		last    Event
		err     error
	}{
		"a good start": {
			events:  []Event{{Step: "certificates", Took: 30 * time.Millisecond}, {Done: true}},
			printed: "certificates                                   0.03s",
			last:    Event{Done: true},
		},
		"a bad start":    {events: []Event{{Error: "no disk"}}, last: Event{Error: "no disk"}},
		"a silent death": {events: []Event{{Step: "a"}}, printed: "a", err: io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			var wire, printed strings.Builder
			pipe := &Pipe{W: &wire}
			for _, e := range test.events {
				pipe.Report(e)
			}
			last, err := Read(strings.NewReader(wire.String()), &Printer{Out: &printed})
			if last != test.last || !errors.Is(err, test.err) {
				t.Errorf("got %+v, %v", last, err)
			}
			if !strings.Contains(printed.String(), test.printed) {
				t.Errorf("printed %q, want %q in it", printed.String(), test.printed)
			}
		})
	}
}

func TestTimeReportsOnlySuccess(t *testing.T) {
	var printed strings.Builder
	if err := Time(&Printer{Out: &printed}, "step", func() error { return io.EOF }); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
	if printed.Len() > 0 {
		t.Errorf("a failed step was reported: %q", printed.String())
	}
}

// A garbled stream is an error, not a crash.
func FuzzRead(f *testing.F) {
	f.Add(`{"step":"a","took":1}` + "\n" + `{"done":true}`)
	f.Add("not json\n")
	f.Fuzz(func(t *testing.T, stream string) {
		last, err := Read(strings.NewReader(stream), &Printer{Out: io.Discard})
		if err == nil && !last.Done && last.Error == "" {
			t.Errorf("an unfinished stream passed as finished: %q", stream)
		}
	})
}
