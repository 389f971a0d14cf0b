package volumes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/nodeagent/cgroups"
)

// setupEmptyDir makes an emptyDir: a directory on disk or a tmpfs. One that is there stays as it is.
func (m *Manager) setupEmptyDir(pod *corev1.Pod, volume *corev1.Volume) error {
	medium := volume.EmptyDir.Medium
	want := scratch{group: fsGroup(pod)}
	switch {
	case medium == corev1.StorageMediumDefault:
	case medium == corev1.StorageMediumMemory:
		want.memory = true
		allocatable := m.config.Allocatable()[corev1.ResourceMemory]
		want.size = memorySize(volume.EmptyDir, pod, allocatable.Value())
	case strings.HasPrefix(string(medium), string(corev1.StorageMediumHugePages)):
		return fmt.Errorf("storage medium %q is not supported by this node", medium)
	default:
		return fmt.Errorf("unknown storage medium %q", medium)
	}
	return makeScratch(m.dir(pod, volume), want)
}

// memorySize is how much a volume in memory can hold: no more than its limit, the
// pod's and the node's memory (KEP-1967). 0 is the kernel's default.
func memorySize(source *corev1.EmptyDirVolumeSource, pod *corev1.Pod, nodeMemory int64) int64 {
	size := nodeMemory
	limits := []int64{cgroups.PodLimits(pod, 0).MemoryBytes}
	if source.SizeLimit != nil {
		limits = append(limits, source.SizeLimit.Value())
	}
	for _, limit := range limits {
		if limit > 0 && (size == 0 || limit < size) {
			size = limit
		}
	}
	return size
}

// scratch is a directory that everybody may write to.
type scratch struct {
	memory bool
	size   int64 // if in memory
	group  *int64
}

const (
	setgid = 0o2000
	sticky = 0o1000
)

// makeScratch makes the directory unless it is there. It appears with its mode
// and group, so that what is there is complete also after a crash.
func makeScratch(dir string, want scratch) error {
	if want.memory {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return fmt.Errorf("making the volume's directory: %w", err)
		}
		mounted, err := mountinfo.Mounted(dir)
		if err != nil || mounted {
			return err
		}
		mode := uint32(0o777 | sticky)
		if want.group != nil {
			mode |= setgid
		}
		return mountTmpfs(dir, mode, want.group, want.size)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o750); err != nil {
		return fmt.Errorf("making the volume's directory: %w", err)
	}
	// A volume's name has no dot, so this is never a volume.
	temporary, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+".")
	if err != nil {
		return fmt.Errorf("making the volume's directory: %w", err)
	}
	mode := fs.FileMode(0o777)
	if want.group != nil {
		mode |= fs.ModeSetgid
	}
	err = own(temporary, nil, want.group, mode)
	if err == nil {
		err = os.Rename(temporary, dir)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("making the volume's directory: %w", err), os.RemoveAll(temporary))
	}
	return nil
}
