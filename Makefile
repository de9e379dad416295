# Every target with a comment after ## shows in `make help`.
SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CACHE  := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/argosy
BIN    := bin
TOOLS  := $(CACHE)/tools
GOTESTSUM_VERSION := v1.13.0
GOLANGCI_VERSION  := v2.15.0
GOTESTSUM := $(TOOLS)/gotestsum-$(GOTESTSUM_VERSION)
GOLANGCI  := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)
DEVCLUSTER := $(BIN)/devcluster
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X main.version=$(VERSION)
# One way for all binaries, so that the image's share what was compiled for this machine.
GOBUILD := CGO_ENABLED=0 go build -trimpath
ROW ?=
SEEDS ?= 1000
FROM ?= 1
ROUNDS ?= 3
CORPUS ?=
EXECUTOR ?= process
RESULT ?=
ONLY ?=

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: $(BIN)/argosy $(BIN)/argosy-step ## build argosy and argosy-step into bin/

.PHONY: $(BIN)/argosy $(BIN)/argosy-step $(DEVCLUSTER)
$(BIN)/argosy:
	$(GOBUILD) -ldflags '$(LDFLAGS)' -o $@ ./cmd/argosy
$(BIN)/argosy-step:
	$(GOBUILD) -ldflags '-s -w' -o $@ ./cmd/argosy-step
$(DEVCLUSTER):
	cd deploy/devcluster && go build -o ../../$@ .

.PHONY: run
run: $(BIN)/argosy ## run examples/map-reduce.yaml on this machine: no Redis, Kubernetes or MinIO needed
	$(BIN)/argosy run examples/map-reduce.yaml

.PHONY: deps
deps: $(DEVCLUSTER) ## install what the tests need (Debian packages, Kubernetes, MinIO), cached outside the clone
	deploy/deps.sh $(DEVCLUSTER)

.PHONY: test
test: deps $(GOTESTSUM) ## run every test, on a real Redis, MinIO and Kubernetes; ends with what ran and what was skipped
	deploy/test.sh $(GOTESTSUM) $(DEVCLUSTER)

.PHONY: test-fast
test-fast: ## run the tests that need no cluster
	go test ./...

.PHONY: lint
lint: $(GOLANGCI) ## lint; .golangci.yml says why a rule is off
	$(GOLANGCI) run ./...
	cd deploy/devcluster && $(GOLANGCI) run ./...

.PHONY: cluster-up
cluster-up: $(DEVCLUSTER) ## start the one-node Kubernetes and MinIO that the tests use
	$(DEVCLUSTER) up

.PHONY: cluster-down
cluster-down: $(DEVCLUSTER) ## stop them and remove all they left
	$(DEVCLUSTER) down

.PHONY: cluster-status
cluster-status: $(DEVCLUSTER) ## tell how they are
	$(DEVCLUSTER) status

.PHONY: image
image: $(BIN)/argosy-step ## write the product's image to dist/argosy.tar, without Docker
	$(GOBUILD) -ldflags '-s -w $(LDFLAGS)' -o dist/argosy ./cmd/argosy
	go run ./deploy/image -o dist/argosy.tar product dist/argosy $(BIN)/argosy-step

CLUSTER_ROWS = L1 L2 T1 T1b T2 jobs large-artifact

.PHONY: loadtest
loadtest: $(BIN)/argosy $(DEVCLUSTER) $(if $(filter $(CLUSTER_ROWS),$(ROW)),cluster-up image) ## measure the rows of loadtest/ (ROW=T6 for one, ROW=T2 and others on the cluster, ROW=ladder for the ladder; all others take an hour) into loadtest/results
	$(if $(filter-out R2,$(ROW)),,$(DEVCLUSTER) minio-binary >/dev/null)
	$(if $(filter $(CLUSTER_ROWS),$(ROW)),go run ./deploy/image -o dist/loadtest.tar -tag argosy:loadtest product dist/argosy $(BIN)/argosy-step)
	$(if $(filter $(CLUSTER_ROWS),$(ROW)),$(DEVCLUSTER) load-image dist/loadtest.tar)
	$(if $(filter $(CLUSTER_ROWS),$(ROW)),eval "$$($(DEVCLUSTER) env)" && export ARGOSY_RUNNER_IMAGE=argosy:loadtest &&) go run ./loadtest $(if $(ROW),-row $(ROW))

.PHONY: chaos
chaos: $(BIN)/argosy $(DEVCLUSTER) ## ROUNDS=3 runs of 10,000 items while every process is killed at random, Redis and MinIO too
	$(DEVCLUSTER) minio-binary >/dev/null
	go run ./loadtest -row R2 -n $(ROUNDS)

.PHONY: simulate
simulate: ## execute SEEDS=1000 simulated fleets, the first of them FROM=1, and tell what broke
	go run ./cmd/argosy/simulate -seeds $(SEEDS) -from $(FROM)

.PHONY: proto
proto: ## write the Go code of artifacts/plugin/wire/artifact.proto; needs protoc, protoc-gen-go and protoc-gen-go-grpc
	protoc -I artifacts/plugin/wire --go_out=artifacts/plugin/wire --go_opt=paths=source_relative \
		--go-grpc_out=artifacts/plugin/wire --go-grpc_opt=paths=source_relative artifact.proto

.PHONY: conformance
conformance: $(BIN)/argosy $(DEVCLUSTER) $(if $(filter kubernetes,$(EXECUTOR)),cluster-up image) ## run the workflows of CORPUS=dir and compare how they end (EXECUTOR=kubernetes on the cluster that the tests use, RESULT=file.json, ONLY=regexp)
	$(if $(filter kubernetes,$(EXECUTOR)),go run ./deploy/image -o dist/conformance.tar -tag argosy:conformance product dist/argosy $(BIN)/argosy-step)
	$(if $(filter kubernetes,$(EXECUTOR)),$(DEVCLUSTER) load-image dist/conformance.tar)
	minio=$$($(DEVCLUSTER) minio-binary) && \
	$(if $(filter kubernetes,$(EXECUTOR)),eval "$$($(DEVCLUSTER) env)" && export ARGOSY_RUNNER_IMAGE=argosy:conformance && )\
	go run ./cmd/conformance -corpus '$(CORPUS)' -executor '$(EXECUTOR)' -result '$(RESULT)' -only '$(ONLY)' -minio "$$minio" \
		$(if $(filter kubernetes,$(EXECUTOR)),-parallel 12 -timeout 150s)

.PHONY: fuzz
fuzz: ## fuzz the parser and the expressions for a minute each
	deploy/fuzz.sh

.PHONY: clean
clean: ## remove what was built here
	rm -rf $(BIN) dist

$(GOTESTSUM):
	mkdir -p $(TOOLS)
	GOBIN=$(TOOLS)/tmp go install gotest.tools/gotestsum@$(GOTESTSUM_VERSION)
	mv $(TOOLS)/tmp/gotestsum $@

$(GOLANGCI):
	mkdir -p $(TOOLS)
	GOBIN=$(TOOLS)/tmp go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv $(TOOLS)/tmp/golangci-lint $@
