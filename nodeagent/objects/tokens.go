package objects

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/utils/clock"
)

// maxTokenAge renews long-lived tokens daily.
const maxTokenAge = 24 * time.Hour

// Token is a service account token.
type Token struct {
	Value string
	// RenewAt is when a newer one should be asked for: after 80 % of its life.
	RenewAt time.Time
	expires time.Time
}

// tokenKey names a token: those of different pods are different.
type tokenKey struct {
	pod      types.UID
	account  string
	audience string
	seconds  int64
}

// Tokens gets service account tokens that are bound to pods, and keeps them
// until they are to be renewed.
type Tokens struct {
	accounts corev1client.ServiceAccountsGetter
	clock    clock.PassiveClock

	mu     sync.Mutex // guards tokens
	tokens map[tokenKey]Token
}

// NewTokens returns Tokens that has none yet.
func NewTokens(accounts corev1client.ServiceAccountsGetter, clk clock.PassiveClock) (*Tokens, error) {
	if accounts == nil || clk == nil {
		return nil, errors.New("objects: the service accounts client or the clock is missing")
	}
	return &Tokens{accounts: accounts, clock: clk, tokens: map[tokenKey]Token{}}, nil
}

// Get returns a token of the pod's service account for an audience ("" is the API server's own).
// If a renewal fails, the old token is returned while it is valid.
func (t *Tokens) Get(ctx context.Context, pod *corev1.Pod, audience string, seconds int64) (Token, error) {
	key := tokenKey{pod: pod.UID, account: pod.Spec.ServiceAccountName, audience: audience, seconds: seconds}
	t.mu.Lock()
	have, ok := t.tokens[key]
	t.mu.Unlock()
	now := t.clock.Now()
	if ok && now.Before(have.RenewAt) {
		return have, nil
	}
	token, err := t.request(ctx, pod, audience, seconds)
	if err != nil {
		if ok && now.Before(have.expires) {
			have.RenewAt = now.Add(time.Minute)
			return have, nil
		}
		return Token{}, err
	}
	t.mu.Lock()
	t.tokens[key] = token
	t.mu.Unlock()
	return token, nil
}

func (t *Tokens) request(ctx context.Context, pod *corev1.Pod, audience string, seconds int64) (Token, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &seconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	if audience != "" {
		request.Spec.Audiences = []string{audience}
	}
	answer, err := t.accounts.ServiceAccounts(pod.Namespace).CreateToken(ctx, pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return Token{}, fmt.Errorf("failed to fetch token: %w", err)
	}
	now := t.clock.Now()
	life := answer.Status.ExpirationTimestamp.Sub(now)
	return Token{
		Value:   answer.Status.Token,
		RenewAt: now.Add(min(life*8/10, maxTokenAge)),
		expires: answer.Status.ExpirationTimestamp.Time,
	}, nil
}

// Forget drops the tokens of a pod that is gone.
func (t *Tokens) Forget(pod types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key := range t.tokens {
		if key.pod == pod {
			delete(t.tokens, key)
		}
	}
}
