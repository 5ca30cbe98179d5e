# CONTRIBUTING.md says how these are used. "make help" lists them.

GOLANGCI_LINT_VERSION := v2.15.0
WAZERO_VERSION        := v1.12.0

# Systems that everything builds for, besides the one at hand. 386 is there for
# its 32-bit int.
PLATFORMS := darwin/arm64 linux/386 windows/amd64
# What runs inside WebAssembly as well, and the systems it does so on.
PORTABLE       := $(patsubst %,./%/...,$(wildcard core transports/memory middleware))
WASM_PLATFORMS := js/wasm wasip1/wasm

# Languages other than Go with examples of modules.
GUESTS := assemblyscript c rust wat zig

FUZZTIME ?= 5s
BENCH    ?= .
COUNT    ?= 10
# What make release builds.
RELEASE_PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
# Bytes that core/internal/sizeprobe may have, stripped: a tenth more than the
# 4.47 MB it had when this was set.
SIZE_BUDGET ?= 4900000

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c

LINT   := .bin/golangci-lint-$(GOLANGCI_LINT_VERSION)/golangci-lint
WAZERO := .bin/wazero-$(WAZERO_VERSION)/wazero
GOROOT  = $(shell go env GOROOT)

.PHONY: help check cross test race e2e acme walkthrough fuzz bench measure wasm size guests release reproducible

help: ## list the targets
	@sed -n 's/^\([a-z0-9]*\):.*## /\1\t/p' Makefile | expand -t 8

check: $(LINT) ## format, vet, lint, go.mod, the rivals of bench, other systems; with CI set, a clean tree
	@unformatted=$$(find . -name node_modules -prune -o -name '*.go' -exec gofmt -l {} +); \
	[ -z "$$unformatted" ] || { echo "not formatted by gofmt:" $$unformatted; exit 1; }
	go vet ./...
	$(LINT) run --build-tags acme
	go mod tidy -diff
	go mod verify
	cd bench/rivals && go vet ./... && go test ./...
	@$(MAKE) --no-print-directory cross
	@[ -z "$${CI:-}" ] || git diff --exit-code

cross: ## build and vet for other systems, WebAssembly included
	@each() { \
		echo "$$1: go build, go vet $${*:2}"; \
		export CGO_ENABLED=0 GOOS=$${1%/*} GOARCH=$${1#*/}; \
		go build "$${@:2}"; go vet "$${@:2}"; \
	}; \
	for p in $(PLATFORMS); do each $$p ./...; done; \
	for p in $(WASM_PLATFORMS); do each $$p $(PORTABLE); done

test: ## all tests that need nothing but Go
	go test ./...

race: ## the same under the race detector
	go test -race ./...

e2e: ## the JavaScript client and the browsers
	./e2e/run

acme: ## certificates from a test authority, over TCP and UDP
	./e2e/acme/run

walkthrough: ## the operator's first fifteen minutes, as docs/operations.md has them
	./e2e/walkthrough/run

fuzz: ## every fuzz target for FUZZTIME
	.ci/fuzz $(FUZZTIME)

bench: ## benchmarks, COUNT times each, in the form that benchstat reads
	@go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./...

measure: ## all transports on this machine, in about a minute: protoo-bench.html
	go run ./bench

# Node limits the size of the environment, so it gets an empty one.
wasm: size $(WAZERO) ## core's tests inside WebAssembly, under wazero and Node
	GOOS=wasip1 GOARCH=wasm GOWASIRUNTIME=wazero PATH="$(CURDIR)/$(dir $(WAZERO)):$$PATH" \
		go test -exec '$(GOROOT)/lib/wasm/go_wasip1_wasm_exec' ./core/...
	GOOS=js GOARCH=wasm \
		go test -exec "env -i PATH=$$PATH $(GOROOT)/lib/wasm/go_js_wasm_exec" ./core/...

size: ## the size of a WebAssembly program that uses core, against its budget
	@GOOS=wasip1 GOARCH=wasm go build -trimpath -buildvcs=false -ldflags='-s -w' -o .bin/sizeprobe.wasm ./core/internal/sizeprobe
	@size=$$(wc -c <.bin/sizeprobe.wasm); echo "sizeprobe: $$size bytes, the budget is $(SIZE_BUDGET)"; \
	[ $$size -le $(SIZE_BUDGET) ]

# UPDATE=1 puts the modules where those are that they are compared with.
guests: ## build the modules in wasmhost/guest again, which has to give the same files; installs compilers
	@type -P clang-19 wasm-ld-19 wasm-ld-14 wat2wasm npm /usr/bin/rustc >/dev/null && [ -d /usr/lib/rustlib/wasm32-unknown-unknown ] || { \
		apt-get update -q; \
		DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
			clang-19 lld-19 rustc libstd-rust-dev-wasm32 lld-14 wabt $$(type -P npm >/dev/null || echo nodejs npm); \
	}
	@for language in $(GUESTS); do \
		echo "wasmhost/guest/$$language"; \
		built=$${UPDATE:+wasmhost/guest/$$language/build}; built=$${built:-.bin/guests/$$language}; \
		rm -rf "$$built"; mkdir -p "$$built"; \
		"wasmhost/guest/$$language/build.sh" "$$built"; \
		diff -r "$$built" "wasmhost/guest/$$language/build"; \
	done

release: ## archives of protoo-edge for RELEASE_PLATFORMS in dist/, with checksums and bills of materials
	@[ -z "$$(git status --porcelain)" ] || echo "release: the tree has changes, so this is not what the commit says" >&2
	@rm -rf dist
	go run ./internal/release -commit "$$(git rev-parse HEAD)" -time "$$(git log -1 --format=%ct)" -o dist $(RELEASE_PLATFORMS)

# A cache of its own makes the second build a real one, which takes minutes. The folders are named after their umask.
reproducible: ## build the first of RELEASE_PLATFORMS twice, in different folders, and compare
	@dir=$$(mktemp -d); trap 'chmod -R u+w "$$dir"; rm -rf "$$dir"' EXIT; \
	mkdir -p "$$dir/022" "$$dir/077/deeper"; \
	git ls-files -z --cached --others --exclude-standard | tar -c --null --ignore-failed-read -T - 2>/dev/null >"$$dir/source.tar"; \
	for n in 022 077/deeper; do \
		(cd "$$dir/$$n" && umask "$${n%%/*}" && mkdir source && tar -x -C source --no-same-permissions -f "$$dir/source.tar" && cd source && \
			GOCACHE="$$dir/$$n/cache" go run ./internal/release -commit x -time 1000000000 -o "$$dir/$$n/dist" $(firstword $(RELEASE_PLATFORMS))); \
	done; \
	diff -r "$$dir/022/dist" "$$dir/077/deeper/dist"; \
	cat "$$dir/022/dist/SHA256SUMS"

$(LINT):
	GOBIN=$(CURDIR)/$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

$(WAZERO):
	GOBIN=$(CURDIR)/$(@D) go install github.com/tetratelabs/wazero/cmd/wazero@$(WAZERO_VERSION)
