#!/usr/bin/env bash
# Runs a command while no cluster runs on this machine: one that `make up` started
# is stopped, with its data kept, and started again at the end. The tests need the
# same ports, links and rules.
# Usage: hack/without-cluster.sh COMMAND...
set -euo pipefail
cd "$(dirname "$0")/.."

status=$([ ! -x bin/skiff ] || bin/skiff status 2>/dev/null || true) # it fails as well where something is wrong
if grep -q 'runs since' <<<"$status"; then
  echo "without-cluster: a cluster runs on this machine; it is stopped for the tests and started again after them"
  bin/skiff down
  trap 'bin/skiff up' EXIT
fi
"$@"
