package volumes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// This file is the package's doorway to the kernel's mounts.

// mountTmpfs mounts a file system in memory. Its root has the mode and group from
// the first moment. Size 0 is the kernel's default.
func mountTmpfs(target string, mode uint32, group *int64, size int64) error {
	options := fmt.Sprintf("mode=%o", mode)
	if group != nil {
		options += fmt.Sprintf(",gid=%d", *group)
	}
	if size > 0 {
		options += fmt.Sprintf(",size=%d", size)
	}
	err := unix.Mount("tmpfs", target, "tmpfs", 0, options+",noswap")
	if errors.Is(err, unix.EINVAL) { // a kernel before 6.4
		err = unix.Mount("tmpfs", target, "tmpfs", 0, options)
	}
	if err != nil {
		return fmt.Errorf("mounting a tmpfs on %s: %w", target, err)
	}
	return nil
}

// bind makes an open file or directory visible at target. Through the file
// descriptor it is exactly what was opened, whatever its path leads to by now.
// Mounts below it are left out.
func bind(file *os.File, target string) error {
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("binding to %s: %w", target, err)
	}
	return nil
}

// mountsBelow returns the mount points at and below a directory, in the order in
// which they were mounted. A link in place of the directory is not followed.
func mountsBelow(dir string) ([]string, error) {
	// The kernel shows paths without links.
	parent, err := filepath.EvalSymlinks(filepath.Dir(dir))
	if err != nil {
		return nil, err
	}
	infos, err := mountinfo.GetMounts(mountinfo.PrefixFilter(filepath.Join(parent, filepath.Base(dir))))
	if err != nil {
		return nil, err
	}
	points := make([]string, 0, len(infos))
	for _, info := range infos {
		points = append(points, info.Mountpoint)
	}
	return points, nil
}

// detach unmounts mount points, the last one first. All are made private before:
// the mounts in a bind of the host's files are the host's too, and to unmount
// one of them would unmount it everywhere.
func detach(points []string) error {
	for _, point := range points {
		err := unix.Mount("", point, "", unix.MS_PRIVATE, "")
		if err != nil && !gone(err) {
			return fmt.Errorf("making the mount %s private: %w", point, err)
		}
	}
	for _, point := range slices.Backward(points) {
		if err := unmount(point); err != nil {
			return fmt.Errorf("unmounting %s: %w", point, err)
		}
	}
	return nil
}

func unmount(point string) error {
	err := unix.Unmount(point, unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EBUSY) {
		// Somebody on the host looks into it; it must go from here all the same.
		err = unix.Unmount(point, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
	}
	if gone(err) {
		return nil
	}
	return err
}

// gone reports whether the error says that nothing is mounted there.
func gone(err error) bool { return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) }
