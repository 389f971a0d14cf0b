package subresources

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/skiff-project/skiff/server/registry"
)

// TokenIssuer answers requests for service account tokens.
type TokenIssuer interface {
	// Issue returns request with a token in its status. validate is the admission
	// of the request and runs before anything is signed.
	Issue(ctx context.Context, namespace, name string, request *authenticationv1.TokenRequest, validate rest.ValidateObjectFunc) (*authenticationv1.TokenRequest, error)
}

// DisruptionBudget decides whether a pod may be evicted now. It returns a
// TooManyRequests error when it may not.
type DisruptionBudget interface {
	Allow(ctx context.Context, pod *corev1.Pod, dryRun bool) error
}

// Config names what subresources need beside the store they belong to.
type Config struct {
	// Stores has the stores of all rows.
	Stores registry.Stores
	// Nodes reaches node agents and proxied backends.
	Nodes *Nodes
	// Issuer serves serviceaccounts/token; nil: not served.
	Issuer TokenIssuer
	// Authorizer is asked again where a request does more than its verb says.
	Authorizer authorizer.Authorizer
	// Budget guards evictions; nil: every eviction is allowed.
	Budget DisruptionBudget
}

type builder func(cfg Config, store *registry.Store) rest.Storage

// builders has all subresources by the resource that they belong to.
var builders = map[schema.GroupResource]map[string]builder{
	{Resource: "pods"}: {
		"binding":             newBinding,
		"eviction":            newEviction,
		"ephemeralcontainers": newEphemeralContainers,
		"resize":              newResize,
		"log":                 newLog,
		"exec":                newExec,
		"attach":              newAttach,
		"portforward":         newPortForward,
		"proxy":               newPodProxy,
	},
	{Resource: "nodes"}:                       {"proxy": newNodeProxy},
	{Resource: "services"}:                    {"proxy": newServiceProxy},
	{Resource: "namespaces"}:                  {"finalize": newFinalize},
	{Resource: "serviceaccounts"}:             {"token": newToken},
	{Resource: "replicationcontrollers"}:      {"scale": newScale},
	{Group: "apps", Resource: "replicasets"}:  {"scale": newScale},
	{Group: "apps", Resource: "deployments"}:  {"scale": newScale},
	{Group: "apps", Resource: "statefulsets"}: {"scale": newScale},
}

// Build returns the subresources that the store's row names, by the path below
// the resource. A name that nothing serves is an error of the table.
func Build(cfg Config, store *registry.Store) (map[string]rest.Storage, error) {
	row := store.Row()
	out := map[string]rest.Storage{}
	for _, name := range row.Subresources {
		build, ok := builders[row.GroupResource()][name]
		if !ok {
			return nil, fmt.Errorf("nothing serves subresource %s of %s", name, row.GroupResource())
		}
		if storage := build(cfg, store); storage != nil {
			out[name] = storage
		}
	}
	return out, nil
}
