// Package health answers the questions that load balancers and operators ask the
// proxy over HTTP: whether this node's rules are up to date (port 10256), and,
// for Services with externalTrafficPolicy Local, whether this node has endpoints
// (a health check node port per Service).
package health
