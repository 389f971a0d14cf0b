package httpapi

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
)

// How long the API server's answers are kept, as kubelets do.
const (
	tokenCacheTTL  = 2 * time.Minute
	allowCacheTTL  = 5 * time.Minute
	denyCacheTTL   = 30 * time.Second
	reviewDeadline = 10 * time.Second
)

// NewAuth returns an authenticator and an authorizer that ask the API server
// (TokenReview, SubjectAccessReview). Client certificates are verified here, by
// clientCA, which may be nil. Nobody is anonymous.
func NewAuth(client kubernetes.Interface, clientCA dynamiccertificates.CAContentProvider) (authenticator.Request, authorizer.Authorizer, error) {
	backoff := &wait.Backoff{Duration: 100 * time.Millisecond, Factor: 1.5, Jitter: 0.2, Steps: 5}
	authn, _, err := authenticatorfactory.DelegatingAuthenticatorConfig{
		Anonymous:                          &apiserver.AnonymousAuthConfig{Enabled: false},
		TokenAccessReviewClient:            client.AuthenticationV1(),
		TokenAccessReviewTimeout:           reviewDeadline,
		WebhookRetryBackoff:                backoff,
		CacheTTL:                           tokenCacheTTL,
		ClientCertificateCAContentProvider: clientCA,
	}.New()
	if err != nil {
		return nil, nil, fmt.Errorf("building the kubelet API's authentication: %w", err)
	}
	authz, err := authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: client.AuthorizationV1(),
		AllowCacheTTL:             allowCacheTTL,
		DenyCacheTTL:              denyCacheTTL,
		WebhookRetryBackoff:       backoff,
	}.New()
	if err != nil {
		return nil, nil, fmt.Errorf("building the kubelet API's authorization: %w", err)
	}
	return authn, authz, nil
}

// guard lets a request pass when its user may do it.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		logger := klog.FromContext(r.Context())
		response, ok, err := s.config.Authenticator.AuthenticateRequest(r)
		if err != nil {
			logger.Info("Cannot authenticate a request to the kubelet API", "path", r.URL.Path, "err", err)
		}
		if err != nil || !ok {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		var last authorizer.Attributes
		for _, attributes := range attributesOf(s.config.NodeName, response.User, r) {
			decision, _, err := s.config.Authorizer.Authorize(r.Context(), attributes)
			if err != nil {
				logger.Error(err, "Cannot authorize a request to the kubelet API", "user", response.User.GetName(), "path", r.URL.Path)
				http.Error(w, fmt.Sprintf("Authorization error (user=%s, verb=%s, resource=%s, subresource=%s)",
					response.User.GetName(), attributes.GetVerb(), attributes.GetResource(), attributes.GetSubresource()), http.StatusInternalServerError)
				return
			}
			if decision == authorizer.DecisionAllow {
				next.ServeHTTP(w, r.WithContext(request.WithUser(r.Context(), response.User)))
				return
			}
			last = attributes
		}
		http.Error(w, fmt.Sprintf("Forbidden (user=%s, verb=%s, resource=%s, subresource(s)=[%s])",
			response.User.GetName(), last.GetVerb(), last.GetResource(), strings.Join(subresources(r.URL.Path), " ")), http.StatusForbidden)
	})
}

// attributesOf returns what the user must be allowed, one of the list being enough.
func attributesOf(node string, who user.Info, r *http.Request) []authorizer.Attributes {
	verb := map[string]string{
		http.MethodGet: "get", http.MethodHead: "get", http.MethodPost: "create", http.MethodPut: "update",
		http.MethodPatch: "patch", http.MethodDelete: "delete",
	}[r.Method]
	var result []authorizer.Attributes
	for _, subresource := range subresources(r.URL.Path) {
		result = append(result, authorizer.AttributesRecord{
			User: who, Verb: verb, APIVersion: "v1", Resource: "nodes", Subresource: subresource, Name: node,
			ResourceRequest: true, Path: r.URL.Path,
		})
	}
	return result
}

// subresources returns the node's subresources that stand for a path; the
// finer one comes first, and whoever has all of the proxy has it as well.
func subresources(path string) []string {
	under := func(prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }
	switch {
	case under("/stats"):
		return []string{"stats"}
	case under("/metrics"):
		return []string{"metrics"}
	case under("/logs"):
		return []string{"log"}
	case under("/checkpoint"):
		return []string{"checkpoint"}
	case under("/statusz"):
		return []string{"statusz", "proxy"}
	case under("/configz"), under("/flagz"):
		return []string{"configz", "proxy"}
	case under("/pods"), under("/runningpods"):
		return []string{"pods", "proxy"}
	case under("/healthz"):
		return []string{"healthz", "proxy"}
	default:
		return []string{"proxy"}
	}
}
