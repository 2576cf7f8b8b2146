# Every habit of this repository is one target; `make` lists them.
SHELL         := bash
.SHELLFLAGS   := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS     += --no-print-directory

# A module is a folder with a go.mod. The workspace has those that users and tests build; tools/ and web/ stand apart.
MODULES := $(shell go list -m -f '{{.Dir}}' 2>/dev/null | sed 's|^$(CURDIR)|.|')
LIBRARY := . ./cmd/herz
GOLANGCI_VERSION := v2.15.0
LINT    := $(CURDIR)/bin/golangci-lint
PREFIX  := herz.example/herz
DEMO    ?=

##@ The main job
demo: ## See pools fail silently, and Herz not fail (needs only Go; DEMO="--once" runs the script once)
	@go run ./cmd/herz demo $(DEMO)

test: setup ## All tests of all modules: race detector, shuffled, no goroutine left behind; real servers last
	@for m in $(filter-out ./e2e,$(MODULES)) $(filter ./e2e,$(MODULES)); do \
	  echo "== test $$m"; (cd $$m && go test -race -shuffle=on -p 2 -timeout 20m ./...); done

##@ Every day
build: ## Build everything; the root module also without the workspace
	@for m in $(MODULES); do (cd $$m && go build ./...); done
	@GOWORK=off go build ./...

lint: $(LINT) vet-ports ## golangci-lint over every module, shell and other systems
	@for m in $(MODULES); do echo "== lint $$m"; (cd $$m && $(LINT) run --config $(CURDIR)/.golangci.yml ./...); done

vet-ports: ## go vet for macOS and Windows: library and command
	@for os in darwin windows; do for m in $(LIBRARY); do echo "== vet $$os $$m"; (cd $$m && GOOS=$$os CGO_ENABLED=0 go vet ./...); done; done

fmt: $(LINT) ## Format all Go code
	@for m in $(MODULES); do (cd $$m && $(LINT) fmt --config $(CURDIR)/.golangci.yml ./...); done

generate: ## Everything that is generated: docs/states.md, docs/deps.txt, api/*.txt, the pages
	@go test ./internal/arch -run 'Generated' -args -update
	@$(MAKE) web

web: ## Build the pages from web/ into the folders that embed them
	@cd web && npm ci --no-audit --no-fund --loglevel=error && npm run --silent check && npm run --silent build

##@ Before a change goes in
ci: setup build check-generated lint ## What CI runs: build, generated files, lint, then all tests
	@$(MAKE) test

check-generated: ## Fail when a generated file is not what its source makes
	@$(MAKE) generate
	@git diff --exit-code --stat -- docs api board/ui cmd/herz/internal/demo/page/dist || \
	  { echo "generated files differ from what is committed: run 'make generate' and commit the result"; exit 1; }
	@new=$$(git ls-files --others --exclude-standard -- docs api board/ui cmd/herz/internal/demo/page/dist); \
	  if [ -n "$$new" ]; then echo "generated files are not committed:"; echo "$$new"; exit 1; fi

bench: ## Benchmarks of the root module (one machine, no comparison)
	@go test -run '^$$' -bench . -benchmem ./conn ./guard ./pool

##@ Now and then
setup: ## Install what the tests need beside Go, or name it
	@tools/setup.sh

rename: ## Give the modules another path: make rename TO=example.org/herz
	@test -n "$(TO)" || { echo "say where to: make rename TO=example.org/herz"; exit 2; }
	@git grep -lIF '$(PREFIX)' | xargs sed -i 's|$(subst .,\.,$(PREFIX))|$(TO)|g'
	@echo "renamed $(PREFIX) to $(TO); now run make ci"

clean: ## Remove what was built
	@rm -rf bin web/node_modules

$(LINT): Makefile
	@if ! $(LINT) version 2>/dev/null | grep -qF '$(GOLANGCI_VERSION:v%=%)'; then \
	  echo "== build golangci-lint $(GOLANGCI_VERSION) into bin/ (about two minutes, once)"; \
	  GOWORK=off GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION); fi
	@touch $(LINT)

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z][a-z-]*:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo test build lint vet-ports fmt generate web ci check-generated bench setup rename clean help
