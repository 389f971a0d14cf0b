package auth

import (
	"errors"
	"fmt"
	"slices"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/metrics"
	authorizerunion "k8s.io/apiserver/pkg/authorization/union"

	"github.com/skiff-project/skiff/server/auth/rbac"
)

// The values of --authorization-mode.
const (
	ModeAlwaysAllow = "AlwaysAllow"
	ModeAlwaysDeny  = "AlwaysDeny"
	ModeNode        = "Node"
	ModeRBAC        = "RBAC"
)

// Modes lists the values of --authorization-mode that are known.
var Modes = []string{ModeAlwaysAllow, ModeAlwaysDeny, ModeNode, ModeRBAC}

// ValidateModes returns what is wrong with a list of modes.
func ValidateModes(modes []string) []error {
	if len(modes) == 0 {
		return []error{errors.New("at least one authorization-mode must be passed")}
	}
	var errs []error
	for i, mode := range modes {
		if !slices.Contains(Modes, mode) {
			errs = append(errs, unknownMode(mode))
		}
		if slices.Contains(modes[:i], mode) {
			errs = append(errs, fmt.Errorf("authorization-mode %q has mode specified more than once", mode))
		}
	}
	return errs
}

// buildAuthorizer fills the authorization half of the result. Members of
// system:masters are always allowed, ahead of every mode.
func (c *Config) buildAuthorizer(result *Result) error {
	modes := c.authorizationModes()
	if errs := ValidateModes(modes); len(errs) > 0 {
		return errors.Join(errs...)
	}
	metrics.RegisterMetrics()
	chain := []authorizerunion.NamedAuthorizer{{
		AuthorizerName: "privileged-group",
		Authorizer:     authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup),
	}}
	var resolvers []authorizer.RuleResolver
	var byRoles *rbac.Authorizer
	add := func(mode, name string, a authorizer.Authorizer) {
		chain = append(chain, authorizerunion.NamedAuthorizer{
			AuthorizerName: name,
			Authorizer:     metrics.InstrumentedAuthorizer(mode, name, a),
		})
	}
	for _, mode := range modes {
		switch mode {
		case ModeAlwaysAllow:
			a := authorizerfactory.NewAlwaysAllowAuthorizer()
			add(mode, "alwaysallow", a)
			resolvers = append(resolvers, a)
		case ModeAlwaysDeny:
			a := authorizerfactory.NewAlwaysDenyAuthorizer()
			add(mode, "alwaysdeny", a)
			resolvers = append(resolvers, a)
		case ModeNode:
			// Nodes get their rights from the binding of system:node to the group
			// system:nodes (see bootstrappolicy); the mode adds nothing of its own.
		case ModeRBAC:
			store, err := rbac.NewStore(c.Informers.Rbac().V1())
			if err != nil {
				return err
			}
			byRoles = rbac.New(store)
			result.RBACSynced = store.HasSynced
			add(mode, "rbac", byRoles)
			resolvers = append(resolvers, byRoles)
		}
	}
	all, err := authorizerunion.New(chain...)
	if err != nil {
		return fmt.Errorf("chaining the authorizers: %w", err)
	}
	result.Authorizer = all
	result.RuleResolver = authorizerunion.NewRuleResolvers(resolvers...)
	if byRoles != nil {
		result.Escalation = rbac.NewEscalation(all, byRoles)
	}
	return nil
}
