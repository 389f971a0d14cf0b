package volumes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
)

// setupHostPath checks that the host's path is what the pod wants, and makes it where the type says so.
func setupHostPath(source *corev1.HostPathVolumeSource) error {
	path, want := source.Path, corev1.HostPathUnset
	if source.Type != nil {
		want = *source.Type
	}
	info, err := os.Stat(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return fmt.Errorf("hostPath type check failed: %w", err)
	}
	if missing {
		switch want {
		case corev1.HostPathUnset, corev1.HostPathDirectoryOrCreate:
			return os.MkdirAll(path, 0o755)
		case corev1.HostPathFileOrCreate:
			return makeFile(path)
		}
	}
	if !missing && isType(info.Mode(), want) {
		return nil
	}
	name, known := hostPathNames[want]
	if !known {
		return fmt.Errorf("%s is an invalid volume type", want)
	}
	return fmt.Errorf("hostPath type check failed: %s is not %s", path, name)
}

func makeFile(path string) error {
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return err // only the file itself is made
	}
	file, err := os.OpenFile(path, os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
}

var hostPathNames = map[corev1.HostPathType]string{
	corev1.HostPathDirectoryOrCreate: "a directory",
	corev1.HostPathDirectory:         "a directory",
	corev1.HostPathFileOrCreate:      "a file",
	corev1.HostPathFile:              "a file",
	corev1.HostPathSocket:            "a socket file",
	corev1.HostPathCharDev:           "a character device",
	corev1.HostPathBlockDev:          "a block device",
}

func isType(mode fs.FileMode, want corev1.HostPathType) bool {
	switch want {
	case corev1.HostPathUnset:
		return true
	case corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate:
		return mode.IsDir()
	case corev1.HostPathFile, corev1.HostPathFileOrCreate:
		return !mode.IsDir() // as kube has it
	case corev1.HostPathSocket:
		return mode&fs.ModeSocket != 0
	case corev1.HostPathCharDev:
		return mode&fs.ModeCharDevice != 0
	case corev1.HostPathBlockDev:
		return mode&fs.ModeDevice != 0 && mode&fs.ModeCharDevice == 0
	default:
		return false
	}
}
