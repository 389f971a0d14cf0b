package volumes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	"k8s.io/mount-utils"
)

// Mounter mounts on the host.
type Mounter interface {
	// MountTmpfs mounts a file system in memory; size 0 is the kernel's default.
	MountTmpfs(target string, size int64) error
	// MountFile makes an open file or directory visible at target.
	MountFile(file *os.File, target string) error
	Unmount(target string) error
	IsMounted(target string) (bool, error)
	// Below returns all mount points at and below a directory.
	Below(dir string) ([]string, error)
}

// Kernel is the Mounter that acts. It needs CAP_SYS_ADMIN.
type Kernel struct{}

const mountInfo = "/proc/self/mountinfo"

// MountTmpfs implements Mounter.
func (Kernel) MountTmpfs(target string, size int64) error {
	options := ""
	if size > 0 {
		options = fmt.Sprintf("size=%d", size)
	}
	return unix.Mount("tmpfs", target, "tmpfs", 0, options)
}

// MountFile implements Mounter. Through the file descriptor it is exactly what was opened, whatever its path leads to by now.
func (Kernel) MountFile(file *os.File, target string) error {
	return unix.Mount(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), target, "", unix.MS_BIND|unix.MS_REC, "")
}

// Unmount implements Mounter.
func (Kernel) Unmount(target string) error {
	err := unix.Unmount(target, unix.UMOUNT_NOFOLLOW)
	if errors.Is(err, unix.EBUSY) {
		// Somebody on the host looks into it; it must go from here all the same.
		err = unix.Unmount(target, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return nil // not mounted
	}
	return err
}

// IsMounted implements Mounter.
func (Kernel) IsMounted(target string) (bool, error) {
	var here, parent unix.Stat_t
	if err := unix.Lstat(target, &here); err != nil {
		return false, err
	}
	if err := unix.Lstat(filepath.Dir(target), &parent); err != nil {
		return false, err
	}
	return here.Dev != parent.Dev, nil // always so with a tmpfs of its own
}

// Below implements Mounter.
func (Kernel) Below(dir string) ([]string, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	infos, err := mount.ParseMountInfo(mountInfo)
	if err != nil {
		return nil, err
	}
	var points []string
	for _, info := range infos {
		if info.MountPoint == dir || strings.HasPrefix(info.MountPoint, dir+"/") {
			points = append(points, info.MountPoint)
		}
	}
	return points, nil
}
