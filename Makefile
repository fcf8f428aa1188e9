# "make help" lists what can be made. Needed beforehand: Go, make, and a C compiler
# for what embeds libcontainer; everything else is installed or built here.

VERSION  ?= $(shell git describe --tags --always --abbrev=12 --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 10s
FUZZ     ?= .
STARTS   ?= 10000
RUNS     ?= 200
ROUNDS   ?= 3
CHURN    ?= 2000
EVERY    ?= 13

# Tools are built once for each version, below .tools.
RUNC_VERSION := $(shell sed -n 's|^.*opencontainers/runc v\([^ ]*\).*|\1|p' integration/go.mod)
LINT_VERSION := 2.15.0
RUNC := .tools/runc-$(RUNC_VERSION)
LINT := .tools/golangci-lint-$(LINT_VERSION)
GOVULNCHECK := .tools/govulncheck-1.8.0
NFPM := .tools/nfpm-2.45.0
HELM := .tools/helm-3.22.0

# Real engines for their tests. A change of the packages is a new number.
CONTAINERD := .tools/containerd-2.4.2
MOBY       := .tools/moby-2.0.0-beta.24
ROOTLESSKIT := .tools/rootlesskit-2.0.2
DEBIAN13   := .tools/debian13-1
DEBIAN13_PACKAGES := podman crun runc docker.io docker-cli docker-compose containerd \
                     ca-certificates uidmap iproute2 procps
DEBIAN12   := .tools/debian12-1
DEBIAN12_PACKAGES := podman crun runc containernetworking-plugins
CRIU       := .tools/criu-1
CRIU_PACKAGES := podman crun libcriu2 runc criu iptables nftables ca-certificates uidmap iproute2 procps
# What guests run, with a kernel each.
KERNEL      = linux-image-cloud-$$($(GO) env GOARCH)
GUEST12    := .tools/guest12-1
GUEST12_PACKAGES = $(KERNEL) podman runc containernetworking-plugins criu iptables
GUEST13    := .tools/guest13-1
GUEST13_PACKAGES = $(KERNEL) podman crun libcriu2 runc criu iptables ca-certificates
# Kernels of their own for guests, and an arm64.
KERNELS    := .tools/kernel-5.10-1 .tools/kernel-newest-1 .tools/kernel-6.12-arm64-1
GUEST13_ARM64 := .tools/guest13-arm64-1
GUEST13_ARM64_PACKAGES := runc crun dash coreutils util-linux mount tar sed grep mawk
CHECKERS   := .tools/checkers-1
CHECKERS_PACKAGES := man-db mandoc bash-completion zsh fish rpm qemu-user-static
KUBERNETES := .tools/kubernetes-$(shell sed -n 's|^.*k8s.io/kubernetes v\([^ ]*\).*|\1|p' integration/k8s/tools/go.mod)
# A wrapper of runtimes by others, to be measured beside the shim.
NVIDIA     := .tools/nvidia-container-runtime-1.20.1
ENGINES := podman docker containerd

# Where "make install" puts things, and DESTDIR in front of that.
PREFIX ?= /usr
INSTALL := BIN=bin PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" deploy/install

GO       := go
LDFLAGS  := -s -w -X main.version=$(VERSION)
STATIC   := CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)"
# Hook and shim do something before Go's runtime starts: internal/early.
EARLY    := CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS) -E=_rt0_timens_

# libcontainer enters namespaces in C, before Go starts. Without a C compiler
# timensctl is built without it, and demo uses the runtimes it finds.
HAVE_CC := $(shell command -v $$($(GO) env CC) >/dev/null 2>&1 && echo yes)
ifeq ($(HAVE_CC),yes)
CGO := 1
CTL := CGO_ENABLED=1 $(GO) build -trimpath -tags "osusergo netgo" \
       -ldflags "$(LDFLAGS) -linkmode external -extldflags -static"
RACE := -race
else
CGO := 0
CTL := $(STATIC)
endif

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' Makefile

.PHONY: build
build: ## static bin/timens-hook, bin/timens-runc and bin/timensctl
	$(EARLY)hook" -o bin/timens-hook ./cmd/timens-hook
	$(EARLY)runc" -o bin/timens-runc ./cmd/timens-runc
	$(CTL) -o bin/timensctl ./cmd/timensctl
	@CGO_ENABLED=$(CGO) deploy/accompany bin bin/timensctl

.PHONY: image-programs
image-programs: ## static bin/timens-nri and bin/timens-install, which only the image for Kubernetes has
	$(STATIC) -o bin/timens-nri ./cmd/timens-nri
	$(STATIC) -o bin/timens-install ./cmd/timens-install

.PHONY: install uninstall
install: ## what "make build" has built, to PREFIX=/usr below DESTDIR
	@$(INSTALL) install
