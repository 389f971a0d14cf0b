package serviceaccount

import (
	"context"
	"crypto/elliptic"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	jose "gopkg.in/go-jose/go-jose.v2"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/client-go/util/keyutil"
)

func TestIssueRefuses(t *testing.T) {
	withUID := tokenRequest(3600, "Pod", "web")
	withUID.Spec.BoundObjectRef.UID = "stale"
	otherName := tokenRequest(3600, "", "")
	otherName.Name = "else"
	otherNamespace := tokenRequest(3600, "", "")
	otherNamespace.Namespace = "else"
	for _, tc := range []struct {
		name    string
		request *authenticationv1.TokenRequest
		is      func(error) bool
		text    string
	}{
		{"too short", tokenRequest(599, "", ""), apierrors.IsInvalid, "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes"},
		{"too long", tokenRequest(1<<32+1, "", ""), apierrors.IsInvalid, "may not specify a duration larger than 2^32 seconds"},
		{"pod of another account", tokenRequest(3600, "Pod", "other"), apierrors.IsBadRequest, `cannot bind token for serviceaccount "robot" to pod running with different serviceaccount name.`},
		{"missing pod", tokenRequest(3600, "Pod", "none"), apierrors.IsNotFound, "not found"},
		{"unknown kind", tokenRequest(3600, "ConfigMap", "x"), apierrors.IsBadRequest, "cannot bind token to object of type /v1, Kind=ConfigMap"},
		{"stale uid", withUID, apierrors.IsConflict, "the UID in the bound object reference (stale) does not match the UID in record. The object might have been deleted and then recreated"},
		{"name of another", otherName, apierrors.IsBadRequest, "the name of the object (else) does not match the name on the URL (robot)"},
		{"namespace of another", otherNamespace, apierrors.IsBadRequest, "namespace"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			_, err := w.issuer(keySet(t, ecKey(t, elliptic.P256()))).Issue(context.Background(), "ns", "robot", tc.request, nil)
			if err == nil || !tc.is(err) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %v, want %q", err, tc.text)
			}
		})
	}
}

func TestIssueDefaults(t *testing.T) {
	w := newWorld()
	out, err := w.issuer(keySet(t, ecKey(t, elliptic.P256()))).Issue(context.Background(), "ns", "robot", &authenticationv1.TokenRequest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if out.Name != "robot" || out.Namespace != "ns" || *out.Spec.ExpirationSeconds != 3600 {
		t.Errorf("got %s/%s for %d s", out.Namespace, out.Name, *out.Spec.ExpirationSeconds)
	}
	if diff := cmp.Diff([]string{issuerURL}, out.Spec.Audiences); diff != "" {
		t.Error(diff)
	}
	if want := w.clock.Now().Add(time.Hour); !out.Status.ExpirationTimestamp.Time.Equal(want) {
		t.Errorf("expires %v, want %v", out.Status.ExpirationTimestamp, want)
	}
}

func TestIssueAsksAdmissionFirst(t *testing.T) {
	w := newWorld()
	refuse := func(_ context.Context, obj runtime.Object) error {
		if got := obj.(*authenticationv1.TokenRequest).Spec.BoundObjectRef.Name; got != "none" {
			t.Errorf("admission saw %q", got)
		}
		return errors.New("no")
	}
	// The pod does not exist, and still it is admission that answers.
	_, err := w.issuer(keySet(t, ecKey(t, elliptic.P256()))).Issue(context.Background(), "ns", "robot", tokenRequest(3600, "Pod", "none"), refuse)
	if err == nil || err.Error() != "no" {
		t.Errorf("got %v", err)
	}
}

func TestExtendedExpiry(t *testing.T) {
	for _, tc := range []struct {
		name    string
		request *authenticationv1.TokenRequest
		lives   float64
		warns   bool
	}{
		{"injected volume", tokenRequest(3607, "Pod", "web"), 365 * 24 * 3600, true},
		{"other lifetime", tokenRequest(3600, "Pod", "web"), 3600, false},
		{"not a pod", tokenRequest(3607, "Secret", "vault"), 3607, false},
		{"other audience", tokenRequest(3607, "Pod", "web", "vault"), 3607, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			keys := keySet(t, ecKey(t, elliptic.P256()))
			out, err := w.issuer(keys).Issue(context.Background(), "ns", "robot", tc.request, nil)
			if err != nil {
				t.Fatal(err)
			}
			claims := part(t, out.Status.Token, 1)
			if lives := claims["exp"].(float64) - claims["iat"].(float64); lives != tc.lives {
				t.Errorf("lives %v s, want %v", lives, tc.lives)
			}
			if _, warns := claims["kubernetes.io"].(map[string]any)["warnafter"]; warns != tc.warns {
				t.Errorf("warnafter: %v, want %v", warns, tc.warns)
			}
			// Clients are told the short time, so that those who can do reload.
			if want := w.clock.Now().Add(time.Duration(*tc.request.Spec.ExpirationSeconds) * time.Second); !out.Status.ExpirationTimestamp.Time.Equal(want) {
				t.Errorf("status says %v, want %v", out.Status.ExpirationTimestamp, want)
			}
		})
	}
}

