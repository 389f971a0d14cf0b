#!/usr/bin/env bash
# Fails if a Go file is not formatted.
set -euo pipefail
cd "$(dirname "$0")/.."
unformatted=$(git ls-files '*.go' | xargs -r gofmt -l)
if [ -n "$unformatted" ]; then
  echo "verify-format: run 'make fmt'; not formatted:" >&2
  echo "$unformatted" >&2
  exit 1
fi
