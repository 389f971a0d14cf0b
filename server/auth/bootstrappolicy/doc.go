// Package bootstrappolicy holds the roles and bindings that every cluster has,
// and brings the stored ones in line with them when the API server starts.
//
// # Model
//
// The policy is data: short rows in roles.go, controllers.go and bindings.go,
// made into API objects by Policy. Reconcile adds what the stored objects lack and
// takes nothing away, so that an administrator may widen them; an object with the
// annotation rbac.authorization.kubernetes.io/autoupdate=false is left alone.
//
// Rows name kinds that are not served yet where that costs nothing: a rule for a
// kind that does not exist allows nothing.
package bootstrappolicy
