// Package preflight finds out, before anything is changed, whether this machine
// can run what is asked for. Every check answers with one sentence that says
// what is wrong and what to do.
package preflight

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Check is one question to the machine; nil is a good answer.
type Check func(ctx context.Context) error

// Run does all checks and joins what they complain of.
func Run(ctx context.Context, checks ...Check) error {
	var problems []error
	for _, check := range checks {
		if err := check(ctx); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// Root refuses other users than root.
func Root(command string) Check {
	return func(context.Context) error {
		if os.Geteuid() == 0 {
			return nil
		}
		return fmt.Errorf("%s needs root, since it sets up the networks and mounts of pods: run it with sudo", command)
	}
}

// PortFree refuses a TCP port that another program listens on. flag is the
// option that chooses another one.
func PortFree(address string, port int, flag string) Check {
	return func(ctx context.Context) error {
		var config net.ListenConfig
		listener, err := config.Listen(ctx, "tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		if err == nil {
			return listener.Close()
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("port %d cannot be opened: %w", port, err)
		}
		holder := ""
		if name, pid := listenerOf(port); pid != 0 {
			holder = fmt.Sprintf(" by %s (process %d)", name, pid)
		}
		return fmt.Errorf("port %d is in use%s: stop that program or choose another port with %s", port, holder, flag)
	}
}

// FreeSpace refuses a directory whose file system has less than need bytes left.
func FreeSpace(dir string, need uint64) Check {
	return func(context.Context) error {
		existing := dir
		for {
			if _, err := os.Stat(existing); err == nil || existing == filepath.Dir(existing) {
				break
			}
			existing = filepath.Dir(existing)
		}
		var fs unix.Statfs_t
		if err := unix.Statfs(existing, &fs); err != nil {
			return fmt.Errorf("measuring the free space of %s: %w", dir, err)
		}
		if free := fs.Bavail * uint64(fs.Bsize); free < need {
			return fmt.Errorf("the disk of %s is full: %d MiB are free and %d MiB are needed: make room or choose another --data-dir", dir, free>>20, need>>20)
		}
		return nil
	}
}

// Programs refuses a machine that lacks one of the named programs; packages says
// what to install.
func Programs(packages string, names ...string) Check {
	return func(context.Context) error {
		for _, name := range names {
			if _, err := LookPath(name); err != nil {
				return fmt.Errorf("the program %s is missing: install %s", name, packages)
			}
		}
		return nil
	}
}

// LookPath finds a program on the PATH or in the system folders, which the PATH
// of a plain user or of sudo may lack.
func LookPath(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("program %s: %w", name, exec.ErrNotFound)
}
