//go:build tools

// Package tools pins the versions of the code generators and linters.
package tools

import (
	_ "honnef.co/go/tools/cmd/staticcheck"
	_ "k8s.io/kube-openapi/cmd/openapi-gen"
)
