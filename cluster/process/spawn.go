package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// ProgressFD is the file descriptor on which a detached process finds the pipe
// for its progress events.
const ProgressFD = 3

// Detach starts executable with args in a session of its own, with output
// appended to logFile, and returns the reading end of its progress pipe. The
// caller must read it to the end and close it.
func Detach(executable string, args []string, logFile string) (*os.Process, io.ReadCloser, error) {
	if err := os.MkdirAll(filepath.Dir(logFile), 0o700); err != nil {
		return nil, nil, fmt.Errorf("creating the log directory: %w", err)
	}
	output, err := os.OpenFile(logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the log file: %w", err)
	}
	defer output.Close()
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("creating the progress pipe: %w", err)
	}
	defer writer.Close()

	cmd := exec.Command(executable, args...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.ExtraFiles = []*os.File{writer} // becomes ProgressFD
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		_ = reader.Close()
		return nil, nil, fmt.Errorf("starting %s: %w", executable, err)
	}
	return cmd.Process, reader, nil
}

// Stop asks the process that info names to end and waits until the lock is free.
// It kills the process if that takes longer than timeout.
func Stop(lockPath string, info *Info, timeout time.Duration) error {
	if err := signal(info.PID, syscall.SIGTERM); err != nil {
		return err
	}
	if released(lockPath, timeout) {
		return nil
	}
	if err := signal(info.PID, syscall.SIGKILL); err != nil {
		return err
	}
	if !released(lockPath, 10*time.Second) {
		return fmt.Errorf("process %d still runs after SIGKILL", info.PID)
	}
	return nil
}

func signal(pid int, sig syscall.Signal) error {
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("sending %s to process %d: %w", sig, pid, err)
	}
	return nil
}

// released waits for the end of the process that holds the lock. There is no
// event for an flock that does not also take it, hence the polling.
func released(lockPath string, timeout time.Duration) bool {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(timeout)
	for {
		if info, err := Running(lockPath); err == nil && info == nil {
			return true
		}
		select {
		case <-ticker.C:
		case <-deadline:
			return false
		}
	}
}
