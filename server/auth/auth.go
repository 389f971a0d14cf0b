// Package auth puts together who a request comes from and what it may do: the
// chain of authenticators, the chain of authorizers, and the issuer of service
// account tokens that belongs to them.
//
// The order of authentication is the front proxy's headers, client certificates,
// bearer tokens (those of in-process components, then service accounts), and
// last the anonymous user, who reaches only the health endpoints.
package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	requestunion "k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/websocket"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	tokencache "k8s.io/apiserver/pkg/authentication/token/cache"
	tokenunion "k8s.io/apiserver/pkg/authentication/token/union"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/utils/clock"

	"github.com/skiff-project/skiff/server/auth/rbac"
	"github.com/skiff-project/skiff/server/auth/serviceaccount"
)

// tokenCacheTTL is how long a verified token is believed without a new look at
// the objects that it is bound to.
const tokenCacheTTL = 10 * time.Second

// Config says how to authenticate and authorize.
type Config struct {
	// ClientCA verifies client certificates; nil: none are accepted.
	ClientCA dynamiccertificates.CAContentProvider
	// RequestHeader describes the authenticating front proxy; nil: there is none.
	RequestHeader *authenticatorfactory.RequestHeaderConfig
	// ServiceAccount configures service account tokens.
	ServiceAccount ServiceAccountConfig
	// Tokens are further token authenticators, asked before service accounts and
	// not cached: those of components in this process.
	Tokens []authenticator.Token
	// APIAudiences are the audiences of this API server; empty: the issuers.
	APIAudiences []string
	// AnonymousPaths are the exact paths open to callers without credentials;
	// nil: /healthz, /livez and /readyz; empty: none.
	AnonymousPaths []string
	// AuthorizationModes are asked in this order; nil: Node, RBAC.
	AuthorizationModes []string
	// Client reads the objects that tokens are bound to. It is not used before the
	// first token is verified, so it may need the server that is being built.
	Client kubernetes.Interface
	// Informers serve RBAC and service accounts; Build adds indexes to some, so
	// they must not have been started.
	Informers informers.SharedInformerFactory
	// Clock is nil in production.
	Clock clock.PassiveClock
}

// ServiceAccountConfig configures service account tokens. Its fields are the
// flags of the same names.
type ServiceAccountConfig struct {
	// Issuers are the accepted issuers; the first one is used for new tokens.
	Issuers []string
	// KeyFiles hold keys whose tokens are accepted, beside the signing key.
	KeyFiles       []string
	SigningKeyFile string
	MaxExpiration  time.Duration
	// NoExtendExpiration turns off the year that injected pod tokens get.
	NoExtendExpiration bool
	// JWKSURI is published to verifiers; empty: ExternalAddress with the standard
	// path.
	JWKSURI string
	// ExternalAddress is the host:port under which clients reach this server.
	ExternalAddress string
}

// Result is what the server is wired with.
type Result struct {
	Authenticator       authenticator.Request
	SecurityDefinitions *spec.SecurityDefinitions
	APIAudiences        authenticator.Audiences

	Authorizer   authorizer.Authorizer
	RuleResolver authorizer.RuleResolver
	// Escalation must be the last validating admission of the server:
	// admission.NewChainHandler(rest, Escalation).
	Escalation *rbac.Escalation
	// RBACSynced reports whether RBAC knows all roles; nil without mode RBAC.
	RBACSynced func() bool

	// TokenIssuer serves serviceaccounts/token; nil without a signing key.
	TokenIssuer *serviceaccount.Issuer
	// Discovery serves the OpenID documents; nil when the issuer is no https URL.
	Discovery *serviceaccount.Discovery
	// DiscoveryError says why Discovery is nil.
	DiscoveryError error
}

// Build reads the key files and returns everything put together. It does not
// talk to the API server.
func Build(ctx context.Context, cfg Config) (Result, error) {
	if err := cfg.validate(); err != nil {
		return Result{}, err
	}
	if cfg.Clock == nil {
		cfg.Clock = clock.RealClock{}
	}
	result := Result{APIAudiences: cfg.APIAudiences}
	if len(result.APIAudiences) == 0 {
		result.APIAudiences = cfg.ServiceAccount.Issuers
	}
	accounts, err := cfg.buildServiceAccounts(&result)
	if err != nil {
		return Result{}, err
	}
	cfg.buildAuthenticator(&result, accounts)
	if err := cfg.buildAuthorizer(&result); err != nil {
		return Result{}, err
	}
	return result, nil
}

