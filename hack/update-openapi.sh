#!/usr/bin/env bash
# Generates generated/openapi/zz_generated.openapi.go: the OpenAPI models of the
# API groups that the server serves, and of what these refer to.
# Usage: hack/update-openapi.sh [OUTPUT_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-generated/openapi}
groups=(
	core/v1 apps/v1 batch/v1 autoscaling/v1 autoscaling/v2 coordination/v1
	discovery/v1 events/v1 rbac/v1 scheduling/v1 authentication/v1
	authorization/v1 policy/v1
	scheduling/v1alpha3 # not served: batch/v1 refers to it
)
packages=(
	k8s.io/apimachinery/pkg/apis/meta/v1 k8s.io/apimachinery/pkg/runtime
	k8s.io/apimachinery/pkg/version k8s.io/apimachinery/pkg/api/resource
	k8s.io/apimachinery/pkg/util/intstr
)
for group in "${groups[@]}"; do packages+=("k8s.io/api/$group"); done

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
: >"$tmp/header"
(cd hack/tools && go build -o "$tmp/openapi-gen" k8s.io/kube-openapi/cmd/openapi-gen)
# The output must lie inside the module for the generator to resolve imports;
# it writes into no package but the one that it is told.
mkdir -p "$out"
"$tmp/openapi-gen" --go-header-file "$tmp/header" --output-file zz_generated.openapi.go \
	--output-dir "$out" --output-pkg github.com/skiff-project/skiff/generated/openapi \
	--report-filename "$tmp/report" "${packages[@]}"
