#!/usr/bin/env bash
# Prints the packages of one kind of test:
#   unit          pure code, no API server
#   integration   tests that start our API server, or that work on the kernel or Docker
# A package's kind is read off what its tests import, so that no list goes stale.
# The whole-cluster tests under e2e/ have their own target.
set -euo pipefail
cd "$(dirname "$0")/.."

go list -f '{{$path := .ImportPath}}{{$kind := "unit"}}{{range .TestImports}}{{if eq . "github.com/skiff-project/skiff/e2e/testenv"}}{{$kind = "integration"}}{{end}}{{end}}{{range .XTestImports}}{{if eq . "github.com/skiff-project/skiff/e2e/testenv"}}{{$kind = "integration"}}{{end}}{{end}}{{if or .TestGoFiles .XTestGoFiles}}{{$kind}} {{$path}}{{end}}' ./... |
  awk -v want="$1" '
    NF < 2 { next }
    $2 ~ /\/skiff\/e2e/ && $2 !~ /\/e2e\/testenv/ { next }
    # These work on the real kernel or the real Docker Engine.
    $2 ~ /\/(cni|proxy|nodeagent)(\/|$)/ || $2 ~ /\/(server|e2e\/testenv)(\/|$)/ { $1 = "integration" }
    $1 == want { print $2 }'
