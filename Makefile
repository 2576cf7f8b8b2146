# Every habit of this repository is one target; `make` lists them.
SHELL         := bash
.SHELLFLAGS   := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS     += --no-print-directory

# A module is a folder with a go.mod. The workspace has those that users and tests build; tools/ and web/ stand apart.
MODULES := $(shell go list -m -f '{{.Dir}}' 2>/dev/null | sed 's|^$(CURDIR)|.|')
LIBRARY := . ./cmd/herz
LINT    := $(CURDIR)/bin/golangci-lint
PREFIX  := herz.example/herz
DEMO    ?=
SOAK    ?= 10m
FAULTS  ?=

##@ The main job
demo: ## See pools fail silently, and Herz not fail (needs only Go; DEMO="--once" runs the script once)
	@go run ./cmd/herz demo $(DEMO)

test: setup ## All tests of all modules: race detector, shuffled, no goroutine left behind; real servers last
	@for m in $(filter-out ./e2e,$(MODULES)) $(filter ./e2e,$(MODULES)); do \
	  echo "== test $$m"; (cd $$m && go test -race -shuffle=on -p 2 -timeout 20m ./...); done
	@echo "== test time-outs, with the runtime's record of goroutines that can never go on"
	@GOEXPERIMENT=goroutineleakprofile go test -p 2 -timeout 10m -run 'Goroutine|CanNeverGoOn|ChainOfTimeouts' ./herztest ./herzhttp ./herzsql

##@ Every day
build: ## Build everything; the root module and its tests also without the workspace
	@for m in $(MODULES); do (cd $$m && go build -o /dev/null ./...); done
	@GOWORK=off go build ./... && GOWORK=off go vet ./...

lint: $(LINT) vet-ports ## golangci-lint over every module, and vet for other systems
	@for m in $(MODULES); do echo "== lint $$m"; (cd $$m && $(LINT) run --allow-serial-runners --config $(CURDIR)/.golangci.yml ./...); done

vet-ports: ## go vet for macOS and Windows: library and command
	@for os in darwin windows; do for m in $(LIBRARY); do echo "== vet $$os $$m"; (cd $$m && GOOS=$$os CGO_ENABLED=0 go vet ./...); done; done

fmt: $(LINT) ## Format all Go code
	@for m in $(MODULES); do (cd $$m && $(LINT) fmt --config $(CURDIR)/.golangci.yml ./...); done

generate: ## Everything that is generated: docs/states.md, docs/deps.txt, api/*.txt, the pages
	@cd herzconfig && go test -run 'Generated' . -args -update
	@go test ./internal/arch -run 'Generated' -args -update
	@$(MAKE) web

web: ## Build the pages from web/ into the folders that embed them
	@cd web && npm ci --no-audit --no-fund --loglevel=error && npm run --silent check && npm run --silent build

##@ Before a change goes in
ci: setup build check-generated lint ## What CI runs: build, generated files, lint, then all tests
	@$(MAKE) test

check-generated: ## Fail when a generated file is not what its source makes
	@$(MAKE) generate
	@git diff --exit-code --stat -- docs api herzconfig/schema.json board/ui cmd/herz/internal/demo/page/dist || \
	  { echo "generated files differ from what is committed: run 'make generate' and commit the result"; exit 1; }
	@new=$$(git ls-files --others --exclude-standard -- docs api herzconfig/schema.json board/ui cmd/herz/internal/demo/page/dist); \
	  if [ -n "$$new" ]; then echo "generated files are not committed:"; echo "$$new"; exit 1; fi

bench: ## Herz's pool beside other pools, all rows, into bench/results (docs/bench.md)
	@go run ./bench --require-hikari --out bench/results

bench-quick: ## The rows that have a target only, in less than three minutes
	@go run ./bench --quick --require-hikari --out bench/results

faults: setup ## Every client under every fault, without Herz and with it, into docs/fault-matrix.md (as root, 20 minutes at most; FAULTS="--only full")
	@go run ./e2e/faults $(FAULTS)

soak: setup ## False alarms: five bad paths, both modes, SOAK (10m) each, side by side; a table, and JSON in bin/soak.json
	@mkdir -p bin && cd e2e && go test ./soak -v -count=1 -timeout 60m -soak.apart -soak.for=$(SOAK) -soak.out=$(CURDIR)/bin/soak.json

bench-sql: ## Plain, guarded and pooled *sql.DB on real servers, in 12 minutes (docs/bench.md)
	@go run ./bench/sql --out bench/results

bench-grpc: ## herzgrpc beside plain gRPC and otelgrpc, black holes and pings, in seven minutes (docs/bench.md)
	@go run ./bench/grpc --out bench/results

bench-signals: ## What herzprom and herzotel cost a loan, in a minute (docs/bench.md)
	@go run ./bench/signals --out bench/results

bench-idle: ## What ten thousand idle connections cost, in 11 minutes (docs/bench.md)
	@go run ./bench/idle --out bench/results

bench-http: ## herzhttp beside net/http and other clients: cost, losses, silence, in five minutes (docs/bench.md)
	@go run ./bench/http --out bench/results

bench-ws: ## What 9,500 idle WebSockets cost a server, in four minutes (docs/bench.md)
	@go run ./bench/ws --out bench/results

autobahn: ## herzws against the Autobahn test suite, both engines and the client (docs/websocket.md; AUTOBAHN="--cases 6.*")
	@tools/autobahn.sh bin/autobahn
	@cd e2e && go run ./autobahn --suite $(CURDIR)/bin/autobahn $(AUTOBAHN)

mutate: ## Break pool and conn in one place at a time: a test has to fail each time (an hour; docs/mutation.md)
	@go run ./internal/mutate -resume .mutants.json

##@ Now and then
tidy: ## go mod tidy in every module, each against the others as they are here
	@for m in $(MODULES); do echo "== tidy $$m"; (cd $$m && \
	  for o in $(filter-out . ./e2e ./cmd/herz,$(MODULES)) .; do go mod edit -replace "$$(cd $(CURDIR)/$$o && GOWORK=off go list -m)=$(CURDIR)/$$o"; done; \
	  GOWORK=off go mod tidy; \
	  for o in $(filter-out . ./e2e ./cmd/herz,$(MODULES)) .; do go mod edit -dropreplace "$$(cd $(CURDIR)/$$o && GOWORK=off go list -m)"; done); done

setup: ## Install what the tests need beside Go, or name it
	@tools/setup.sh

rename: ## Give the modules another path: make rename TO=example.org/herz
	@test -n "$(TO)" || { echo "say where to: make rename TO=example.org/herz"; exit 2; }
	@git grep -lIF '$(PREFIX)' | xargs sed -i 's|$(subst .,\.,$(PREFIX))|$(TO)|g'
	@go test ./internal/arch -run 'Generated' -args -update
	@echo "renamed $(PREFIX) to $(TO); now run make ci"

clean: ## Remove what was built
	@rm -rf bin web/node_modules

# The linter's version is pinned, with check sums, in the module of the developers' tools, which no user ever fetches.
$(LINT): tools/go.mod tools/go.sum
	@echo "== build golangci-lint into bin/ (about two minutes, once)"
	@GOWORK=off go build -C tools -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z][a-z-]*:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo test build lint vet-ports fmt generate web ci check-generated bench bench-quick bench-sql bench-grpc bench-signals bench-idle bench-http bench-ws autobahn faults soak mutate tidy setup rename clean help
