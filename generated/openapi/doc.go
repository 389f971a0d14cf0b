// Package openapi holds the generated OpenAPI models of the served API groups.
// Run hack/update-openapi.sh after adding a group or updating k8s.io/api.
package openapi