uninstall: ## the opposite, unless an engine is configured to use it
	@$(INSTALL) uninstall

# From a commit and nothing else, and always the same.
.PHONY: release
release: $(NFPM) ## static programs, archives, deb and rpm with SHA256SUMS in dist/release
	@test -z "$$(git status --porcelain)" || { echo "make release: there are changes that are in no commit" >&2; exit 1; }
	@$(RELEASE) dist/release amd64 arm64

.PHONY: packages
packages: $(NFPM) ## the same of what is here, for this machine alone, in dist/packages
	@$(RELEASE) dist/packages $$($(GO) env GOARCH)

RELEASE = VERSION=$(VERSION) NFPM=$(NFPM) \
          SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} deploy/release

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
	$(GO) test -tags timens_testpoints ./timens ./internal/pod

.PHONY: integration
integration: $(RUNC) ## tests with real runtimes, as root; dist/matrix.md shows what works
	@mkdir -p dist
	cd integration && TIMENS_MATRIX=$(CURDIR)/dist/matrix.md $(GO) test -count=1 -timeout 9m -parallel 4 $(TESTFLAGS) . ./machine

.PHONY: matrix
matrix: integration engines ## the tests with real runtimes and engines, and what worked as tables
	@cat dist/matrix.md dist/engines-*.md

.PHONY: engines $(ENGINES:%=test-%)
engines: $(ENGINES:%=test-%) ## tests with real engines, as root: test-podman test-docker test-containerd
test-podman: engine-deps $(DEBIAN13)
test-docker: engine-deps $(DEBIAN13) $(MOBY) $(CONTAINERD) $(ROOTLESSKIT)
test-containerd: engine-deps $(DEBIAN13) $(CONTAINERD)
$(ENGINES:%=test-%): test-%: deps
	cd integration && $(GO) test -count=1 -timeout 20m -parallel 4 $(TESTFLAGS) ./$*

.PHONY: test-transparent
test-transparent: deps ## the same command lines with and without timens-runc, as root; TESTFLAGS="-args -every 1" for all of them
	cd integration && $(GO) test -count=1 -timeout 20m ./transparent $(TESTFLAGS)

.PHONY: test-nri
test-nri: deps engine-deps $(DEBIAN13) $(CONTAINERD) ## tests of timens-nri with containerd, as root
	cd integration && $(GO) test -count=1 -timeout 9m -parallel 2 $(TESTFLAGS) ./nri

.PHONY: test-k8s bench-k8s cluster
test-k8s: k8s-deps ## tests in Kubernetes clusters, as root; dist/kubernetes.md shows what works
	cd integration && $(GO) test -count=1 -timeout 20m -parallel 6 $(TESTFLAGS) ./k8s
bench-k8s: k8s-deps ## what pods pay in a Kubernetes cluster, as root, in about an hour: ROUNDS=3 CHURN=2000 ONLY=NRI
	cd integration && $(GO) test -count=1 -timeout 5h -v -run '^Test(Each|Measure|Churn)$$' ./k8s -rounds $(ROUNDS) -churn $(CHURN) -only "$(ONLY)"
CLUSTER ?= NRI
cluster: k8s-deps ## a Kubernetes cluster to try things in, as root, until Ctrl-C: CLUSTER=NRI or RuntimeClass
	cd integration && $(GO) test -count=1 -timeout 0 -v -run '^TestServe$$' ./k8s -serve $(CLUSTER)

.PHONY: k8s-deps
k8s-deps: deps $(KUBERNETES) $(CONTAINERD) $(DEBIAN13)
	sh integration/deps busybox-static containernetworking-plugins etcd-server

.PHONY: test-deploy
test-deploy: k8s-deps $(HELM) ## tests of the manifests, the chart, the policies and the installer for Kubernetes, as root
	cd integration && $(GO) test -count=1 -timeout 10m $(TESTFLAGS) ./deploy

.PHONY: test-install
test-install: deps $(NFPM) $(DEBIAN12) $(DEBIAN13) $(CHECKERS) ## tests of make install, releases and packages, as root
	cd integration && $(GO) test -count=1 -timeout 20m $(TESTFLAGS) ./install

.PHONY: test-criu
test-criu: deps engine-deps $(CRIU) $(DEBIAN13) $(GUEST12) ## tests of checkpoint and restore with CRIU, as root; TESTFLAGS="-args -runs 100" for more of them
	cd integration && $(GO) test -count=1 -timeout 15m -parallel 2 ./criu $(TESTFLAGS)

.PHONY: test-faults
test-faults: deps $(RUNC) ## hook, shim and plugin are killed and lack disk and memory at their system calls, as root; EVERY=1 for each of them
	cd integration && $(GO) test -count=1 -timeout 60m $(TESTFLAGS) ./faults -args -every $(EVERY)

