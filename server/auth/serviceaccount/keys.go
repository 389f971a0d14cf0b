package serviceaccount

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"

	jose "gopkg.in/go-jose/go-jose.v2"
	"gopkg.in/go-jose/go-jose.v2/jwt"

	"k8s.io/client-go/util/keyutil"
)

// KeySet holds the key that signs new tokens and all keys whose tokens are
// accepted. It does not change once built.
type KeySet struct {
	signer    jose.Signer
	verifying []jose.JSONWebKey // public keys, the signing key's first
}

// LoadKeySet reads PEM files: the private key in signingFile (empty: this server
// only verifies) and any number of public or private keys in verifyFiles. The
// signing key always verifies, too.
func LoadKeySet(signingFile string, verifyFiles []string) (*KeySet, error) {
	var private any
	if signingFile != "" {
		var err error
		if private, err = keyutil.PrivateKeyFromFile(signingFile); err != nil {
			return nil, fmt.Errorf("reading the service account signing key %s: %w", signingFile, err)
		}
	}
	var public []any
	for _, file := range verifyFiles {
		keys, err := keyutil.PublicKeysFromFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading the service account keys %s: %w", file, err)
		}
		public = append(public, keys...)
	}
	return NewKeySet(private, public...)
}

// NewKeySet builds a KeySet from RSA or ECDSA keys; private may be nil.
func NewKeySet(private any, public ...any) (*KeySet, error) {
	set := &KeySet{}
	if private != nil {
		key, ok := private.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("unsupported private key type %T, want an RSA or ECDSA key", private)
		}
		jwk, err := publicJWK(key.Public())
		if err != nil {
			return nil, err
		}
		set.signer, err = jose.NewSigner(jose.SigningKey{
			Algorithm: jose.SignatureAlgorithm(jwk.Algorithm),
			Key:       jose.JSONWebKey{Key: private, KeyID: jwk.KeyID, Algorithm: jwk.Algorithm, Use: "sig"},
		}, nil)
		if err != nil {
			return nil, fmt.Errorf("preparing the signing key: %w", err)
		}
		set.verifying = append(set.verifying, jwk)
	}
	for _, key := range public {
		jwk, err := publicJWK(key)
		if err != nil {
			return nil, err
		}
		if !set.has(jwk.KeyID) {
			set.verifying = append(set.verifying, jwk)
		}
	}
	if len(set.verifying) == 0 {
		return nil, errors.New("no service account key given")
	}
	return set, nil
}

func (s *KeySet) has(keyID string) bool {
	for _, key := range s.verifying {
		if key.KeyID == keyID {
			return true
		}
	}
	return false
}

// JWKS returns the public keys as they are published to verifiers.
func (s *KeySet) JWKS() jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey(nil), s.verifying...)}
}

// Algorithms returns the signature algorithms of the keys, each once.
func (s *KeySet) Algorithms() []string {
	var out []string
	seen := map[string]bool{}
	for _, key := range s.verifying {
		if !seen[key.Algorithm] {
			seen[key.Algorithm] = true
			out = append(out, key.Algorithm)
		}
	}
	return out
}

// sign returns the compact form of a token with the union of the given claims.
func (s *KeySet) sign(claims ...any) (string, error) {
	if s.signer == nil {
		return "", errors.New("this server has no service account signing key")
	}
	builder := jwt.Signed(s.signer)
	for _, c := range claims {
		builder = builder.Claims(c)
	}
	return builder.CompactSerialize()
}

// verify checks the signature of token and decodes its claims into out. The key
// named by the token is tried first; a token that names an unknown key, or none,
// is tried with every key, because other issuers may name keys otherwise.
func (s *KeySet) verify(token *jwt.JSONWebToken, out ...any) error {
	if len(token.Headers) != 1 {
		return errors.New("want exactly one signature")
	}
	header := token.Headers[0]
	candidates := s.verifying
	for i, key := range s.verifying {
		if key.KeyID == header.KeyID {
			candidates = s.verifying[i : i+1]
			break
		}
	}
	err := errors.New("no key matches the signature")
	for _, key := range candidates {
		// Each key has one algorithm; a token must not choose another one.
		if key.Algorithm != header.Algorithm {
			continue
		}
		if err = token.Claims(key.Key, out...); err == nil {
			return nil
		}
	}
	return err
}

func publicJWK(public any) (jose.JSONWebKey, error) {
	algorithm, err := algorithmOf(public)
	if err != nil {
		return jose.JSONWebKey{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return jose.JSONWebKey{}, fmt.Errorf("encoding a public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return jose.JSONWebKey{
		Key:       public,
		KeyID:     base64.RawURLEncoding.EncodeToString(sum[:]),
		Algorithm: string(algorithm),
		Use:       "sig",
	}, nil
}

func algorithmOf(public any) (jose.SignatureAlgorithm, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return jose.RS256, nil
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return jose.ES256, nil
		case elliptic.P384():
			return jose.ES384, nil
		case elliptic.P521():
			return jose.ES512, nil
		}
		return "", fmt.Errorf("unsupported elliptic curve %s, want P-256, P-384 or P-521", key.Curve.Params().Name)
	}
	return "", fmt.Errorf("unsupported key type %T, want an RSA or ECDSA key", public)
}
