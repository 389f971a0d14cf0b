package serviceaccount

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	jose "gopkg.in/go-jose/go-jose.v2"
	"gopkg.in/go-jose/go-jose.v2/jwt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	testingclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
)

const (
	issuerURL = "https://kubernetes.default.svc.cluster.local"
	oldIssuer = "https://old.example.com"
)

// world is a Getter on a few objects, with a clock to move.
type world struct {
	accounts map[string]*corev1.ServiceAccount
	pods     map[string]*corev1.Pod
	secrets  map[string]*corev1.Secret
	nodes    map[string]*corev1.Node
	clock    *testingclock.FakePassiveClock
}

func object(namespace, name, uid string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(uid)}
}

func newWorld() *world {
	return &world{
		accounts: map[string]*corev1.ServiceAccount{"ns/robot": {ObjectMeta: object("ns", "robot", "robot-uid")}},
		pods: map[string]*corev1.Pod{
			"ns/web":   {ObjectMeta: object("ns", "web", "web-uid"), Spec: corev1.PodSpec{ServiceAccountName: "robot", NodeName: "n1"}},
			"ns/other": {ObjectMeta: object("ns", "other", "other-uid"), Spec: corev1.PodSpec{ServiceAccountName: "someone"}},
			"ns/lost":  {ObjectMeta: object("ns", "lost", "lost-uid"), Spec: corev1.PodSpec{ServiceAccountName: "robot", NodeName: "unregistered"}},
		},
		secrets: map[string]*corev1.Secret{"ns/vault": {ObjectMeta: object("ns", "vault", "vault-uid")}},
		nodes:   map[string]*corev1.Node{"n1": {ObjectMeta: object("", "n1", "n1-uid")}},
		clock:   testingclock.NewFakePassiveClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
	}
}

func find[T any](m map[string]T, key, resource string) (T, error) {
	obj, ok := m[key]
	if !ok {
		return obj, apierrors.NewNotFound(corev1.Resource(resource), key)
	}
	return obj, nil
}

func (w *world) ServiceAccount(_ context.Context, namespace, name string) (*corev1.ServiceAccount, error) {
	return find(w.accounts, namespace+"/"+name, "serviceaccounts")
}

func (w *world) Pod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	return find(w.pods, namespace+"/"+name, "pods")
}

func (w *world) Secret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	return find(w.secrets, namespace+"/"+name, "secrets")
}

func (w *world) Node(_ context.Context, name string) (*corev1.Node, error) {
	return find(w.nodes, name, "nodes")
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func keySet(t testing.TB, private any, public ...any) *KeySet {
	t.Helper()
	keys, err := NewKeySet(private, public...)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func (w *world) issuer(keys *KeySet) *Issuer {
	return NewIssuer(IssuerConfig{URL: issuerURL, APIAudiences: authenticator.Audiences{issuerURL}, ExtendExpiration: true}, keys, w, w.clock)
}

func (w *world) authenticator(keys *KeySet) *Authenticator {
	return NewAuthenticator(AuthenticatorConfig{
		Issuers: []string{issuerURL, oldIssuer}, APIAudiences: authenticator.Audiences{issuerURL},
	}, keys, w, w.clock)
}

func tokenRequest(seconds int64, kind, name string, audiences ...string) *authenticationv1.TokenRequest {
	r := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds, Audiences: audiences}}
	if kind != "" {
		r.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: kind, Name: name}
	}
	return r
}

