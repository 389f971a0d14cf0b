//go:build tools

// Package tools pins the versions of the code generators.
package tools

import _ "k8s.io/kube-openapi/cmd/openapi-gen"
