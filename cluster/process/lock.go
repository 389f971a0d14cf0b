// Package process finds, starts and watches the one skiff process of a data
// directory.
//
// The process holds an flock on the data directory's lock file for as long as it
// lives; the kernel drops it even after kill -9, so there are no stale pid files.
// The file's content tells who holds it.
package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Info describes the running process.
type Info struct {
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"startedAt"`
	Version   string    `json:"version"`
	// Arguments of the command line, so that a user sees how it was started.
	Arguments []string `json:"arguments,omitempty"`
	// Server is the API server's URL.
	Server string `json:"server,omitempty"`
	// NodeName of this machine in the cluster.
	NodeName string `json:"nodeName,omitempty"`
}

// ErrRunning reports that another process holds the lock.
var ErrRunning = errors.New("skiff already runs")

// Lock is the right to run in a data directory. Release it by Close; the end of
// the process does it as well.
type Lock struct{ file *os.File }

// Acquire takes the lock and records info. It returns ErrRunning (wrapped) if
// another process has it.
func Acquire(path string, info Info) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("creating the data directory: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock file: %w", err)
	}
	if err := lockExclusively(int(file.Fd())); err != nil {
		_ = file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w with data directory %s", ErrRunning, filepath.Dir(path))
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	lock := &Lock{file: file}
	if err := lock.write(info); err != nil {
		_ = file.Close()
		return nil, err
	}
	return lock, nil
}

// lockExclusively takes the lock unless a process holds it. One that only looks
// (Running) holds a shared lock for a moment and must not pass for the holder.
func lockExclusively(fd int) error {
	for {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		if err := unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB); err != nil {
			return err // held exclusively
		}
	}
}

func (l *Lock) write(info Info) error {
	content, err := json.Marshal(info)
	if err != nil {
		return fmt.Errorf("encoding the lock file: %w", err)
	}
	if err := l.file.Truncate(0); err != nil {
		return fmt.Errorf("writing the lock file: %w", err)
	}
	if _, err := l.file.WriteAt(content, 0); err != nil {
		return fmt.Errorf("writing the lock file: %w", err)
	}
	return nil
}

// Close gives the lock back. The file stays: removing it would race with a
// process that has just opened it.
func (l *Lock) Close() error { return l.file.Close() }

// Running returns the process that holds the lock, or nil if none does.
func Running(path string) (*Info, error) {
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_CLOEXEC, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening the lock file: %w", err)
	}
	defer file.Close()
	// A shared lock, so that two observers do not see each other as the holder.
	if err := unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB); err == nil {
		return nil, nil
	} else if !errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("probing the lock on %s: %w", path, err)
	}
	var info Info
	if err := json.NewDecoder(file).Decode(&info); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("a process has just taken %s and has not said yet who it is: try again", path)
	} else if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return &info, nil
}