func issue(t testing.TB, i *Issuer, r *authenticationv1.TokenRequest) string {
	t.Helper()
	out, err := i.Issue(context.Background(), "ns", "robot", r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out.Status.Token
}

// Conformance: "ServiceAccounts should mount an API token into pods" asks, at
// bottom, for this round trip.
func TestRoundTrip(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{
		"RS256": rsaKey, "ES256": ecKey(t, elliptic.P256()), "ES384": ecKey(t, elliptic.P384()), "ES512": ecKey(t, elliptic.P521()),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			keys := keySet(t, key)
			token := issue(t, w.issuer(keys), tokenRequest(3600, "Pod", "web"))
			response, ok, err := w.authenticator(keys).AuthenticateToken(context.Background(), token)
			if err != nil || !ok {
				t.Fatalf("ok=%v err=%v", ok, err)
			}
			extra := response.User.GetExtra()
			if id := extra["authentication.kubernetes.io/credential-id"]; len(id) != 1 || !strings.HasPrefix(id[0], "JTI=") {
				t.Errorf("credential id = %q", id)
			}
			delete(extra, "authentication.kubernetes.io/credential-id")
			got := map[string]any{
				"name": response.User.GetName(), "uid": response.User.GetUID(), "groups": response.User.GetGroups(),
				"extra": extra, "audiences": response.Audiences,
			}
			want := map[string]any{
				"name": "system:serviceaccount:ns:robot", "uid": "robot-uid",
				"groups": []string{"system:serviceaccounts", "system:serviceaccounts:ns"},
				"extra": map[string][]string{
					"authentication.kubernetes.io/pod-name": {"web"}, "authentication.kubernetes.io/pod-uid": {"web-uid"},
					"authentication.kubernetes.io/node-name": {"n1"}, "authentication.kubernetes.io/node-uid": {"n1-uid"},
				},
				"audiences": authenticator.Audiences{issuerURL},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if alg := header(t, token)["alg"]; alg != name {
				t.Errorf("alg = %v, want %s", alg, name)
			}
		})
	}
}

