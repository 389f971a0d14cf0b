package serviceaccount

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/go-jose/go-jose.v2/jwt"

	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/utils/clock"
)

// AuthenticatorConfig configures an Authenticator.
type AuthenticatorConfig struct {
	// Issuers are the accepted "iss" claims; the first one issues, the others are
	// former names of it.
	Issuers []string
	// APIAudiences are accepted where a request names no audience, and are those
	// of legacy tokens, which have none.
	APIAudiences authenticator.Audiences
}

// Authenticator verifies service account tokens. It implements
// authenticator.Token.
type Authenticator struct {
	issuers   []string
	audiences authenticator.Audiences
	keys      *KeySet
	checker   checker
	clock     clock.PassiveClock
}

var _ authenticator.Token = &Authenticator{}

// NewAuthenticator returns an Authenticator.
func NewAuthenticator(config AuthenticatorConfig, keys *KeySet, getter Getter, clk clock.PassiveClock) *Authenticator {
	return &Authenticator{
		issuers:   config.Issuers,
		audiences: config.APIAudiences,
		keys:      keys,
		checker:   checker{getter: getter, clock: clk},
		clock:     clk,
	}
}

// AuthenticateToken returns the service account of the token and the pod, node
// and credential id that it is bound to as extra values. A token of another
// issuer is none of its business and gives no error.
func (a *Authenticator) AuthenticateToken(ctx context.Context, data string) (*authenticator.Response, bool, error) {
	issuer := unverifiedIssuer(data)
	legacy := issuer == legacyIssuer
	if !legacy && !slices.Contains(a.issuers, issuer) {
		return nil, false, nil
	}
	token, err := jwt.ParseSigned(data)
	if err != nil {
		return nil, false, nil
	}
	public := &jwt.Claims{}
	var info *serviceaccount.ServiceAccountInfo
	if legacy {
		info, err = a.legacy(ctx, data, token, public)
	} else {
		info, err = a.bound(ctx, token, public)
	}
	if err != nil {
		return nil, false, err
	}
	audiences, err := a.match(ctx, public)
	if err != nil {
		return nil, false, err
	}
	return &authenticator.Response{User: info.UserInfo(), Audiences: audiences}, true, nil
}

func (a *Authenticator) bound(ctx context.Context, token *jwt.JSONWebToken, public *jwt.Claims) (*serviceaccount.ServiceAccountInfo, error) {
	private := &privateClaims{}
	if err := a.keys.verify(token, public, private); err != nil {
		return nil, fmt.Errorf("invalid service account token: %w", err)
	}
	if len(public.Audience) == 0 {
		return nil, errors.New("service account token has no audience")
	}
	if err := a.checkTimes(public); err != nil {
		return nil, err
	}
	return a.checker.bound(ctx, public, private)
}

func (a *Authenticator) legacy(ctx context.Context, data string, token *jwt.JSONWebToken, public *jwt.Claims) (*serviceaccount.ServiceAccountInfo, error) {
	private := &legacyClaims{}
	if err := a.keys.verify(token, public, private); err != nil {
		return nil, fmt.Errorf("invalid service account token: %w", err)
	}
	return a.checker.legacy(ctx, data, public, private)
}

func (a *Authenticator) checkTimes(public *jwt.Claims) error {
	switch err := public.Validate(jwt.Expected{Time: a.clock.Now()}); {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrExpired):
		return errors.New("service account token has expired")
	case errors.Is(err, jwt.ErrNotValidYet):
		return errors.New("service account token is not valid yet")
	default:
		return fmt.Errorf("service account token claims could not be validated: %w", err)
	}
}

// match returns the audiences that are both the token's and wanted.
func (a *Authenticator) match(ctx context.Context, public *jwt.Claims) (authenticator.Audiences, error) {
	of := authenticator.Audiences(public.Audience)
	if len(of) == 0 {
		audit.AddAuditAnnotation(ctx, "authentication.k8s.io/legacy-token", public.Subject)
		of = a.audiences
	}
	wanted, ok := authenticator.AudiencesFrom(ctx)
	if !ok {
		wanted = a.audiences
	}
	matching := of.Intersect(wanted)
	if len(matching) == 0 && len(a.audiences) > 0 {
		return nil, fmt.Errorf("token audiences %q is invalid for the target audiences %q", of, wanted)
	}
	return matching, nil
}

// unverifiedIssuer returns the "iss" claim of what looks like a compact JWT and
// "" for anything else. It decides only who shall verify the token.
func unverifiedIssuer(data string) string {
	parts := strings.Split(data, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Issuer
}
