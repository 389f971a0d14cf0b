#!/usr/bin/env bash
# Fails on an import against the house's one rule: components meet only at the
# API. Tests may use e2e/testenv, so only product code is looked at.
set -euo pipefail
cd "$(dirname "$0")/.."

module=github.com/skiff-project/skiff
# folder: the folders of this module that it may import
rules='
apis: apis
generated: apis generated
server: apis generated server
controllers: apis controllers
scheduler: apis scheduler
nodeagent: apis nodeagent
proxy: apis proxy
cni: apis cni
cluster: apis generated server controllers scheduler nodeagent proxy cni cluster
cmd: apis generated server controllers scheduler nodeagent proxy cni cluster cmd
e2e: apis generated server cluster e2e
hack: apis generated server hack
'

imports=$(go list -f '{{$path := .ImportPath}}{{range .Imports}}{{$path}} {{.}}{{"\n"}}{{end}}' ./...)
bad=$(awk -v module="$module" -v rules="$rules" '
  BEGIN {
    n = split(rules, lines, "\n")
    for (i = 1; i <= n; i++) {
      split(lines[i], parts, ": ")
      m = split(parts[2], targets, " ")
      for (j = 1; j <= m; j++) allowed[parts[1], targets[j]] = 1
    }
  }
  $2 ~ /^k8s\.io\/kubernetes(\/|$)/ { print $1 " imports " $2 " (never)"; next }
  index($2, module "/") != 1 { next }
  {
    split(substr($1, length(module) + 2), from, "/")
    split(substr($2, length(module) + 2), to, "/")
    if (!((from[1], to[1]) in allowed)) print $1 " imports " $2
  }' <<<"$imports")

if [ -n "$bad" ]; then
  echo "verify-imports: against the direction of dependencies (docs/architecture.md):" >&2
  echo "$bad" >&2
  exit 1
fi
