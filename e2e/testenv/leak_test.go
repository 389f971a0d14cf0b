package testenv

import (
	"bytes"
	"context"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Test that a stopped server leaves no goroutine behind, beside those few that
// its libraries start once per process.
func TestStopLeaksNothing(t *testing.T) {
	cycle := func() {
		t.Helper()
		env, err := start(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := env.stop(); err != nil {
			t.Fatal(err)
		}
	}
	cycle() // what is started once per process
	before := steadyGoroutines(t)
	const cycles = 3
	for range cycles {
		cycle()
	}
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		return runtime.NumGoroutine() <= before, nil
	})
	if err != nil {
		var stacks bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		t.Errorf("%d goroutines before and %d after %d more servers:\n%s", before, runtime.NumGoroutine(), cycles, stacks.String())
	}
}

// steadyGoroutines returns the number of goroutines once it has stopped falling.
// The watch cache has some that end after three seconds only.
func steadyGoroutines(t *testing.T) int {
	t.Helper()
	lowest, since := runtime.NumGoroutine(), time.Now()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		if n := runtime.NumGoroutine(); n < lowest {
			lowest, since = n, time.Now()
		}
		return time.Since(since) > 3500*time.Millisecond, nil
	})
	if err != nil {
		t.Fatal("the number of goroutines does not settle")
	}
	return lowest
}
