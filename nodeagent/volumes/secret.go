package volumes

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func fillSecret(ctx context.Context, m *Manager, pod *corev1.Pod, volume *corev1.Volume) (Payload, time.Time, error) {
	source := volume.Secret
	payload := Payload{}
	err := m.addSecret(ctx, payload, pod, source.SecretName, source.Items, modeOr(source.DefaultMode), isTrue(source.Optional))
	return payload, time.Time{}, err
}

func (m *Manager) addSecret(ctx context.Context, payload Payload, pod *corev1.Pod, name string, items []corev1.KeyToPath, mode int32, optional bool) error {
	object, err := m.config.Sources.Secret(ctx, pod.Namespace, name)
	if err != nil {
		if optional && apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	if missing := payload.addKeys(object.Data, items, mode, optional); missing != "" {
		return fmt.Errorf("references non-existent secret key: %s", missing)
	}
	return nil
}
