# skiff's build. `make` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

export PATH := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin
export CGO_ENABLED ?= 0
# The version is stamped below; go's own stamp would make every commit another
# binary, and fails in a checkout that belongs to somebody else.
export GOFLAGS ?= -trimpath -buildvcs=false

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
KUBE_VERSION := v1.37.2
KUBE_VERSION_PKG := k8s.io/component-base/version
COMMIT := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
COMMIT_DATE := $(shell git log -1 --format=%cd --date=format:%Y-%m-%dT%H:%M:%SZ 2>/dev/null || echo 1970-01-01T00:00:00Z)
LDFLAGS := -s -w -X main.skiffVersion=$(VERSION) \
	-X $(KUBE_VERSION_PKG).gitVersion=$(KUBE_VERSION)+skiff \
	-X $(KUBE_VERSION_PKG).gitMajor=1 -X $(KUBE_VERSION_PKG).gitMinor=37 \
	-X $(KUBE_VERSION_PKG).gitCommit=$(COMMIT) -X $(KUBE_VERSION_PKG).gitTreeState=clean \
	-X $(KUBE_VERSION_PKG).buildDate=$(COMMIT_DATE)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: deps
deps: ## install what the machine lacks (Docker Engine, iptables, ...) and start Docker
	hack/deps.sh

.PHONY: build
build: ## build bin/skiff, bin/skiff-cni and bin/skiff-pause
	@# Linking the whole API server peaks at 2 GB: one after the other.
	go build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/skiff-cni ./cmd/skiff-pause
	go build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/skiff

.PHONY: images
images: deps ## make the demo images of config/samples and load them into Docker
	hack/images.sh demo

.PHONY: up
up: deps build images ## start a cluster on this machine; everything it needs is installed and built
	bin/skiff up

.PHONY: down
down: ## stop the cluster and remove its traces; its data stays (bin/skiff down --purge removes it)
	bin/skiff down

.PHONY: test
test: deps verify test-unit ## all tests
	hack/without-cluster.sh $(MAKE) test-integration test-e2e

.PHONY: test-unit
test-unit: ## pure code: tables, golden files, the seeds of fuzz tests
	packages=$$(hack/test-packages.sh unit); go test $$packages

.PHONY: test-integration
test-integration: deps ## against our API server, the kernel in throw-away namespaces, and Docker
	packages=$$(hack/test-packages.sh integration); hack/without-cluster.sh go test -p 2 -timeout 15m $$packages

.PHONY: test-e2e
test-e2e: deps build images ## the built binaries, stock kubectl and real containers
	SKIFF_BIN=$(CURDIR)/bin hack/without-cluster.sh go test -count=1 -timeout 25m -v ./e2e/...

.PHONY: test-race
test-race: deps ## the unit and integration tests under the race detector (needs a C compiler; slow the first time)
	packages=$$(hack/test-packages.sh unit; hack/test-packages.sh integration); \
		CGO_ENABLED=1 hack/without-cluster.sh go test -race -p 2 -timeout 30m $$packages

.PHONY: bench
bench: deps build images ## start-up, pod latency, memory and idle CPU, as a table beside Docker's own floor
	SKIFF_BIN=$(CURDIR)/bin hack/without-cluster.sh go run ./e2e/bench

.PHONY: generate
generate: ## write generated files anew
	hack/update-openapi.sh
	hack/update-project.sh

.PHONY: verify
verify: ## check import directions, formatting and that generated files are fresh
	hack/verify-format.sh
	hack/verify-imports.sh
	hack/verify-openapi.sh
	hack/verify-project.sh

.PHONY: lint
lint: ## go vet and staticcheck
	go vet ./...
	cd hack/tools && go build -o ../../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	bin/staticcheck ./...

.PHONY: fmt
fmt: ## format all Go files
	gofmt -w $$(git ls-files '*.go')
