// Package bootstrap makes the objects that a cluster cannot be without: the
// system namespaces, Service default/kubernetes with its endpoints, the system
// priority classes, and the ConfigMap that tells extension API servers whom to
// trust.
//
// # Model
//
// Each is an Ensure function that makes the stored object what it must be and
// writes nothing if it is so already. Hook turns one into a post-start hook: the
// server is not ready before it has succeeded once, and it is repeated now and
// then, for objects that somebody deletes.
package bootstrap
