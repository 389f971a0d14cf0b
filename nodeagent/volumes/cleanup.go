package volumes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"k8s.io/apimachinery/pkg/types"
)

// Unmount removes everything of a pod from the host: mounts, then its directory.
// It is safe to repeat, and also for pods that were never mounted.
func (m *Manager) Unmount(_ context.Context, uid types.UID) error {
	dir, err := m.PodDir(uid)
	if err != nil {
		return err
	}
	m.busy.LockKey(string(uid))
	defer m.unlock(uid)
	m.forget(uid)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	points, err := mountsBelow(dir)
	if err != nil {
		return fmt.Errorf("listing the mounts of pod %s: %w", uid, err)
	}
	if err := detach(points); err != nil {
		return fmt.Errorf("unmounting the volumes of pod %s: %w", uid, err)
	}
	// What is still mounted may be the user's own data: look before deleting.
	left, err := mountsBelow(dir)
	if err != nil {
		return fmt.Errorf("listing the mounts of pod %s: %w", uid, err)
	}
	if len(left) > 0 {
		return fmt.Errorf("unmounting the volumes of pod %s: still mounted: %v", uid, left)
	}
	if err := os.RemoveAll(dir); err != nil { // does not follow links
		return fmt.Errorf("removing the directory of pod %s: %w", uid, err)
	}
	return nil
}

// Known returns the pods that have a directory, also those of an earlier run.
func (m *Manager) Known() ([]types.UID, error) {
	entries, err := os.ReadDir(m.podsDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listing the pods' directories: %w", err)
	}
	var uids []types.UID
	for _, entry := range entries {
		if entry.IsDir() {
			uids = append(uids, types.UID(entry.Name()))
		}
	}
	return uids, nil
}
