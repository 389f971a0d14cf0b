#!/usr/bin/env bash
# Fails when generated/openapi is not what hack/update-openapi.sh makes.
set -euo pipefail
cd "$(dirname "$0")/.."

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
hack/update-openapi.sh "$tmp"
if ! diff -q "$tmp/zz_generated.openapi.go" generated/openapi/zz_generated.openapi.go >/dev/null; then
	echo "generated/openapi is out of date: run hack/update-openapi.sh" >&2
	exit 1
fi
