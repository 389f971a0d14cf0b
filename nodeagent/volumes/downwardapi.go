package volumes

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func fillDownwardAPI(_ context.Context, m *Manager, pod *corev1.Pod, volume *corev1.Volume) (Payload, time.Time, error) {
	payload := Payload{}
	err := m.addDownwardAPI(payload, pod, volume.DownwardAPI.Items, modeOr(volume.DownwardAPI.DefaultMode))
	return payload, time.Time{}, err
}

func (m *Manager) addDownwardAPI(payload Payload, pod *corev1.Pod, items []corev1.DownwardAPIVolumeFile, mode int32) error {
	for _, item := range items {
		file := File{Mode: mode}
		if item.Mode != nil {
			file.Mode = *item.Mode
		}
		var value string
		var err error
		switch {
		case item.FieldRef != nil:
			value, err = m.config.Fields.Value(pod, item.FieldRef.FieldPath)
		case item.ResourceFieldRef != nil:
			value, err = m.config.Fields.Resource(pod, item.ResourceFieldRef, item.ResourceFieldRef.ContainerName)
		}
		if err != nil {
			return fmt.Errorf("file %q: %w", item.Path, err)
		}
		file.Data = []byte(value)
		payload[item.Path] = file
	}
	return nil
}
