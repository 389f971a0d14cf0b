// Package rbac authorizes requests by Roles, ClusterRoles and their bindings,
// answers which rules a user has, and keeps users from granting more than they
// have.
//
// # Model
//
// Bindings are found by subject through indexes on the informers, so the cost of
// a decision depends on how many bindings name the user and his groups, not on
// how many there are. Rules are visited one by one until one matches.
//
// Nothing is ever denied here: without a matching rule the answer is "no
// opinion", and the errors met on the way (a binding to a missing role) become
// the reason.
package rbac
