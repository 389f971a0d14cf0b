package serviceaccount

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

const (
	// OpenIDConfigPath is where issuers publish their metadata (OpenID Connect
	// Discovery 1.0).
	OpenIDConfigPath = "/.well-known/openid-configuration"
	// JWKSPath is where this server publishes its keys.
	JWKSPath = "/openid/v1/jwks"
)

// Discovery serves the two documents by which others can verify service account
// tokens (KEP-1393). They never change while the process runs.
type Discovery struct {
	config, jwks []byte
}

type openIDMetadata struct {
	Issuer        string   `json:"issuer"`
	JWKSURI       string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	SigningAlgs   []string `json:"id_token_signing_alg_values_supported"`
}

// NewDiscovery returns the documents for issuer. jwksURI is the address of the
// keys; if it is empty it is made from externalAddress, the host:port under which
// clients reach this server. An issuer that is no https URL cannot be discovered;
// then an error says so and the server should go on without the documents.
func NewDiscovery(issuer, jwksURI, externalAddress string, keys *KeySet) (*Discovery, error) {
	parsed, err := url.Parse(issuer)
	if err != nil || parsed.Scheme != "https" || parsed.RawQuery != "" || parsed.Fragment != "" {
		return nil, fmt.Errorf("issuer URL %q must be an https URL without query and fragment to be discoverable", issuer)
	}
	if jwksURI == "" {
		jwksURI = (&url.URL{Scheme: "https", Host: externalAddress, Path: JWKSPath}).String()
	}
	if parsed, err := url.Parse(jwksURI); err != nil || parsed.Scheme != "https" || parsed.Host == "" {
		return nil, fmt.Errorf("JWKS URL %q must be an https URL", jwksURI)
	}
	config, err := json.Marshal(openIDMetadata{
		Issuer:        issuer,
		JWKSURI:       jwksURI,
		ResponseTypes: []string{"id_token"},
		SubjectTypes:  []string{"public"},
		SigningAlgs:   keys.Algorithms(),
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the OpenID metadata: %w", err)
	}
	jwks, err := json.Marshal(keys.JWKS())
	if err != nil {
		return nil, fmt.Errorf("encoding the public keys: %w", err)
	}
	return &Discovery{config: config, jwks: jwks}, nil
}

// Mux is where handlers are registered; the API server's non-API mux is one.
type Mux interface {
	Handle(path string, handler http.Handler)
}

// Install registers the documents.
func (d *Discovery) Install(mux Mux) {
	mux.Handle(OpenIDConfigPath, document("application/json", d.config))
	mux.Handle(JWKSPath, document("application/jwk-set+json", d.jwks))
}

func document(contentType string, body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "public, max-age=3600")
		// An error here means that the client is gone.
		_, _ = w.Write(body)
	})
}