type warnings []string

func (w *warnings) AddWarning(_, text string) { *w = append(*w, text) }

func TestMaxExpiration(t *testing.T) {
	w := newWorld()
	issuer := NewIssuer(IssuerConfig{URL: issuerURL, APIAudiences: authenticator.Audiences{issuerURL}, MaxExpiration: time.Hour}, keySet(t, ecKey(t, elliptic.P256())), w, w.clock)
	var got warnings
	out, err := issuer.Issue(warning.WithWarningRecorder(context.Background(), &got), "ns", "robot", tokenRequest(7200, "", ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(warnings{"requested expiration of 7200 seconds shortened to 3600 seconds"}, got); diff != "" {
		t.Error(diff)
	}
	if want := metav1.NewTime(w.clock.Now().Add(time.Hour)); !out.Status.ExpirationTimestamp.Equal(&want) {
		t.Errorf("expires %v", out.Status.ExpirationTimestamp)
	}
}

// Conformance: "ServiceAccountIssuerDiscovery should support OIDC discovery of
// service account issuer".
func TestDiscovery(t *testing.T) {
	w := newWorld()
	keys := keySet(t, ecKey(t, elliptic.P256()))
	discovery, err := NewDiscovery(issuerURL, "", "10.0.0.1:6443", keys)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	discovery.Install(mux)
	get := func(path string, into any) http.Header {
		t.Helper()
		recorder := httptest.NewRecorder()
		mux.ServeHTTP(recorder, httptest.NewRequest("GET", path, nil))
		if err := json.Unmarshal(recorder.Body.Bytes(), into); err != nil || recorder.Code != 200 {
			t.Fatalf("%s: %d %v", path, recorder.Code, err)
		}
		return recorder.Header()
	}
	var config map[string]any
	get("/.well-known/openid-configuration", &config)
	want := map[string]any{
		"issuer": issuerURL, "jwks_uri": "https://10.0.0.1:6443/openid/v1/jwks",
		"response_types_supported": []any{"id_token"}, "subject_types_supported": []any{"public"},
		"id_token_signing_alg_values_supported": []any{"ES256"},
	}
	if diff := cmp.Diff(want, config); diff != "" {
		t.Error(diff)
	}
	var jwks jose.JSONWebKeySet
	if got := get("/openid/v1/jwks", &jwks).Get("Content-Type"); got != "application/jwk-set+json" {
		t.Errorf("content type %q", got)
	}
	// A stranger can verify a token with what was published.
	token, err := jose.ParseSigned(issue(t, w.issuer(keys), tokenRequest(3600, "", "")))
	if err != nil {
		t.Fatal(err)
	}
	found := jwks.Key(token.Signatures[0].Header.KeyID)
	if len(found) != 1 {
		t.Fatalf("the token's key is not published")
	}
	if !found[0].IsPublic() {
		t.Error("a private key is published")
	}
	if _, err := token.Verify(found[0]); err != nil {
		t.Error(err)
	}
	if _, err := NewDiscovery("kubernetes/serviceaccount", "", "x:1", keys); err == nil {
		t.Error("an issuer that is no https URL has no discovery")
	}
}

func TestLoadKeySet(t *testing.T) {
	dir := t.TempDir()
	key := ecKey(t, elliptic.P256())
	pem, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	file, broken := filepath.Join(dir, "sa.key"), filepath.Join(dir, "broken.key")
	for path, data := range map[string][]byte{file: pem, broken: []byte("nonsense")} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := LoadKeySet(file, []string{file})
	if err != nil || len(keys.JWKS().Keys) != 1 {
		t.Errorf("the same key twice: %v", err)
	}
	for name, load := range map[string]func() error{
		"broken signing key": func() error { _, err := LoadKeySet(broken, nil); return err },
		"broken verify key":  func() error { _, err := LoadKeySet(file, []string{broken}); return err },
	} {
		if err := load(); err == nil || !strings.Contains(err.Error(), broken) {
			t.Errorf("%s: %v, want the file's name", name, err)
		}
	}
	if _, err := LoadKeySet(filepath.Join(dir, "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := LoadKeySet("", nil); err == nil {
		t.Error("no key at all: want an error")
	}
}
