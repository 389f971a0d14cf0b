package volumes

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// File is one file of a payload.
type File struct {
	Data []byte
	Mode int32
	// Owner is the user that the file belongs to; nil is root.
	Owner *int64
}

// Payload is a volume's whole content by path.
type Payload map[string]File

// The layout of a directory that changes at once: each version of the content is
// in a directory of its own, ..data is a link to the present one, and every
// name that users see is a link into ..data. Replacing that one link
// replaces everything.
const (
	dataLink    = "..data"
	newDataLink = "..data_tmp"
	versionName = "..2006_01_02_15_04_05."
)

// write makes payload the content of dir. It does nothing if it is already.
func write(dir string, payload Payload, group *int64, now time.Time) error {
	if err := validate(payload); err != nil {
		return err
	}
	old, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the present version: %w", err)
	}
	if old != "" && same(filepath.Join(dir, old), payload, group) {
		return clean(dir, old, payload)
	}
	version, err := os.MkdirTemp(dir, now.UTC().Format(versionName))
	if err != nil {
		return fmt.Errorf("making a new version: %w", err)
	}
	if err := fill(version, payload, group); err != nil {
		return errors.Join(err, os.RemoveAll(version))
	}
	if err := swap(dir, filepath.Base(version)); err != nil {
		return errors.Join(err, os.RemoveAll(version))
	}
	return clean(dir, filepath.Base(version), payload)
}

func validate(payload Payload) error {
	for name := range payload {
		if !filepath.IsLocal(name) || filepath.Clean(name) != name || strings.HasPrefix(name, "..") {
			return fmt.Errorf("invalid path %q: must be relative and stay inside of the volume", name)
		}
	}
	return nil
}

// same reports whether a version has exactly this content.
func same(version string, payload Payload, group *int64) bool {
	count := 0
	err := filepath.WalkDir(version, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(version, path)
		if err != nil {
			return err
		}
		file, ok := payload[name]
		if !ok {
			return fs.ErrInvalid
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !bytes.Equal(data, file.Data) || info.Mode().Perm() != fileMode(file, group) {
			return fs.ErrInvalid
		}
		count++
		return nil
	})
	return err == nil && count == len(payload)
}

// fileMode is the mode of a file: with an fsGroup the group can read it.
func fileMode(file File, group *int64) fs.FileMode {
	mode := fs.FileMode(file.Mode).Perm()
	if group != nil {
		mode |= 0o440
	}
	return mode
}

func fill(version string, payload Payload, group *int64) error {
	if err := os.Chmod(version, 0o755); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(payload)) {
		file, path := payload[name], filepath.Join(version, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("making the directory of %s: %w", name, err)
		}
		if err := os.WriteFile(path, file.Data, 0o600); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		if file.Owner != nil {
			if err := os.Chown(path, int(*file.Owner), -1); err != nil {
				return fmt.Errorf("setting the owner of %s: %w", name, err)
			}
		}
	}
	if group != nil {
		if err := setGroup(version, *group, true); err != nil {
			return err
		}
	}
	for name, file := range payload {
		// Last: chown clears bits, and the umask must not count.
		if err := os.Chmod(filepath.Join(version, name), fileMode(file, group)); err != nil {
			return fmt.Errorf("setting the mode of %s: %w", name, err)
		}
	}
	return nil
}

func swap(dir, version string) error {
	temporary := filepath.Join(dir, newDataLink)
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
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

// clean brings the names that users see in line with the payload, and removes other versions.
func clean(dir, version string, payload Payload) error {
	visible := map[string]bool{}
	for name := range payload {
		first, _, _ := strings.Cut(name, "/")
		visible[first] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("listing the volume: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if name == dataLink || name == version {
			continue
		}
		if visible[name] && entry.Type()&fs.ModeSymlink != 0 {
			delete(visible, name)
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("removing %s: %w", name, err)
		}
	}
	for name := range visible {
		if err := os.Symlink(filepath.Join(dataLink, name), filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("linking %s: %w", name, err)
		}
	}
	return nil
}