.PHONY: test-migration
test-migration: guest-deps $(GUEST12) $(GUEST13) $(RUNC) ## tests that move containers between two hosts, virtual machines with Debian's kernels and CRIU
	cd integration && $(GO) test -count=1 -timeout 15m -parallel 2 $(TESTFLAGS) ./guest/... ./migration

.PHONY: kernels
kernels: guest-deps arm64-deps $(GUEST12) $(GUEST13) $(KERNELS) $(GUEST13_ARM64) $(RUNC) $(RUNC)-arm64 ## tests of library, hook and shim on Debian's kernels, amd64 and arm64, as root; TESTFLAGS="-args -full" for all of them
	cd integration && $(GO) test -count=1 -timeout 40m -parallel 2 ./kernels $(TESTFLAGS)

.PHONY: test-security
test-security: ## tests with giant inputs, and with files that are swapped while they are read, as root: TESTFLAGS="-args -swaps 10000"
	cd integration && $(GO) test -count=1 -timeout 9m ./security $(TESTFLAGS)

.PHONY: guest-deps arm64-deps
guest-deps: deps
	sh integration/deps qemu-system-x86 xz-utils busybox-static debootstrap
arm64-deps:
	sh integration/deps qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross

.PHONY: engine-deps
engine-deps:
	sh integration/deps podman busybox-static debootstrap containernetworking-plugins

.PHONY: bench
bench: bench-starts bench-engines ## what hook, shim and engines that are set up cost, as root, in about 20 minutes: RUNS=200

.PHONY: bench-starts
bench-starts: build engine-deps $(RUNC) $(DEBIAN13) $(NVIDIA) ## what hook and shim cost, beside others, as root: RUNS=200 PART=jobs
	sh integration/deps libfaketime
	cd integration && $(GO) run ./bench -runs $(RUNS) -only "$(PART)" -bin $(CURDIR)/bin -runc $(CURDIR)/$(RUNC) \
		-tree $(CURDIR)/$(DEBIAN13) -peer $(CURDIR)/$(NVIDIA)

.PHONY: bench-engines
bench-engines: build $(RUNC) engine-deps $(DEBIAN13) $(CONTAINERD) ## what podman and containerd cost that are set up, as root: RUNS=200
	cd integration && $(GO) build -o ../bin/bench ./bench
	for engine in podman containerd; do \
		(cd integration && ../bin/bench -engine $$engine -runs $(RUNS) -bin $(CURDIR)/bin -runc $(CURDIR)/$(RUNC)) || exit; \
	done

.PHONY: lint
lint: $(LINT) ## golangci-lint, which also holds the borders between packages
	$(LINT) run --allow-parallel-runners ./...
	cd integration && ../$(LINT) run --allow-parallel-runners -c ../.golangci.yml ./...

# The database is on the network; VULNDB=file:///FOLDER is a copy of it.
.PHONY: vulncheck
vulncheck: $(GOVULNCHECK) ## which known vulnerabilities the programs call, by Go's database: VULNDB=URL for a copy of it
	@for module in . integration; do \
		echo "govulncheck $$module"; \
		$(GOVULNCHECK) $(if $(VULNDB),-db $(VULNDB)) -C $$module ./... || { status=$$?; \
			[ $$status = 3 ] || echo "make vulncheck: not checked; where Go's vulnerability database cannot be reached, VULNDB=URL names a copy of it" >&2; \
			exit $$status; }; \
	done

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME=10s, and how often each was run; FUZZ=REGEXP for some
	@set -e; log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n 1 dirname | sort -u | while read -r dir; do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$dir/*_test.go | grep -E '$(FUZZ)'); do \
			$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $(FUZZFLAGS) $$dir > $$log 2>&1 || { cat $$log; exit 1; }; \
			echo "$$dir $$name: $$(sed -n 's/^fuzz: elapsed: \(.*\), execs: \([0-9]*\) .*/\2 times in \1/p' $$log | tail -n 1)"; \
		done; \
	done

.PHONY: soak
soak: build $(RUNC) ## STARTS=10000 containers with random clocks, as root, and whether anything is left; SOAKFLAGS=-seed=N
	cd integration && $(GO) run ./soak -starts $(STARTS) -bin $(CURDIR)/bin -runc $(CURDIR)/$(RUNC) $(SOAKFLAGS)

.PHONY: clean
clean: ## remove what was built, and keep the tools
	rm -rf bin dist

# cgo and libseccomp, as distributions build it.
$(RUNC):
	cd integration && CGO_ENABLED=1 $(GO) build -trimpath -tags seccomp -o ../$@ github.com/opencontainers/runc

