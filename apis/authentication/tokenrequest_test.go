package authentication

import (
	"context"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
)

func TestTokenRequest(t *testing.T) {
	seconds := func(n int64) *int64 { return &n }
	for name, c := range map[string]struct {
		seconds *int64
		want    string
	}{
		"default":   {nil, ""},
		"shortest":  {seconds(600), ""},
		"too short": {seconds(599), `spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes`},
		"too long":  {seconds(1<<32 + 1), `spec.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2^32 seconds`},
	} {
		r := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: c.seconds}}
		SetDefaultsTokenRequest(r)
		got := ""
		if err := ValidateTokenRequest(context.Background(), r).ToAggregate(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		if c.seconds == nil && *r.Spec.ExpirationSeconds != 3600 {
			t.Errorf("%s: %d seconds", name, *r.Spec.ExpirationSeconds)
		}
	}
}
