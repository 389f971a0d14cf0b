package volumes

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func fillConfigMap(ctx context.Context, m *Manager, pod *corev1.Pod, volume *corev1.Volume) (Payload, time.Time, error) {
	source := volume.ConfigMap
	payload := Payload{}
	err := m.addConfigMap(ctx, payload, pod, source.Name, source.Items, modeOr(source.DefaultMode), isTrue(source.Optional))
	return payload, time.Time{}, err
}

func (m *Manager) addConfigMap(ctx context.Context, payload Payload, pod *corev1.Pod, name string, items []corev1.KeyToPath, mode int32, optional bool) error {
	object, err := m.config.Sources.ConfigMap(ctx, pod.Namespace, name)
	if err != nil {
		if optional && apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	data := make(map[string][]byte, len(object.Data)+len(object.BinaryData))
	for key, value := range object.Data {
		data[key] = []byte(value)
	}
	for key, value := range object.BinaryData {
		data[key] = value
	}
	if missing := payload.addKeys(data, items, mode, optional); missing != "" {
		return fmt.Errorf("configmap references non-existent config key: %s", missing)
	}
	return nil
}

// addKeys adds all of data, or only items under their paths. It returns a key
// that is missing and not optional.
func (p Payload) addKeys(data map[string][]byte, items []corev1.KeyToPath, mode int32, optional bool) (missing string) {
	if len(items) == 0 {
		for key, value := range data {
			p[key] = File{Data: value, Mode: mode}
		}
		return ""
	}
	for _, item := range items {
		value, ok := data[item.Key]
		if !ok {
			if optional {
				continue
			}
			return item.Key
		}
		file := File{Data: value, Mode: mode}
		if item.Mode != nil {
			file.Mode = *item.Mode
		}
		p[item.Path] = file
	}
	return ""
}

// defaultMode is that of files whose volume names none; the API's defaulting gives the same.
const defaultMode = 0o644

func modeOr(mode *int32) int32 {
	if mode == nil {
		return defaultMode
	}
	return *mode
}

func isTrue(value *bool) bool { return value != nil && *value }
