package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// row is one line of the table.
type row struct {
	what     string
	measured string
	goal     string
	floor    string // of the same run; empty: none
	ratio    string
}

type report struct{ rows []row }

// durations adds the median of times beside a goal and, if given, the median of
// the floor.
func (r *report) durations(what string, times []time.Duration, goal time.Duration, floor []time.Duration) {
	line := row{
		what:     what,
		measured: fmt.Sprintf("%.2fs (%.2f-%.2f, n=%d)", median(times).Seconds(), slices.Min(times).Seconds(), slices.Max(times).Seconds(), len(times)),
		goal:     fmt.Sprintf("%.1fs", goal.Seconds()),
	}
	if len(floor) > 0 {
		line.floor = fmt.Sprintf("%.2fs", median(floor).Seconds())
		line.ratio = fmt.Sprintf("%.2f", median(times).Seconds()/median(floor).Seconds())
	}
	r.rows = append(r.rows, line)
}

func (r *report) value(what, measured, goal string) {
	r.rows = append(r.rows, row{what: what, measured: measured, goal: goal})
}

func (r *report) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tMEASURED (median)\tGOAL\tDOCKER ALONE\tRATIO")
	for _, line := range r.rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", line.what, line.measured, line.goal, line.floor, line.ratio)
	}
	_ = w.Flush()
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}
