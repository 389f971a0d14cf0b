package volumes

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/skiff-project/skiff/apis/helpers/pod"
)

const (
	defaultTokenSeconds = 60 * 60
	// ownedTokenMode keeps a token to its user and, with an fsGroup, to its group.
	ownedTokenMode = 0o600
)

func fillProjected(ctx context.Context, m *Manager, p *corev1.Pod, volume *corev1.Volume) (payload, time.Time, error) {
	mode := ptr.Deref(volume.Projected.DefaultMode, defaultMode)
	content := payload{}
	var renewAt time.Time
	var errs []error
	for i := range volume.Projected.Sources {
		source := &volume.Projected.Sources[i]
		var err error
		switch {
		case source.ConfigMap != nil:
			err = m.addConfigMap(ctx, content, p, source.ConfigMap.Name, source.ConfigMap.Items, mode, ptr.Deref(source.ConfigMap.Optional, false))
		case source.Secret != nil:
			err = m.addSecret(ctx, content, p, source.Secret.Name, source.Secret.Items, mode, ptr.Deref(source.Secret.Optional, false))
		case source.DownwardAPI != nil:
			err = m.addDownwardAPI(content, p, source.DownwardAPI.Items, mode)
		case source.ServiceAccountToken != nil:
			var at time.Time
			at, err = m.addToken(ctx, content, p, source.ServiceAccountToken, mode)
			renewAt = earlier(renewAt, at)
		case source.ClusterTrustBundle != nil:
			err = errors.New("projected source clusterTrustBundle is not supported by this node")
		default:
			err = errors.New("projected source is not supported by this node")
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return content, renewAt, errors.Join(errs...)
}

func (m *Manager) addToken(ctx context.Context, content payload, p *corev1.Pod, source *corev1.ServiceAccountTokenProjection, mode int32) (time.Time, error) {
	token, err := m.config.Tokens.Get(ctx, p, source.Audience, ptr.Deref(source.ExpirationSeconds, defaultTokenSeconds))
	if err != nil {
		return time.Time{}, err
	}
	user := commonUser(p)
	if user != nil || fsGroup(p) != nil {
		mode = ownedTokenMode
	}
	if source.Path == "" {
		return time.Time{}, fmt.Errorf("token for audience %q has no path", source.Audience)
	}
	content[source.Path] = file{data: []byte(token.Value), mode: modeOr(nil, mode), owner: user}
	return token.RenewAt, nil
}

// commonUser returns the user that all containers run as, nil if they differ or do not say.
func commonUser(p *corev1.Pod) *int64 {
	var user *int64
	for field, c := range pod.Containers(&p.Spec) {
		if field == "ephemeralContainers" {
			continue // run as whoever debugs
		}
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
