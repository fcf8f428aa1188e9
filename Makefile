# "make help" lists what can be made. Needed beforehand: Go, make, and a C compiler
# for what embeds libcontainer; everything else is installed or built here.

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 10s
RUNS     ?= 200

# Tools are built once for each version, below .tools.
RUNC_VERSION := $(shell sed -n 's|^.*opencontainers/runc v\([^ ]*\).*|\1|p' integration/go.mod)
LINT_VERSION := 2.15.0
RUNC := .tools/runc-$(RUNC_VERSION)
LINT := .tools/golangci-lint-$(LINT_VERSION)

# Real engines for their tests. A change of the packages is a new number.
CONTAINERD := .tools/containerd-2.4.2
MOBY       := .tools/moby-2.0.0-beta.24
DEBIAN13   := .tools/debian13-1
DEBIAN13_PACKAGES := podman crun runc docker.io docker-cli docker-compose containerd \
                     ca-certificates uidmap iproute2 procps
ENGINES := podman docker containerd

GO       := go
LDFLAGS  := -s -w -X main.version=$(VERSION)
STATIC   := CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)"

# libcontainer enters namespaces in C, before Go starts. Without a C compiler
# timensctl is built without it, and demo uses the runtimes it finds.
HAVE_CC := $(shell command -v $$($(GO) env CC) >/dev/null 2>&1 && echo yes)
ifeq ($(HAVE_CC),yes)
CTL := CGO_ENABLED=1 $(GO) build -trimpath -tags "osusergo netgo" \
       -ldflags "$(LDFLAGS) -linkmode external -extldflags -static"
RACE := -race
else
CTL := $(STATIC)
endif

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' Makefile

.PHONY: build
build: ## static bin/timens-hook, bin/timens-runc and bin/timensctl
	$(STATIC) -o bin/timens-hook ./cmd/timens-hook
	$(STATIC) -o bin/timens-runc ./cmd/timens-runc
	$(CTL) -o bin/timensctl ./cmd/timensctl

.PHONY: demo
demo: build ## start containers whose annotations ask for clocks, as root
	bin/timensctl demo

.PHONY: test
test: deps vet unit integration ## all tests, after installing what they need

.PHONY: deps
deps: ## what the tests need: Debian packages where root, and runc
	sh integration/deps
	@$(MAKE) --no-print-directory $(RUNC)

.PHONY: vet
vet:
	$(GO) vet ./...
	cd integration && $(GO) vet ./...

.PHONY: unit
unit: ## tests without containers
	$(GO) test $(RACE) ./...
	$(GO) test -tags timens_testpoints ./timens

.PHONY: integration
integration: $(RUNC) ## tests with real runtimes, as root; dist/matrix.md shows what works
	@mkdir -p dist
	cd integration && TIMENS_MATRIX=$(CURDIR)/dist/matrix.md $(GO) test -count=1 -timeout 9m -parallel 4 $(TESTFLAGS) .

.PHONY: matrix
matrix: integration ## the same, and print the matrix
	@cat dist/matrix.md

.PHONY: engines $(ENGINES:%=test-%)
engines: $(ENGINES:%=test-%) ## tests with real engines, as root: test-podman test-docker test-containerd
test-podman: engine-deps $(DEBIAN13)
test-docker: engine-deps $(DEBIAN13) $(MOBY)
test-containerd: engine-deps $(DEBIAN13) $(CONTAINERD)
$(ENGINES:%=test-%): test-%: deps
	cd integration && $(GO) test -count=1 -timeout 20m -parallel 4 $(TESTFLAGS) ./$*

.PHONY: engine-deps
engine-deps:
	sh integration/deps podman busybox-static debootstrap

.PHONY: bench
bench: build $(RUNC) ## what hook and shim cost, as root: RUNS=200
	cd integration && $(GO) run ./bench -runs $(RUNS) -bin $(CURDIR)/bin -runc $(CURDIR)/$(RUNC)

.PHONY: lint
lint: $(LINT) ## golangci-lint, which also holds the borders between packages
	$(LINT) run --allow-parallel-runners ./...
	cd integration && ../$(LINT) run --allow-parallel-runners -c ../.golangci.yml ./...

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME=10s
	@set -e; grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u | while read -r dir; do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$dir/*_test.go); do \
			echo "$$dir $$name"; \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$dir; \
		done; \
	done

.PHONY: clean
clean: ## remove what was built, and keep the tools
	rm -rf bin dist

# cgo and libseccomp, as distributions build it.
$(RUNC):
	cd integration && CGO_ENABLED=1 $(GO) build -trimpath -tags seccomp -o ../$@ github.com/opencontainers/runc

$(CONTAINERD):
	GOBIN=$(CURDIR)/$@.new CGO_ENABLED=0 $(GO) install -trimpath -ldflags "-s -w" \
		github.com/containerd/containerd/v2/cmd/containerd@v$(@:.tools/containerd-%=%) \
		github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2@v$(@:.tools/containerd-%=%) \
		github.com/containerd/containerd/v2/cmd/ctr@v$(@:.tools/containerd-%=%)
	mv $@.new $@

$(MOBY):
	GOBIN=$(CURDIR)/$@.new $(GO) install -trimpath -ldflags "-s -w" \
		github.com/moby/moby/v2/cmd/dockerd@v$(@:.tools/moby-%=%)
	mv $@.new $@

$(DEBIAN13):
	sh integration/tree trixie $@ $(DEBIAN13_PACKAGES)

$(LINT):
	GOBIN=$(CURDIR)/.tools/new $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(LINT_VERSION)
	mv .tools/new/golangci-lint $@ && rmdir .tools/new
