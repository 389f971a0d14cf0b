package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// ruleAllows reports whether rule allows the request.
func ruleAllows(a authorizer.Attributes, rule *rbacv1.PolicyRule) bool {
	if !has(rule.Verbs, a.GetVerb(), rbacv1.VerbAll) {
		return false
	}
	if !a.IsResourceRequest() {
		return pathMatches(rule.NonResourceURLs, a.GetPath())
	}
	return has(rule.APIGroups, a.GetAPIGroup(), rbacv1.APIGroupAll) &&
		resourceMatches(rule.Resources, a.GetResource(), a.GetSubresource()) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, a.GetName()))
}

func has(list []string, want, all string) bool {
	for _, v := range list {
		if v == want || v == all {
			return true
		}
	}
	return false
}

// resourceMatches understands "pods", "pods/log", "*" for all and "*/scale" for
// the scale of everything.
func resourceMatches(list []string, resource, subresource string) bool {
	for _, v := range list {
		if v == rbacv1.ResourceAll {
			return true
		}
		name, sub, _ := strings.Cut(v, "/")
		if sub == subresource && (name == resource || name == "*" && sub != "") {
			return true
		}
	}
	return false
}

func pathMatches(list []string, path string) bool {
	for _, v := range list {
		if v == rbacv1.NonResourceAll || v == path {
			return true
		}
		if prefix, ok := strings.CutSuffix(v, "*"); ok && strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}
