package serviceaccount

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"time"

	"gopkg.in/go-jose/go-jose.v2/jwt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	tokenjwt "k8s.io/apiserver/pkg/authentication/token/jwt"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// deletionLeeway is how long a token outlives the deletionTimestamp of what it
// is bound to, so that a pod may use it while it shuts down.
const deletionLeeway = 60 * time.Second

// checker compares the claims of verified tokens with the living objects.
type checker struct {
	getter Getter
	clock  clock.PassiveClock
}

// alive returns an error if obj is gone, or is not the one the claim means.
func (c checker) alive(kind string, obj metav1.Object, claimed string) error {
	if deleted := obj.GetDeletionTimestamp(); deleted != nil && deleted.Time.Before(c.clock.Now().Add(-deletionLeeway)) {
		return fmt.Errorf("%s has been deleted", kind)
	}
	if string(obj.GetUID()) != claimed {
		return fmt.Errorf("%s UID (%s) does not match claim (%s)", kind, obj.GetUID(), claimed)
	}
	return nil
}

func (c checker) bound(ctx context.Context, public *jwt.Claims, private *privateClaims) (*serviceaccount.ServiceAccountInfo, error) {
	claims := private.Kubernetes
	account, err := c.getter.ServiceAccount(ctx, claims.Namespace, claims.ServiceAccount.Name)
	if err != nil {
		return nil, fmt.Errorf("could not retrieve service account %s/%s: %w", claims.Namespace, claims.ServiceAccount.Name, err)
	}
	if err := c.alive("service account", account, claims.ServiceAccount.UID); err != nil {
		return nil, err
	}
	info := &serviceaccount.ServiceAccountInfo{
		Namespace:    claims.Namespace,
		Name:         claims.ServiceAccount.Name,
		UID:          claims.ServiceAccount.UID,
		CredentialID: tokenjwt.CredentialIDForJTI(public.ID),
	}
	if ref := claims.Secret; ref != nil {
		secret, err := c.getter.Secret(ctx, claims.Namespace, ref.Name)
		if err != nil {
			return nil, fmt.Errorf("service account token has been invalidated: %w", err)
		}
		if err := c.alive("secret", secret, ref.UID); err != nil {
			return nil, err
		}
	}
	if ref := claims.Pod; ref != nil {
		pod, err := c.getter.Pod(ctx, claims.Namespace, ref.Name)
		if err != nil {
			return nil, fmt.Errorf("service account token has been invalidated: %w", err)
		}
		if err := c.alive("pod", pod, ref.UID); err != nil {
			return nil, err
		}
		info.PodName, info.PodUID = ref.Name, ref.UID
	}
	if err := c.node(ctx, claims, info); err != nil {
		return nil, err
	}
	c.noteStale(ctx, public, claims)
	return info, nil
}

// node checks a token's node unless the token has a pod: that pod's life already
// answers for the node.
func (c checker) node(ctx context.Context, claims kubernetesClaims, info *serviceaccount.ServiceAccountInfo) error {
	ref := claims.Node
	if ref == nil {
		return nil
	}
	if claims.Pod == nil {
		node, err := c.getter.Node(ctx, ref.Name)
		if err != nil {
			return fmt.Errorf("service account token has been invalidated: %w", err)
		}
		if err := c.alive("node", node, ref.UID); err != nil {
			return err
		}
	}
	info.NodeName, info.NodeUID = ref.Name, ref.UID
	return nil
}

// noteStale leaves a trace of clients that use a token longer than they asked
// for, because they would be locked out without the extension.
func (c checker) noteStale(ctx context.Context, public *jwt.Claims, claims kubernetesClaims) {
	if claims.WarnAfter == nil {
		return
	}
	late := c.clock.Since(claims.WarnAfter.Time())
	if late <= 0 {
		return
	}
	audit.AddAuditAnnotation(ctx, "authentication.k8s.io/stale-token",
		fmt.Sprintf("subject: %s, seconds after warning threshold: %.0f", public.Subject, late.Seconds()))
	klog.FromContext(ctx).V(4).Info("Stale service account token used", "subject", public.Subject, "late", late)
}

// legacy accepts a token without expiry only while its Secret holds it.
func (c checker) legacy(ctx context.Context, data string, public *jwt.Claims, claims *legacyClaims) (*serviceaccount.ServiceAccountInfo, error) {
	if claims.Namespace == "" || claims.SecretName == "" || claims.Name == "" || claims.UID == "" {
		return nil, errors.New("legacy service account token lacks claims")
	}
	if public.Subject != serviceaccount.MakeUsername(claims.Namespace, claims.Name) {
		return nil, errors.New("sub claim does not match the service account of the token")
	}
	secret, err := c.getter.Secret(ctx, claims.Namespace, claims.SecretName)
	if err != nil {
		return nil, fmt.Errorf("token has been invalidated: %w", err)
	}
	if secret.DeletionTimestamp != nil {
		return nil, errors.New("token has been invalidated")
	}
	if subtle.ConstantTimeCompare(secret.Data[corev1.ServiceAccountTokenKey], []byte(data)) != 1 {
		return nil, errors.New("token does not match server's copy")
	}
	account, err := c.getter.ServiceAccount(ctx, claims.Namespace, claims.Name)
	if err != nil {
		return nil, fmt.Errorf("could not retrieve service account %s/%s: %w", claims.Namespace, claims.Name, err)
	}
	if err := c.alive("service account", account, claims.UID); err != nil {
		return nil, err
	}
	return &serviceaccount.ServiceAccountInfo{Namespace: claims.Namespace, Name: claims.Name, UID: claims.UID}, nil
}
