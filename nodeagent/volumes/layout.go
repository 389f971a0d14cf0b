package volumes

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// PodDir returns the directory of everything that belongs to a pod. It refuses
// a UID that would lead elsewhere.
func (m *Manager) PodDir(uid types.UID) (string, error) {
	if uid == "" || uid == "." || uid == ".." || strings.ContainsAny(string(uid), "/\x00") {
		return "", fmt.Errorf("invalid pod UID %q", uid)
	}
	return filepath.Join(m.podsDir(), string(uid)), nil
}

func (m *Manager) podsDir() string { return filepath.Join(m.config.RootDir, "pods") }

// dir is where a volume's content is on the host. The pod's UID has been checked.
func (m *Manager) dir(pod *corev1.Pod, volume *corev1.Volume) string {
	var plugin string
	switch {
	case volume.HostPath != nil:
		return volume.HostPath.Path
	case volume.EmptyDir != nil:
		plugin = "empty-dir"
	case volume.ConfigMap != nil:
		plugin = "configmap"
	case volume.Secret != nil:
		plugin = "secret"
	case volume.DownwardAPI != nil:
		plugin = "downward-api"
	case volume.Projected != nil:
		plugin = "projected"
	}
	return filepath.Join(m.podsDir(), string(pod.UID), "volumes", "kubernetes.io~"+plugin, volume.Name)
}

// subPathDir is where the sub path of a container's number-th mount is bound to.
func (m *Manager) subPathDir(pod *corev1.Pod, volume, container string, number int) string {
	return filepath.Join(m.podsDir(), string(pod.UID), "volume-subpaths", volume, container, strconv.Itoa(number))
}
