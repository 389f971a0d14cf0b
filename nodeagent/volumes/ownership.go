package volumes

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// setGroup gives a tree to a group: the group can read it, and write it unless
// readOnly, and new files get the group too (set-group-ID on directories). Links are not followed.
func setGroup(dir string, group int64, readOnly bool) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("giving the volume to group %d: %w", group, err)
		}
		info, err := entry.Info()
		if err != nil {
			return fmt.Errorf("giving the volume to group %d: %w", group, err)
		}
		if err := os.Lchown(path, -1, int(group)); err != nil {
			return fmt.Errorf("giving the volume to group %d: %w", group, err)
		}
		if entry.Type()&fs.ModeSymlink != 0 {
			return nil
		}
		mode := info.Mode()
		add := fs.FileMode(0o660)
		if readOnly {
			add = 0o440
		}
		if entry.IsDir() {
			mode |= fs.ModeSetgid
			add |= 0o110
		}
		if err := os.Chmod(path, mode.Perm()|mode&fs.ModeSetgid|mode&fs.ModeSticky|add); err != nil {
			return fmt.Errorf("giving the volume to group %d: %w", group, err)
		}
		return nil
	})
}
