package tokens

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"gopkg.in/go-jose/go-jose.v2/jwt"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func encode(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestSign(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for algorithm, key := range map[string]crypto.Signer{"RS256": rsaKey, "ES256": ecKey} {
		signer, err := NewSigner(encode(t, key))
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		text, err := signer.Sign(
			&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "bot", UID: "u-1"}},
			&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "bot-token"}})
		if err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		token, err := jwt.ParseSigned(text)
		if err != nil || token.Headers[0].Algorithm != algorithm || token.Headers[0].KeyID == "" {
			t.Fatalf("%s: %+v, %v", algorithm, token, err)
		}
		var public jwt.Claims
		var private claims
		if err := token.Claims(key.Public(), &public, &private); err != nil {
			t.Fatalf("%s: %v", algorithm, err)
		}
		want := claims{Namespace: "ns", SecretName: "bot-token", Account: "bot", AccountUID: "u-1"}
		if public.Issuer != "kubernetes/serviceaccount" || public.Subject != "system:serviceaccount:ns:bot" || public.Expiry != nil || private != want {
			t.Errorf("%s: %+v %+v", algorithm, public, private)
		}
	}
}

func TestNewSignerRefuses(t *testing.T) {
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, pem := range map[string][]byte{"nothing": nil, "rubbish": []byte("no key"), "ed25519": encode(t, edKey)} {
		if _, err := NewSigner(pem); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
