package volumes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// isWritten reports whether a volume has content.
func isWritten(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, dataLink))
	return err == nil
}

// write makes a prepared payload the content of dir, and reports whether it was not already.
func write(dir string, content payload, group *int64, now time.Time) (changed bool, err error) {
	have, err := read(dir)
	if err != nil {
		return false, err
	}
	todo := diff(have, content)
	if todo.rewrite {
		if err := writeVersion(dir, content, group, now); err != nil {
			return false, err
		}
	}
	for _, name := range todo.remove {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return false, fmt.Errorf("removing %s: %w", name, err)
		}
	}
	for _, name := range todo.link {
		if err := os.Symlink(target(name), filepath.Join(dir, name)); err != nil {
			return false, fmt.Errorf("linking %s: %w", name, err)
		}
	}
	return todo.rewrite || len(todo.link) > 0, nil
}

func read(dir string) (present, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return present{}, fmt.Errorf("listing the volume: %w", err)
	}
	have := present{names: make(map[string]string, len(entries))}
	for _, entry := range entries {
		leads := ""
		if entry.Type()&fs.ModeSymlink != 0 {
			if leads, err = os.Readlink(filepath.Join(dir, entry.Name())); err != nil {
				return present{}, fmt.Errorf("reading a link: %w", err)
			}
		}
		have.names[entry.Name()] = leads
	}
	have.version = have.names[dataLink]
	if have.version != "" {
		// What cannot be read is written anew.
		if have.files, err = readVersion(filepath.Join(dir, have.version)); err != nil {
			have.files = nil
		}
	}
	return have, nil
}

func readVersion(version string) (payload, error) {
	files := payload{}
	err := filepath.WalkDir(version, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(version, path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		files[name] = file{data: data, mode: info.Mode().Perm()}
		return err
	})
	return files, err
}

// writeVersion writes the content beside the present one and then takes it.
func writeVersion(dir string, content payload, group *int64, now time.Time) error {
	version, err := os.MkdirTemp(dir, now.UTC().Format(versionName))
	if err != nil {
		return fmt.Errorf("making a new version: %w", err)
	}
	if err := fill(version, content, group); err != nil {
		return errors.Join(err, os.RemoveAll(version))
	}
	if err := swap(dir, filepath.Base(version)); err != nil {
		return errors.Join(err, os.RemoveAll(version))
	}
	return nil
}

func fill(version string, content payload, group *int64) error {
	for name, f := range content {
		path := filepath.Join(version, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("making the directory of %s: %w", name, err)
		}
		if err := os.WriteFile(path, f.data, 0o600); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		if err := own(path, f.owner, group, f.mode); err != nil {
			return err
		}
	}
	dirMode := fs.FileMode(0o755)
	if group != nil {
		dirMode |= fs.ModeSetgid
	}
	return filepath.WalkDir(version, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return own(path, nil, group, dirMode)
	})
}

// own sets owner (nil: as it is), group (nil: as it is) and mode of a file that no container sees yet.
func own(path string, owner, group *int64, mode fs.FileMode) error {
	if owner != nil || group != nil {
		if err := os.Lchown(path, idOr(owner, -1), idOr(group, -1)); err != nil {
			return fmt.Errorf("setting the owner: %w", err)
		}
	}
	// Last, since chown clears bits; and explicitly, since the umask must not count.
	if err := os.Chmod(path, mode); err != nil {
		return fmt.Errorf("setting the mode: %w", err)
	}
	return nil
}

func idOr(id *int64, otherwise int) int {
	if id == nil {
		return otherwise
	}
	return int(*id)
}

func swap(dir, version string) error {
	temporary := filepath.Join(dir, newDataLink)
	if err := os.RemoveAll(temporary); err != nil { // of a crash
		return fmt.Errorf("removing a leftover: %w", err)
	}
	if err := os.Symlink(version, temporary); err != nil {
		return fmt.Errorf("linking the new version: %w", err)
	}
	if err := os.Rename(temporary, filepath.Join(dir, dataLink)); err != nil {
		return fmt.Errorf("taking the new version: %w", err)
	}
	return nil
}
