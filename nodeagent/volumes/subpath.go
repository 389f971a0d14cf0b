package volumes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// bindSubPath makes what is at sub inside of the volume visible at target, a
// directory if there is nothing yet. What is bound already stays.
func bindSubPath(volumeDir, sub, target string) error {
	source, err := openBeneath(volumeDir, sub)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeBeneath(volumeDir, sub); err != nil {
			return fmt.Errorf("making the directory: %w", err)
		}
		source, err = openBeneath(volumeDir, sub)
	}
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if bound, err := os.Lstat(target); err == nil && os.SameFile(info, bound) {
		return nil
	}
	// That of an earlier container: the path has led elsewhere then.
	if old, err := mountsAt(target); err != nil {
		return err
	} else if err := detach(old); err != nil {
		return err
	}
	if err := makeTarget(target, info.IsDir()); err != nil {
		return err
	}
	return bind(source, target)
}

// mountsAt is mountsBelow for a directory that may not be there.
func mountsAt(dir string) ([]string, error) {
	points, err := mountsBelow(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return points, err
}

// openTries is how often a path is resolved anew because something in it was renamed meanwhile.
const openTries = 16

// openBeneath opens what is at sub in a directory, without effects on it (it may be a
// device or a socket). A link that leads out of the directory is an error.
func openBeneath(dir, sub string) (*os.File, error) {
	root, err := os.Open(dir) // a hostPath itself may be a link
	if err != nil {
		return nil, err
	}
	defer root.Close()
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}
	for range openTries {
		var fd int
		fd, err = unix.Openat2(int(root.Fd()), sub, how)
		if err == nil {
			return os.NewFile(uintptr(fd), filepath.Join(dir, sub)), nil
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	switch {
	case errors.Is(err, unix.ENOSYS): // a kernel before 5.6
		return openInRoot(dir, sub)
	case errors.Is(err, unix.EXDEV):
		return nil, fmt.Errorf("%q leads out of the volume", sub)
	}
	return nil, &os.PathError{Op: "open", Path: filepath.Join(dir, sub), Err: err}
}

// openInRoot resolves step by step; it cannot open sockets.
func openInRoot(dir, sub string) (*os.File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	// Not to wait for the other side of a named pipe.
	return root.OpenFile(sub, os.O_RDONLY|unix.O_NONBLOCK, 0)
}

// makeBeneath makes the directories of sub that are missing, with the volume's own mode.
func makeBeneath(dir, sub string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	info, err := root.Stat(".")
	if err != nil {
		return err
	}
	mode := info.Mode().Perm() | info.Mode()&fs.ModeSetgid
	for end := 0; end < len(sub); {
		if next := strings.IndexByte(sub[end+1:], '/'); next >= 0 {
			end += 1 + next
		} else {
			end = len(sub)
		}
		err := root.Mkdir(sub[:end], 0o750)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		// Afterwards, since the umask must not count.
		if err := root.Chmod(sub[:end], mode); err != nil {
			return err
		}
	}
	return nil
}

// makeTarget makes something of the same kind to bind to.
func makeTarget(target string, dir bool) error {
	if info, err := os.Lstat(target); err == nil && info.IsDir() != dir {
		if err := os.Remove(target); err != nil {
			return err
		}
	}
	if dir {
		return os.MkdirAll(target, 0o750)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
		return err
	}
	file, err := os.OpenFile(target, os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	return file.Close()
}
