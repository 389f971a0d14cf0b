package tokens

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

	"gopkg.in/go-jose/go-jose.v2"
	"gopkg.in/go-jose/go-jose.v2/jwt"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/client-go/util/keyutil"
)

// legacyIssuer is the issuer of tokens in Secrets, which do not expire.
const legacyIssuer = "kubernetes/serviceaccount"

// claims are the private claims of a legacy token.
type claims struct {
	Namespace  string `json:"kubernetes.io/serviceaccount/namespace"`
	SecretName string `json:"kubernetes.io/serviceaccount/secret.name"`
	Account    string `json:"kubernetes.io/serviceaccount/service-account.name"`
	AccountUID string `json:"kubernetes.io/serviceaccount/service-account.uid"`
}

// Signer signs tokens with one key.
type Signer struct{ signer jose.Signer }

// NewSigner returns a signer for a PEM private key, RSA or ECDSA.
func NewSigner(pem []byte) (*Signer, error) {
	key, err := keyutil.ParsePrivateKeyPEM(pem)
	if err != nil {
		return nil, fmt.Errorf("reading the service account signing key: %w", err)
	}
	private, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("service account signing key is a %T", key)
	}
	algorithm, err := algorithmOf(private.Public())
	if err != nil {
		return nil, err
	}
	id, err := keyID(private.Public())
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: private, KeyID: id}}, nil)
	if err != nil {
		return nil, fmt.Errorf("making a token signer: %w", err)
	}
	return &Signer{signer: signer}, nil
}

func algorithmOf(public crypto.PublicKey) (jose.SignatureAlgorithm, error) {
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
		return "", errors.New("service account signing key has an unknown curve; use P-256, P-384 or P-521")
	default:
		return "", fmt.Errorf("service account signing key is a %T; use RSA or ECDSA", public)
	}
}

// keyID names a public key, the way the API server's verifier does.
func keyID(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("encoding the public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// Sign returns the token that a Secret of a ServiceAccount carries.
func (s *Signer) Sign(account *corev1.ServiceAccount, secret *corev1.Secret) (string, error) {
	token, err := jwt.Signed(s.signer).
		Claims(jwt.Claims{Issuer: legacyIssuer, Subject: serviceaccount.MakeUsername(account.Namespace, account.Name)}).
		Claims(claims{
			Namespace: account.Namespace, SecretName: secret.Name,
			Account: account.Name, AccountUID: string(account.UID),
		}).CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return token, nil
}
