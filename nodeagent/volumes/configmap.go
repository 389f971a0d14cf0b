package volumes

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
)

func fillConfigMap(ctx context.Context, m *Manager, pod *corev1.Pod, volume *corev1.Volume) (payload, time.Time, error) {
	source := volume.ConfigMap
	content := payload{}
	err := m.addConfigMap(ctx, content, pod, source.Name, source.Items, ptr.Deref(source.DefaultMode, defaultMode), ptr.Deref(source.Optional, false))
	return content, time.Time{}, err
}

func (m *Manager) addConfigMap(ctx context.Context, content payload, pod *corev1.Pod, name string, items []corev1.KeyToPath, mode int32, optional bool) error {
	object, err := m.config.Objects.ConfigMap(ctx, pod.Namespace, name)
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
	if missing := content.addKeys(data, items, mode, optional); missing != "" {
		return fmt.Errorf("configmap references non-existent config key: %s", missing)
	}
	return nil
}