$(RUNC)-arm64: | arm64-deps
	@command -v aarch64-linux-gnu-gcc >/dev/null || echo "no $@: there is no aarch64-linux-gnu-gcc"
	! command -v aarch64-linux-gnu-gcc >/dev/null || { cd integration && \
		CGO_ENABLED=1 GOARCH=arm64 CC=aarch64-linux-gnu-gcc $(GO) build -trimpath -o ../$@ github.com/opencontainers/runc; }

$(CONTAINERD):
	GOBIN=$(CURDIR)/$@.new CGO_ENABLED=0 $(GO) install -trimpath -ldflags "-s -w" \
		github.com/containerd/containerd/v2/cmd/containerd@v$(@:.tools/containerd-%=%) \
		github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2@v$(@:.tools/containerd-%=%) \
		github.com/containerd/containerd/v2/cmd/ctr@v$(@:.tools/containerd-%=%)
	mv $@.new $@

$(NVIDIA):
	GOBIN=$(CURDIR)/$@.new $(GO) install -trimpath -ldflags "-s -w" \
		github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-container-runtime@v$(@:.tools/nvidia-container-runtime-%=%) 2>$@.log
	mv $@.new/nvidia-container-runtime $@ && rmdir $@.new

$(KUBERNETES):
	cd integration/k8s/tools && for program in kubelet kube-apiserver kubectl; do CGO_ENABLED=0 $(GO) build -trimpath \
		-ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v$(@:.tools/kubernetes-%=%) \
			-X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34" \
		-o $(CURDIR)/$@.new/$$program k8s.io/kubernetes/cmd/$$program || exit 1; done
	mv $@.new $@

$(MOBY):
	GOBIN=$(CURDIR)/$@.new $(GO) install -trimpath -ldflags "-s -w" \
		github.com/moby/moby/v2/cmd/dockerd@v$(@:.tools/moby-%=%)
	mv $@.new $@

$(ROOTLESSKIT):
	GOBIN=$(CURDIR)/$@.new CGO_ENABLED=0 $(GO) install -trimpath -ldflags "-s -w" \
		github.com/rootless-containers/rootlesskit/v2/cmd/rootlesskit@v$(@:.tools/rootlesskit-%=%) \
		github.com/rootless-containers/rootlesskit/v2/cmd/rootlesskit-docker-proxy@v$(@:.tools/rootlesskit-%=%)
	mv $@.new $@

$(DEBIAN12):
	sh integration/tree bookworm $@ $(DEBIAN12_PACKAGES)

$(CHECKERS):
	sh integration/tree bookworm $@ $(CHECKERS_PACKAGES)

$(DEBIAN13):
	sh integration/tree trixie $@ $(DEBIAN13_PACKAGES)

$(CRIU):
	sh integration/tree trixie $@ $(CRIU_PACKAGES)

# No initrd, which would take a minute: guests have their own.
$(GUEST12):
	INITRD=No sh integration/tree bookworm $@ $(GUEST12_PACKAGES)

$(GUEST13):
	INITRD=No sh integration/tree trixie $@ $(GUEST13_PACKAGES)

.tools/kernel-5.10-1:
	ONLY='linux-*' sh integration/unpack bullseye amd64 $@ linux-image-cloud-amd64
.tools/kernel-newest-1:
	ONLY='linux-*' sh integration/unpack sid amd64 $@ linux-image-cloud-amd64
.tools/kernel-6.12-arm64-1:
	ONLY='linux-*' sh integration/unpack trixie arm64 $@ linux-image-cloud-arm64
$(GUEST13_ARM64):
	sh integration/unpack trixie arm64 $@ $(GUEST13_ARM64_PACKAGES)

# The last one whose modules can all be had from the Go module proxy.
$(NFPM):
	GOBIN=$(CURDIR)/$@.new CGO_ENABLED=0 $(GO) install -trimpath github.com/goreleaser/nfpm/v2/cmd/nfpm@v$(@:.tools/nfpm-%=%)
	mv $@.new/nfpm $@ && rmdir $@.new

$(HELM):
	GOBIN=$(CURDIR)/$@.new CGO_ENABLED=0 $(GO) install -trimpath -ldflags "-s -w" helm.sh/helm/v3/cmd/helm@v$(@:.tools/helm-%=%)
	mv $@.new/helm $@ && rmdir $@.new

$(GOVULNCHECK):
	GOBIN=$(CURDIR)/$@.new CGO_ENABLED=0 $(GO) install -trimpath golang.org/x/vuln/cmd/govulncheck@v$(@:.tools/govulncheck-%=%)
	mv $@.new/govulncheck $@ && rmdir $@.new

$(LINT):
	GOBIN=$(CURDIR)/.tools/new $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(LINT_VERSION)
	mv .tools/new/golangci-lint $@ && rmdir .tools/new
