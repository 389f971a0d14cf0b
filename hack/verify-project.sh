#!/usr/bin/env bash
# Fails if PROJECT does not list what is served and run.
set -euo pipefail
cd "$(dirname "$0")/.."
tmp=$(mktemp)
trap 'rm -f "$tmp"' EXIT
hack/update-project.sh "$tmp"
diff -u PROJECT "$tmp" || {
  echo "verify-project: PROJECT is stale: run make generate" >&2
  exit 1
}
