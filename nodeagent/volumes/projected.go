package volumes

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/skiff-project/skiff/apis/helpers/pod"
)

const (
	defaultTokenSeconds = 60 * 60
	// ownedTokenMode keeps a token to its user, or with an fsGroup to its group.
	ownedTokenMode = 0o600
)

func fillProjected(ctx context.Context, m *Manager, p *corev1.Pod, volume *corev1.Volume) (Payload, time.Time, error) {
	mode := modeOr(volume.Projected.DefaultMode)
	payload := Payload{}
	var next time.Time
	var errs []error
	for i := range volume.Projected.Sources {
		source := &volume.Projected.Sources[i]
		var err error
		switch {
		case source.ConfigMap != nil:
			err = m.addConfigMap(ctx, payload, p, source.ConfigMap.Name, source.ConfigMap.Items, mode, isTrue(source.ConfigMap.Optional))
		case source.Secret != nil:
			err = m.addSecret(ctx, payload, p, source.Secret.Name, source.Secret.Items, mode, isTrue(source.Secret.Optional))
		case source.DownwardAPI != nil:
			err = m.addDownwardAPI(payload, p, source.DownwardAPI.Items, mode)
		case source.ServiceAccountToken != nil:
			var renewAt time.Time
			renewAt, err = m.addToken(ctx, payload, p, source.ServiceAccountToken, mode)
			if !renewAt.IsZero() && (next.IsZero() || renewAt.Before(next)) {
				next = renewAt
			}
		default:
			err = errors.New("this projected source is not supported by this node")
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return payload, next, errors.Join(errs...)
}

func (m *Manager) addToken(ctx context.Context, payload Payload, p *corev1.Pod, source *corev1.ServiceAccountTokenProjection, mode int32) (time.Time, error) {
	seconds := int64(defaultTokenSeconds)
	if source.ExpirationSeconds != nil {
		seconds = *source.ExpirationSeconds
	}
	token, renewAt, err := m.config.Sources.Token(ctx, p, source.Audience, seconds)
	if err != nil {
		return time.Time{}, fmt.Errorf("token of service account %q: %w", p.Spec.ServiceAccountName, err)
	}
	file := File{Data: []byte(token), Mode: mode}
	switch user := commonUser(p); {
	case fsGroup(p) != nil:
		file.Mode = ownedTokenMode
	case user != nil:
		file.Mode, file.Owner = ownedTokenMode, user
	}
	payload[source.Path] = file
	return renewAt, nil
}

// commonUser returns the user that all containers run as, nil if they differ or do not say.
func commonUser(p *corev1.Pod) *int64 {
	var user *int64
	for _, c := range pod.Containers(&p.Spec) {
		var own *int64
		if p.Spec.SecurityContext != nil {
			own = p.Spec.SecurityContext.RunAsUser
		}
		if c.SecurityContext != nil && c.SecurityContext.RunAsUser != nil {
			own = c.SecurityContext.RunAsUser
		}
		if own == nil || user != nil && *own != *user {
			return nil
		}
		user = own
	}
	return user
}
