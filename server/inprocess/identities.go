package inprocess

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"sync"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

// Identities hands out random bearer tokens for users of this process and
// authenticates them. It implements authenticator.Token.
type Identities struct {
	mu     sync.RWMutex
	byHash map[[sha256.Size]byte]user.Info
	tokens []issued
}

type issued struct {
	name   string
	groups []string
	token  string
}

var _ authenticator.Token = &Identities{}

// NewIdentities returns an empty set of identities.
func NewIdentities() *Identities {
	return &Identities{byHash: map[[sha256.Size]byte]user.Info{}}
}

// Token returns the token that authenticates as the user with these groups (and
// system:authenticated). The same user and groups get the same token.
func (i *Identities) Token(name string, groups ...string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, have := range i.tokens {
		if have.name == name && slices.Equal(have.groups, groups) {
			return have.token
		}
	}
	var raw [32]byte
	// Read of crypto/rand never fails: it ends the process instead.
	_, _ = rand.Read(raw[:])
	token := base64.RawURLEncoding.EncodeToString(raw[:])
	all := slices.Clone(groups)
	if !slices.Contains(all, user.AllAuthenticated) {
		all = append(all, user.AllAuthenticated)
	}
	// Tokens are looked up by their hash, so that how long a lookup takes says
	// nothing about how much of a guess was right.
	i.byHash[sha256.Sum256([]byte(token))] = &user.DefaultInfo{Name: name, Groups: all}
	i.tokens = append(i.tokens, issued{name: name, groups: slices.Clone(groups), token: token})
	return token
}

// AuthenticateToken implements authenticator.Token.
func (i *Identities) AuthenticateToken(_ context.Context, token string) (*authenticator.Response, bool, error) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	info, ok := i.byHash[sha256.Sum256([]byte(token))]
	if !ok {
		return nil, false, nil
	}
	return &authenticator.Response{User: info}, true, nil
}
