package volumes

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/nodeagent/env"
	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// Mounts returns what to mount into a container, whose variables subPathExpr may
// refer to. Sub paths are made and opened now, so that what is mounted
// is inside of the volume whatever its links say later.
func (m *Manager) Mounts(pod *corev1.Pod, container *corev1.Container, variables []env.Var) ([]runtime.Mount, error) {
	var result []runtime.Mount
	for i := range container.VolumeMounts {
		mount := &container.VolumeMounts[i]
		volume := findVolume(pod, mount.Name)
		if volume == nil {
			return nil, fmt.Errorf("cannot find volume %q to mount into container %q", mount.Name, container.Name)
		}
		source := m.Dir(pod, volume)
		sub, err := subPath(mount, variables)
		if err != nil {
			return nil, err
		}
		if sub != "" {
			target := filepath.Join(m.PodDir(string(pod.UID)), "volume-subpaths", volume.Name, container.Name, strconv.Itoa(i))
			if err := m.mountSubPath(source, sub, target); err != nil {
				return nil, fmt.Errorf("failed to prepare subPath for volumeMount %q of container %q: %w", mount.Name, container.Name, err)
			}
			source = target
		}
		result = append(result, runtime.Mount{
			HostPath: source, ContainerPath: containerPath(mount.MountPath),
			ReadOnly:          mount.ReadOnly || readOnlyKind(volume),
			RecursiveReadOnly: mount.RecursiveReadOnly != nil && *mount.RecursiveReadOnly == corev1.RecursiveReadOnlyEnabled,
			Propagation:       propagation(mount),
		})
	}
	return result, nil
}

// readOnlyKind reports whether containers may never write into the volume: the
// agent does.
func readOnlyKind(volume *corev1.Volume) bool {
	return volume.ConfigMap != nil || volume.Secret != nil || volume.DownwardAPI != nil || volume.Projected != nil
}

func findVolume(pod *corev1.Pod, name string) *corev1.Volume {
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Name == name {
			return &pod.Spec.Volumes[i]
		}
	}
	return nil
}

func containerPath(path string) string {
	if !filepath.IsAbs(path) {
		return "/" + path
	}
	return path
}

func propagation(mount *corev1.VolumeMount) corev1.MountPropagationMode {
	if mount.MountPropagation == nil || *mount.MountPropagation == corev1.MountPropagationNone {
		return ""
	}
	return *mount.MountPropagation
}

// subPath returns the sub path with its variables, which must all exist.
func subPath(mount *corev1.VolumeMount, variables []env.Var) (string, error) {
	sub := mount.SubPath
	if mount.SubPathExpr != "" {
		missing := ""
		lookup := env.Lookup(variables)
		sub = env.Expand(mount.SubPathExpr, func(name string) (string, bool) {
			value, ok := lookup(name)
			if !ok {
				missing = name
			}
			return value, ok
		})
		if missing != "" {
			return "", fmt.Errorf("missing value for %q in subPathExpr %q", missing, mount.SubPathExpr)
		}
	}
	if sub == "" {
		return "", nil
	}
	if filepath.IsAbs(sub) {
		return "", fmt.Errorf("error SubPath `%s` must not be an absolute path", sub)
	}
	if !filepath.IsLocal(sub) {
		return "", fmt.Errorf("unable to provision SubPath `%s`: must not contain '..'", sub)
	}
	return sub, nil
}

// mountSubPath makes what is at sub inside of the volume visible at target, a
// directory if there is nothing yet.
func (m *Manager) mountSubPath(volumeDir, sub, target string) error {
	root, err := os.OpenRoot(volumeDir)
	if err != nil {
		return err
	}
	defer root.Close()
	// Not to wait for the other side if it is a named pipe.
	file, err := root.OpenFile(sub, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeSubPath(root, sub); err != nil {
			return err
		}
		file, err = root.OpenFile(sub, os.O_RDONLY|unix.O_NONBLOCK, 0)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := m.config.Mounter.Unmount(target); err != nil { // that of the last attempt
		return fmt.Errorf("unmounting %s: %w", target, err)
	}
	if err := makeTarget(target, info.IsDir()); err != nil {
		return err
	}
	return m.config.Mounter.MountFile(file, target)
}

// makeSubPath makes directories that look like the volume itself.
func makeSubPath(root *os.Root, sub string) error {
	info, err := root.Stat(".")
	if err != nil {
		return err
	}
	if err := root.MkdirAll(sub, 0o750); err != nil {
		return err
	}
	// Chmod afterwards: the umask must not count. Only what was made here has
	// the mode above, since it did not exist.
	return root.Chmod(sub, info.Mode().Perm()|info.Mode()&fs.ModeSetgid)
}

func makeTarget(target string, dir bool) error {
	if dir {
		return os.MkdirAll(target, 0o750)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
		return err
	}
	file, err := os.OpenFile(target, os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	return file.Close()
}
