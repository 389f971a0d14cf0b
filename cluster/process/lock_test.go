package process

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "skiff.lock")
	if info, err := Running(path); err != nil || info != nil {
		t.Fatalf("without a lock file Running returned %v, %v", info, err)
	}
	started := time.Now().Round(0)
	lock, err := Acquire(path, Info{PID: 42, StartedAt: started, Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	info, err := Running(path)
	if err != nil || info == nil || info.PID != 42 || info.Version != "v1" || !info.StartedAt.Equal(started) {
		t.Fatalf("Running returned %+v, %v", info, err)
	}
	if _, err := Acquire(path, Info{}); !errors.Is(err, ErrRunning) {
		t.Fatalf("a second Acquire returned %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := Running(path); err != nil || info != nil {
		t.Fatalf("after Close Running returned %v, %v", info, err)
	}
	second, err := Acquire(path, Info{PID: 7})
	if err != nil {
		t.Fatalf("after Close Acquire returned %v", err)
	}
	defer second.Close()
	if info, err := Running(path); err != nil || info == nil || info.PID != 7 {
		t.Fatalf("the second holder is %+v, %v", info, err)
	}
}

// Who only asks whether skiff runs does not keep it from starting.
func TestAcquireAmongObservers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skiff.lock")
	observer, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer observer.Close()
	if err := unix.Flock(int(observer.Fd()), unix.LOCK_SH); err != nil {
		t.Fatal(err)
	}
	type result struct {
		lock *Lock
		err  error
	}
	acquired := make(chan result, 1)
	go func() {
		lock, err := Acquire(path, Info{PID: 1})
		acquired <- result{lock, err}
	}()
	select {
	case got := <-acquired:
		t.Fatalf("Acquire did not wait for the observer: %v", got.err)
	case <-time.After(20 * time.Millisecond):
	}
	if err := unix.Flock(int(observer.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	got := <-acquired
	if got.err != nil {
		t.Fatal(got.err)
	}
	defer got.lock.Close()
	if info, err := Running(path); err != nil || info == nil || info.PID != 1 {
		t.Fatalf("Running returned %+v, %v", info, err)
	}
}

func TestRunningNamesADamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skiff.lock")
	lock, err := Acquire(path, Info{})
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Running(path); err == nil {
		t.Fatal("a damaged lock file of a running process was accepted")
	}
}

// A process that ignores SIGTERM is killed when its time is over.
func TestStopKillsInTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skiff.lock")
	cmd := exec.Command("flock", "--exclusive", path, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = newGroup
	if err := cmd.Start(); err != nil {
		t.Skipf("needs flock of util-linux: %v", err)
	}
	defer func() { _ = cmd.Wait() }()
	if _, err := pipe.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	// The negative pid reaches the whole group: flock's child holds the lock, too.
	if err := Stop(path, &Info{PID: -cmd.Process.Pid}, 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if info, err := Running(path); err != nil || info != nil {
		t.Fatalf("after Stop Running returned %v, %v", info, err)
	}
}
