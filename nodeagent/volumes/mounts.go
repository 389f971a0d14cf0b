package volumes

import (
	"errors"
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/nodeagent/env"
	"github.com/skiff-project/skiff/nodeagent/runtime"
)

// Mounts returns what to bind into a container, in the order of its volumeMounts.
// expand replaces references to variables of the container in subPathExpr and
// leaves alone those that it does not know. Sub paths are made, resolved and
// bound here, so that the container gets what is inside of the volume whatever
// links say later.
func (m *Manager) Mounts(pod *corev1.Pod, container *corev1.Container, expand func(string) string) ([]runtime.Mount, error) {
	if _, err := m.PodDir(pod.UID); err != nil {
		return nil, err
	}
	m.busy.LockKey(string(pod.UID))
	defer m.unlock(pod.UID)
	result := make([]runtime.Mount, 0, len(container.VolumeMounts))
	for i := range container.VolumeMounts {
		mount := &container.VolumeMounts[i]
		volume := findVolume(pod, mount.Name)
		if volume == nil {
			return nil, fmt.Errorf("cannot find volume %q to mount into container %q", mount.Name, container.Name)
		}
		source := m.dir(pod, volume)
		sub, err := subPath(mount, expand)
		if err != nil {
			return nil, err
		}
		if sub != "" {
			target := m.subPathDir(pod, volume.Name, container.Name, i)
			if err := bindSubPath(source, sub, target); err != nil {
				return nil, fmt.Errorf("failed to prepare subPath for volumeMount %q of container %q: %w", mount.Name, container.Name, err)
			}
			source = target
		}
		result = append(result, runtime.Mount{
			HostPath: source, ContainerPath: containerPath(mount.MountPath),
			// What the agent fills, containers may never write to.
			ReadOnly:          mount.ReadOnly || payloadOf(volume) != nil,
			RecursiveReadOnly: ptr.Deref(mount.RecursiveReadOnly, "") == corev1.RecursiveReadOnlyEnabled,
			Propagation:       propagation(mount),
		})
	}
	return result, nil
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
	mode := ptr.Deref(mount.MountPropagation, corev1.MountPropagationNone)
	if mode == corev1.MountPropagationNone {
		return ""
	}
	return mode
}

// subPath returns the sub path of a mount, "" for none. Its variables must all exist.
func subPath(mount *corev1.VolumeMount, expand func(string) string) (string, error) {
	sub := mount.SubPath
	if mount.SubPathExpr != "" {
		var err error
		if sub, err = expandAll(mount.SubPathExpr, expand); err != nil {
			return "", err
		}
	}
	switch {
	case sub == "":
		return "", nil
	case filepath.IsAbs(sub):
		return "", fmt.Errorf("error SubPath `%s` must not be an absolute path", sub)
	case !filepath.IsLocal(sub):
		return "", fmt.Errorf("unable to provision SubPath `%s`: must not contain '..'", sub)
	}
	return filepath.Clean(sub), nil
}

// expandAll is like expand, but an unknown variable is an error.
func expandAll(expr string, expand func(string) string) (string, error) {
	if expand == nil {
		return "", errors.New("subPathExpr without variables")
	}
	var missing error
	result := env.Expand(expr, func(name string) (string, bool) {
		reference := "$(" + name + ")"
		value := expand(reference)
		if value == reference && missing == nil {
			missing = fmt.Errorf("missing value for %q", name)
		}
		return value, true
	})
	return result, missing
}
