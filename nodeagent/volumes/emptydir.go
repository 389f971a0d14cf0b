package volumes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// setupEmptyDir makes an emptyDir: a directory on disk or a tmpfs.
func (m *Manager) setupEmptyDir(pod *corev1.Pod, volume *corev1.Volume) error {
	dir := m.Dir(pod, volume)
	source := volume.EmptyDir
	_, err := os.Stat(dir)
	existed := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking for the volume: %w", err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("making the volume's directory: %w", err)
	}
	switch {
	case source.Medium == corev1.StorageMediumMemory:
		mounted, err := m.config.Mounter.IsMounted(dir)
		if err != nil {
			return fmt.Errorf("looking for the volume: %w", err)
		}
		if mounted {
			return nil
		}
		existed = false // a reboot has emptied it
		size := int64(0)
		if source.SizeLimit != nil {
			size = source.SizeLimit.Value()
		}
		if err := m.config.Mounter.MountTmpfs(dir, size); err != nil {
			return fmt.Errorf("mounting a tmpfs: %w", err)
		}
	case source.Medium == corev1.StorageMediumDefault:
	case source.Medium == corev1.StorageMediumHugePages || strings.HasPrefix(string(source.Medium), string(corev1.StorageMediumHugePagesPrefix)):
		return fmt.Errorf("storage medium %q is not supported by this node", source.Medium)
	default:
		return fmt.Errorf("unknown storage medium %q", source.Medium)
	}
	if existed {
		return nil
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		return fmt.Errorf("setting the volume's mode: %w", err)
	}
	if group := fsGroup(pod); group != nil {
		return setGroup(dir, *group, false)
	}
	return nil
}