func part(t testing.TB, token string, i int) map[string]any {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func header(t testing.TB, token string) map[string]any { return part(t, token, 0) }

func TestClaims(t *testing.T) {
	w := newWorld()
	token := issue(t, w.issuer(keySet(t, ecKey(t, elliptic.P256()))), tokenRequest(3600, "Pod", "web", "vault", "db"))
	got := part(t, token, 1)
	delete(got, "jti")
	now := float64(w.clock.Now().Unix())
	want := map[string]any{
		"iss": issuerURL, "sub": "system:serviceaccount:ns:robot", "aud": []any{"vault", "db"},
		"iat": now, "nbf": now, "exp": now + 3600,
		"kubernetes.io": map[string]any{
			"namespace":      "ns",
			"serviceaccount": map[string]any{"name": "robot", "uid": "robot-uid"},
			"pod":            map[string]any{"name": "web", "uid": "web-uid"},
			"node":           map[string]any{"name": "n1", "uid": "n1-uid"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAuthenticateRefuses(t *testing.T) {
	key := ecKey(t, elliptic.P256())
	keys := keySet(t, key)
	pod := tokenRequest(3600, "Pod", "web")
	for _, tc := range []struct {
		name    string
		request *authenticationv1.TokenRequest
		after   func(w *world)
		err     string // empty: accepted
	}{
		{"fresh", pod, func(*world) {}, ""},
		{"within the leeway", pod, func(w *world) { w.clock.SetTime(w.clock.Now().Add(time.Hour + 59*time.Second)) }, ""},
		{"expired", pod, func(w *world) { w.clock.SetTime(w.clock.Now().Add(time.Hour + 61*time.Second)) }, "service account token has expired"},
		{"from the future", pod, func(w *world) { w.clock.SetTime(w.clock.Now().Add(-2 * time.Minute)) }, "service account token is not valid yet"},
		{"other audience", tokenRequest(3600, "", "", "vault"), func(*world) {}, `token audiences ["vault"] is invalid for the target audiences ["` + issuerURL + `"]`},
		{"account gone", pod, func(w *world) { delete(w.accounts, "ns/robot") }, "could not retrieve service account ns/robot"},
		{"account replaced", pod, func(w *world) { w.accounts["ns/robot"].UID = "new" }, "service account UID (new) does not match claim (robot-uid)"},
		{"pod gone", pod, func(w *world) { delete(w.pods, "ns/web") }, "service account token has been invalidated"},
		{"pod replaced", pod, func(w *world) { w.pods["ns/web"].UID = "new" }, "pod UID (new) does not match claim (web-uid)"},
		{"pod shutting down", pod, func(w *world) { w.pods["ns/web"].DeletionTimestamp = ptr.To(metav1.NewTime(w.clock.Now())) }, ""},
		{"pod deleted for long", pod, func(w *world) {
			w.pods["ns/web"].DeletionTimestamp = ptr.To(metav1.NewTime(w.clock.Now().Add(-61 * time.Second)))
		}, "pod has been deleted"},
		{"secret gone", tokenRequest(3600, "Secret", "vault"), func(w *world) { delete(w.secrets, "ns/vault") }, "service account token has been invalidated"},
		{"node gone", tokenRequest(3600, "Node", "n1"), func(w *world) { delete(w.nodes, "n1") }, "service account token has been invalidated"},
		{"node of a pod gone", pod, func(w *world) { delete(w.nodes, "n1") }, ""},
		{"node not registered", tokenRequest(3600, "Pod", "lost"), func(*world) {}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			token := issue(t, w.issuer(keys), tc.request)
			tc.after(w)
			_, ok, err := w.authenticator(keys).AuthenticateToken(context.Background(), token)
			switch {
			case tc.err == "" && (err != nil || !ok):
				t.Errorf("ok=%v err=%v, want acceptance", ok, err)
			case tc.err != "" && (ok || err == nil || !strings.Contains(err.Error(), tc.err)):
				t.Errorf("ok=%v err=%v, want %q", ok, err, tc.err)
			}
		})
	}
}

func TestWantedAudience(t *testing.T) {
	w, keys := newWorld(), keySet(t, ecKey(t, elliptic.P256()))
	token := issue(t, w.issuer(keys), tokenRequest(3600, "", "", "vault", "db"))
	ctx := authenticator.WithAudiences(context.Background(), authenticator.Audiences{"db", "else"})
	response, ok, err := w.authenticator(keys).AuthenticateToken(ctx, token)
	if err != nil || !ok {
		t.Fatalf("ok=%v err=%v", ok, err)
	}
	if diff := cmp.Diff(authenticator.Audiences{"db"}, response.Audiences); diff != "" {
		t.Error(diff)
	}
}

func TestKeyRotation(t *testing.T) {
	w := newWorld()
	former, current := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P256())
	token := issue(t, w.issuer(keySet(t, former)), tokenRequest(3600, "", ""))

	both := w.authenticator(keySet(t, current, former.Public()))
	if _, ok, err := both.AuthenticateToken(context.Background(), token); err != nil || !ok {
		t.Errorf("a token of the former key, which still verifies: ok=%v err=%v", ok, err)
	}
	one := w.authenticator(keySet(t, current))
	if _, ok, err := one.AuthenticateToken(context.Background(), token); err == nil || ok {
		t.Errorf("a token of a key that was taken out is accepted")
	}
}

func TestForgery(t *testing.T) {
	w := newWorld()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := keySet(t, rsaKey)
	good := issue(t, w.issuer(keys), tokenRequest(3600, "Pod", "web"))
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString

	publicDER, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	hmacSigner, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: publicDER, KeyID: keys.verifying[0].KeyID}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	hmacToken, err := jwt.Signed(hmacSigner).Claims(part(t, good, 1)).CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	claims := part(t, good, 1)
	claims["sub"] = "system:serviceaccount:kube-system:admin"
	claims["kubernetes.io"].(map[string]any)["namespace"] = "kube-system"
	tampered, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"alg none":           encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".",
		"alg none, signed":   encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + "." + parts[2],
		"hmac of public key": hmacToken,
		"tampered claims":    parts[0] + "." + encode(tampered) + "." + parts[2],
		"truncated":          good[:len(good)-10],
		"no signature":       parts[0] + "." + parts[1] + ".",
		"other key":          issue(t, w.issuer(keySet(t, ecKey(t, elliptic.P256()))), tokenRequest(3600, "Pod", "web")),
		"stranger's issuer":  issue(t, NewIssuer(IssuerConfig{URL: "https://evil"}, keys, w, w.clock), tokenRequest(3600, "", "", issuerURL)),
		"empty":              "",
		"dots":               "..",
	} {
		if _, ok, _ := w.authenticator(keys).AuthenticateToken(context.Background(), token); ok {
			t.Errorf("%s: accepted", name)
		}
	}
	other := issue(t, NewIssuer(IssuerConfig{URL: oldIssuer}, keys, w, w.clock), tokenRequest(3600, "", "", issuerURL))
	if _, ok, err := w.authenticator(keys).AuthenticateToken(context.Background(), other); !ok || err != nil {
		t.Errorf("former issuer name: ok=%v err=%v", ok, err)
	}
}

func TestTokenOfNobodyWeKnowIsNoError(t *testing.T) {
	w, keys := newWorld(), keySet(t, ecKey(t, elliptic.P256()))
	for _, token := range []string{"opaque", "a.b.c", issue(t, NewIssuer(IssuerConfig{URL: "https://oidc.example.com"}, keys, w, w.clock), tokenRequest(3600, "", ""))} {
		if _, ok, err := w.authenticator(keys).AuthenticateToken(context.Background(), token); ok || err != nil {
			t.Errorf("%.20s: ok=%v err=%v, want the next authenticator to be asked", token, ok, err)
		}
	}
}

func TestLegacyToken(t *testing.T) {
	keys := keySet(t, ecKey(t, elliptic.P256()))
	claims := legacyClaims{Namespace: "ns", Name: "robot", UID: "robot-uid", SecretName: "robot-token"}
	token, err := keys.sign(jwt.Claims{Issuer: legacyIssuer, Subject: "system:serviceaccount:ns:robot"}, claims)
	if err != nil {
		t.Fatal(err)
	}
	secret := func() *corev1.Secret {
		return &corev1.Secret{ObjectMeta: object("ns", "robot-token", "s"), Data: map[string][]byte{"token": []byte(token)}}
	}
	for _, tc := range []struct {
		name  string
		after func(w *world)
		err   string
	}{
		{"in its secret", func(w *world) { w.secrets["ns/robot-token"] = secret() }, ""},
		{"secret gone", func(*world) {}, "token has been invalidated"},
		{"secret holds another", func(w *world) {
			w.secrets["ns/robot-token"] = secret()
			w.secrets["ns/robot-token"].Data["token"] = []byte("x")
		}, "token does not match server's copy"},
		{"account replaced", func(w *world) {
			w.secrets["ns/robot-token"] = secret()
			w.accounts["ns/robot"].UID = "new"
		}, "service account UID (new) does not match claim (robot-uid)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			tc.after(w)
			response, ok, err := w.authenticator(keys).AuthenticateToken(context.Background(), token)
			if tc.err == "" {
				if err != nil || !ok || response.User.GetName() != "system:serviceaccount:ns:robot" {
					t.Errorf("ok=%v err=%v", ok, err)
				}
				return
			}
			if ok || err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("ok=%v err=%v, want %q", ok, err, tc.err)
			}
		})
	}
}

func FuzzAuthenticateToken(f *testing.F) {
	w, keys := newWorld(), keySet(f, ecKey(f, elliptic.P256()))
	good := issue(f, w.issuer(keys), tokenRequest(3600, "Pod", "web"))
	f.Add(good)
	f.Add("..")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	a := w.authenticator(keys)
	f.Fuzz(func(t *testing.T, token string) {
		_, ok, _ := a.AuthenticateToken(context.Background(), token)
		if ok && !sameToken(token, good) {
			t.Errorf("accepted %q", token)
		}
	})
}

// sameToken allows for the unused bits at the end of base64 text.
func sameToken(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	if len(as) != 3 || as[0] != bs[0] || as[1] != bs[1] {
		return false
	}
	x, err1 := base64.RawURLEncoding.DecodeString(as[2])
	y, err2 := base64.RawURLEncoding.DecodeString(bs[2])
	return err1 == nil && err2 == nil && string(x) == string(y)
}
