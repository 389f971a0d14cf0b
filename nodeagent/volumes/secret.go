package volumes

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
)

func fillSecret(ctx context.Context, m *Manager, pod *corev1.Pod, volume *corev1.Volume) (payload, time.Time, error) {
	source := volume.Secret
	content := payload{}
	err := m.addSecret(ctx, content, pod, source.SecretName, source.Items, ptr.Deref(source.DefaultMode, defaultMode), ptr.Deref(source.Optional, false))
	return content, time.Time{}, err
}

func (m *Manager) addSecret(ctx context.Context, content payload, pod *corev1.Pod, name string, items []corev1.KeyToPath, mode int32, optional bool) error {
	object, err := m.config.Objects.Secret(ctx, pod.Namespace, name)
	if err != nil {
		if optional && apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	if missing := content.addKeys(object.Data, items, mode, optional); missing != "" {
		return fmt.Errorf("references non-existent secret key: %s", missing)
	}
	return nil
}
