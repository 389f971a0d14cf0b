#!/usr/bin/env bash
# Writes PROJECT anew from the resource table and the controllers' folders.
# Usage: hack/update-project.sh [FILE]
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-PROJECT}
tmp=$(mktemp)
trap 'rm -f "$tmp"' EXIT
go run ./hack/project >"$tmp"
cat "$tmp" >"$out"