func (c *Config) validate() error {
	var errs []error
	if c.Client == nil {
		errs = append(errs, errors.New("auth.Config.Client is required"))
	}
	if c.Informers == nil {
		errs = append(errs, errors.New("auth.Config.Informers is required"))
	}
	if len(c.ServiceAccount.Issuers) == 0 || c.ServiceAccount.Issuers[0] == "" {
		errs = append(errs, errors.New("service-account-issuer is a required flag"))
	}
	if c.ServiceAccount.SigningKeyFile == "" && len(c.ServiceAccount.KeyFiles) == 0 {
		errs = append(errs, errors.New("service-account-signing-key-file is a required flag"))
	}
	return errors.Join(errs...)
}

// buildServiceAccounts fills the token issuer and discovery and returns the
// authenticator of service account tokens.
func (c *Config) buildServiceAccounts(result *Result) (authenticator.Token, error) {
	sa := c.ServiceAccount
	keys, err := serviceaccount.LoadKeySet(sa.SigningKeyFile, sa.KeyFiles)
	if err != nil {
		return nil, err
	}
	getter := serviceaccount.NewGetter(c.Client, c.Informers.Core().V1().ServiceAccounts().Lister())
	if sa.SigningKeyFile != "" {
		result.TokenIssuer = serviceaccount.NewIssuer(serviceaccount.IssuerConfig{
			URL:              sa.Issuers[0],
			APIAudiences:     result.APIAudiences,
			MaxExpiration:    sa.MaxExpiration,
			ExtendExpiration: !sa.NoExtendExpiration,
		}, keys, getter, c.Clock)
	}
	result.Discovery, result.DiscoveryError = serviceaccount.NewDiscovery(sa.Issuers[0], sa.JWKSURI, sa.ExternalAddress, keys)
	return serviceaccount.NewAuthenticator(serviceaccount.AuthenticatorConfig{
		Issuers:      sa.Issuers,
		APIAudiences: result.APIAudiences,
	}, keys, getter, c.Clock), nil
}

func (c *Config) buildAuthenticator(result *Result, accounts authenticator.Token) {
	audiences := result.APIAudiences
	var requests []authenticator.Request
	if h := c.RequestHeader; h != nil {
		requests = append(requests, authenticator.WrapAudienceAgnosticRequest(audiences, headerrequest.NewDynamicVerifyOptionsSecure(
			h.CAContentProvider.VerifyOptions, h.AllowedClientNames,
			h.UsernameHeaders, h.UIDHeaders, h.GroupHeaders, h.ExtraHeaderPrefixes)))
	}
	if c.ClientCA != nil {
		requests = append(requests, authenticator.WrapAudienceAgnosticRequest(audiences,
			x509.NewDynamic(c.ClientCA.VerifyOptions, x509.CommonNameUserConversion)))
	}
	var tokens []authenticator.Token
	for _, token := range c.Tokens {
		tokens = append(tokens, authenticator.WrapAudienceAgnosticToken(audiences, token))
	}
	tokens = append(tokens, tokencache.New(accounts, true, tokenCacheTTL, 0))
	token := tokenunion.New(tokens...)
	requests = append(requests, bearertoken.New(token), websocket.NewProtocolAuthenticator(token))

	result.Authenticator = group.NewAuthenticatedGroupAdder(requestunion.New(requests...))
	if paths := c.anonymousPaths(); len(paths) > 0 {
		var conditions []apiserver.AnonymousAuthCondition
		for _, path := range paths {
			conditions = append(conditions, apiserver.AnonymousAuthCondition{Path: path})
		}
		// A request with bad credentials is refused and never falls back to anonymous.
		result.Authenticator = requestunion.NewFailOnError(result.Authenticator, anonymous.NewAuthenticator(conditions))
	}
	result.SecurityDefinitions = &spec.SecurityDefinitions{
		"BearerToken": &spec.SecurityScheme{SecuritySchemeProps: spec.SecuritySchemeProps{
			Type: "apiKey", Name: "authorization", In: "header", Description: "Bearer Token authentication",
		}},
	}
}

func (c *Config) anonymousPaths() []string {
	if c.AnonymousPaths == nil {
		return []string{"/healthz", "/livez", "/readyz"}
	}
	return c.AnonymousPaths
}

func (c *Config) authorizationModes() []string {
	if c.AuthorizationModes == nil {
		return []string{ModeNode, ModeRBAC}
	}
	return c.AuthorizationModes
}

func unknownMode(mode string) error {
	return fmt.Errorf("unknown authorization mode %q, want one of %v", mode, Modes)
}
