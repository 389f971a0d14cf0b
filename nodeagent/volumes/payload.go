package volumes

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// file is one file of a payload.
type file struct {
	data []byte
	mode fs.FileMode
	// owner is the user that the file belongs to; nil is root.
	owner *int64
}

// payload is a volume's whole content by path.
type payload map[string]file

// The layout of a directory that changes at once: each version of the content is
// in a directory of its own, ..data is a link to the present one, and every
// name that users see is a link into ..data. Replacing that one link
// replaces everything.
const (
	dataLink    = "..data"
	newDataLink = "..data_tmp"
	versionName = "..2006_01_02_15_04_05."
)

// addKeys adds all of data, or only items under their paths. It returns a key
// that is missing and not optional.
func (p payload) addKeys(data map[string][]byte, keys []corev1.KeyToPath, mode int32, optional bool) (missing string) {
	if len(keys) == 0 {
		for key, value := range data {
			p[key] = file{data: value, mode: fs.FileMode(mode)}
		}
		return ""
	}
	for _, key := range keys {
		value, ok := data[key.Key]
		if !ok {
			if optional {
				continue
			}
			return key.Key
		}
		p[key.Path] = file{data: value, mode: modeOr(key.Mode, mode)}
	}
	return ""
}

// prepare returns the payload with clean paths, and with the modes that files
// have: with an fsGroup the group can read them.
func (p payload) prepare(group *int64) (payload, error) {
	result := make(payload, len(p))
	for name, f := range p {
		clean := filepath.Clean(name)
		if name == "" || clean == "." || !filepath.IsLocal(clean) || strings.HasPrefix(clean, "..") {
			return nil, fmt.Errorf("invalid path %q: must be relative and must not start with '..'", name)
		}
		f.mode = f.mode.Perm()
		if group != nil {
			f.mode |= 0o440
		}
		result[clean] = f
	}
	return result, nil
}

// present is what a volume's directory holds.
type present struct {
	version string            // that ..data leads to, "" if none
	files   payload           // of that version; nil if they could not be read
	names   map[string]string // what is in the directory, and where it leads if it is a link
}

// change is what makes a directory hold a payload.
type change struct {
	rewrite bool     // a new version is written
	remove  []string // after that: stale names and versions
	link    []string // at last: new names that users see
}

// diff returns how to get from what is present to what is wanted.
func diff(have present, want payload) change {
	result := change{rewrite: have.version == "" || have.files == nil || !maps.EqualFunc(have.files, want, sameFile)}
	visible := map[string]bool{}
	for name := range want {
		first, _, _ := strings.Cut(name, "/")
		visible[first] = true
	}
	for name, leads := range have.names {
		switch {
		case name == dataLink, name == have.version && !result.rewrite:
		case visible[name] && leads == target(name):
			delete(visible, name) // is there already
		default:
			result.remove = append(result.remove, name)
		}
	}
	slices.Sort(result.remove)
	result.link = slices.Sorted(maps.Keys(visible))
	return result
}

// target is where the link called name leads to.
func target(name string) string { return dataLink + "/" + name }

func sameFile(a, b file) bool { return a.mode == b.mode && bytes.Equal(a.data, b.data) }

// defaultMode is that of files whose volume names none; the API's defaulting gives the same.
const defaultMode = 0o644

func modeOr(mode *int32, otherwise int32) fs.FileMode {
	if mode == nil {
		return fs.FileMode(otherwise)
	}
	return fs.FileMode(*mode)
}
