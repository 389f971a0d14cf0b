package volumes

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

func fillDownwardAPI(_ context.Context, m *Manager, pod *corev1.Pod, volume *corev1.Volume) (payload, time.Time, error) {
	content := payload{}
	err := m.addDownwardAPI(content, pod, volume.DownwardAPI.Items, ptr.Deref(volume.DownwardAPI.DefaultMode, defaultMode))
	return content, time.Time{}, err
}

func (m *Manager) addDownwardAPI(content payload, pod *corev1.Pod, items []corev1.DownwardAPIVolumeFile, mode int32) error {
	var errs []error
	for _, item := range items {
		var value string
		var err error
		switch {
		case item.FieldRef != nil:
			value, err = m.fields().Value(pod, item.FieldRef.FieldPath)
		case item.ResourceFieldRef != nil:
			value, err = m.fields().Resource(pod, item.ResourceFieldRef, item.ResourceFieldRef.ContainerName)
		default:
			err = errors.New("neither fieldRef nor resourceFieldRef")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("file %q: %w", item.Path, err))
			continue
		}
		content[item.Path] = file{data: []byte(value), mode: modeOr(item.Mode, mode)}
	}
	return errors.Join(errs...)
}
