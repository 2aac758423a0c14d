# Everything that a developer or CI calls. `make` alone lists it.
#
# Programs that are fetched or built from others' sources are cached in
# ~/.cache/mixed-version-proxy (see tools/lib.sh). No target installs packages
# of the system: it says what to install.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help tools filter companion control-plane recordings demo demo-recording test conformance \
	conformance-programs conformance-short conformance-short-programs conformance-matrix support-matrix \
	test-envoys test-slow test-page release release-check rules dashboard-check book publish bench fuzz \
	check-fuzz e2e e2e-suite pairs coverage lint validate-config fmt env clean

tools := tools
with := $(tools)/with

# A test's error says what went wrong; fifty frames of the executor do not.
export RUST_LIB_BACKTRACE ?= 0

# Tests wait much more than they compute. Those on real control planes compute more.
cores := $(shell getconf _NPROCESSORS_ONLN)
test: export RUST_TEST_THREADS ?= $(shell echo $$((3 * $(cores))))
conformance conformance-short: export RUST_TEST_THREADS ?= $(shell echo $$(($(cores) + 1)))

# The API servers of the demo: recorded, or real.
PEERS ?= recorded

# The two newest versions: those of `make conformance`, and of `make e2e` unless
# others are given.
NEWEST_PAIR = $(shell $(tools)/control-plane --versions | tail -n 2 | tr -d v | paste -sd +)
PAIR ?= $(NEWEST_PAIR)
suite_of = e2e-suite=$(lastword $(subst +, ,$(1))) kwok

# kubeadm of the newest version makes nodes of the one before, too.
kubeadm = kubeadm=$(lastword $(subst +, ,$(NEWEST_PAIR)))

# What conformance needs beside Envoy and what is built of this checkout. Control
# planes are first: the suite shares most of its packages with the newer one.
conformance_programs = control-plane=$(NEWEST_PAIR) $(call suite_of,$(NEWEST_PAIR)) $(kubeadm) kubectl-1.20 clients \
	helm kustomize kubeconform discovery-documents kubelet-forwarder

# These tests show in minutes that nobody gets a wrong 404, and no object is lost. They need one
# build of Kubernetes.
short_programs = emulated-control-plane=$(NEWEST_PAIR)
short_tests = crd:: exec:: garbage_collection:: identity:: namespaces:: new_types:: upgrade::

# Tests and the demo run dev builds of the companion; `make companion` builds the one that
# ships. Tests share its crates, also if they are of one package only: with the features of the
# whole workspace (`--workspace`), no crate is compiled twice.
test conformance conformance-short conformance-matrix test-envoys test-page dashboard-check: export COMPANION_PROFILE := test
demo demo-recording e2e: export COMPANION_PROFILE := dev

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tools: ## Fetch Envoy and build func-e (cached)
	@$(tools)/envoy
	@$(tools)/func-e

filter: ## Build the filter as it ships: target/filter.wasm
	@$(tools)/filter

companion: ## Build the companion (release)
	@$(tools)/companion

release: ## Make all files of a release in target/dist (RELEASE.md)
	@$(tools)/release target/dist

publish: ## Push the images and charts of target/dist, and sign (REGISTRY=registry.example/team, COSIGN_KEY=cosign.key)
	@$(tools)/publish target/dist $(REGISTRY)

control-plane: ## Build all versions of Kubernetes for tests (cached; minutes each, once)
	@for version in $$($(tools)/control-plane --versions); do $(tools)/control-plane "$$version"; done

recordings: ## Record the answers of real API servers anew
	$(with) control-plane -- cargo run --quiet -p harness --bin recordings

demo: ## Run the demo in the terminal (PEERS=real, DEMO_ONCE=1)
	$(with) envoy func-e filter companion $(if $(filter real,$(PEERS)),control-plane=$(NEWEST_PAIR)) -- \
		cargo run --quiet -p demo -- --peers $(PEERS)

demo-recording: ## Record the demo into docs/images/demo.svg
	$(with) envoy func-e filter companion -- bash -euc 'cargo build --quiet -p demo; \
		DEMO_ONCE=1 cargo run --quiet -p demo --bin record -- docs/images/demo.svg "make demo" target/debug/demo'

test: ## Run unit, property and golden tests, and those with Envoy
	$(with) envoy func-e filter filter-trap companion kubectl-skew crane images -- cargo test --workspace

conformance: ## Run tests on real control planes; writes target/conformance/report.json
	@rm -f target/conformance/report.json
	$(with) envoy func-e filter companion $(conformance_programs) -- \
		cargo test --workspace --features integration/cluster --test cluster

conformance-programs: ## Build what `make conformance` needs of others (cached; minutes, once)
	@$(with) $(conformance_programs) -- true

conformance-short: ## Run some tests of conformance on the newest version, which emulates the one before
	@rm -f target/conformance/report.json
	$(with) envoy func-e filter companion $(short_programs) -- \
		cargo test --workspace --features integration/cluster --test cluster -- $(short_tests)

conformance-short-programs: ## Build what `make conformance-short` needs of others (cached; minutes, once)
	@$(with) $(short_programs) -- true

conformance-matrix: ## Run the tests of version pairs on every combination of versions (ENVOY=1.39)
	@rm -f target/conformance/report.json
	$(with) envoy$(if $(ENVOY),=$(ENVOY)) func-e filter companion control-plane -- \
		cargo test --workspace --features integration/cluster,integration/matrix --test cluster -- matrix:: answering::

test-envoys: ## Run the tests with Envoy on every supported version of it, and see older ones refused
	@for version in $$($(tools)/envoy --versions); do \
		$(with) envoy=$$version func-e filter filter-trap companion crane images -- \
			cargo test --workspace --no-fail-fast --test envoy; done
	@for version in $$($(tools)/envoy --too-old); do \
		$(with) envoy=$$version func-e filter companion -- \
			cargo test --workspace --features integration/matrix --test old_envoy; done

support-matrix: ## Run conformance-matrix on every version of Envoy; writes README.md's table (minutes each)
	@rm -rf target/support-matrix && mkdir -p target/support-matrix
	@for version in $$($(tools)/envoy --versions); do \
		$(MAKE) conformance-matrix ENVOY=$$version || true; \
		mv target/conformance/report.json target/support-matrix/$$version.json; done
	cargo run --quiet -p harness --bin support-matrix -- target/support-matrix README.md

test-slow: ## Run tests that CI does not: they wait for long or measure costs
	failed=; \
	slow=($(with) envoy func-e filter companion control-plane=$(NEWEST_PAIR) $(kubeadm) envoy-gateway istiod kwok prometheus \
		helm kustomize kubeconform chromium axe -- cargo test --workspace --features integration/cluster,integration/slow --no-fail-fast); \
	"$${slow[@]}" --test 'slow_*' || failed=yes; \
	"$${slow[@]}" --test cluster -- new_types:: shadow:: metrics:: old_discovery:: hosted:: node:: chart:: || failed=yes; \
	[ -z "$$failed" ]

dashboard-check: ## Ask a real Prometheus every query of the dashboard, and evaluate the alerts
	$(with) envoy func-e filter companion prometheus -- \
		cargo test --workspace --features integration/slow --test slow_dashboard

test-page: ## Look at the status page in Chromium; pictures go to target/status-page
	$(with) envoy func-e filter companion chromium axe -- \
		cargo test --workspace --features integration/slow --test slow_status_page

release-check: ## Make a release twice, compare, publish to a registry on loopback, verify, and run what comes back
	$(tools)/release-check

e2e-suite: ## Build the programs of `make e2e` for the newer version of PAIR (cached; minutes, once)
	@$(with) $(call suite_of,$(PAIR)) -- true

e2e: ## Run Kubernetes' own suite through Envoy, a quarter of an hour (PAIR=1.36+1.37, RUNS=3, FOCUS='regular expression', PROCESSES=2)
	$(with) envoy func-e filter companion control-plane=$(PAIR) $(call suite_of,$(PAIR)) -- \
		cargo run --quiet -p e2e -- --pair '$(PAIR)' $(if $(RUNS),--runs $(RUNS)) \
		$(if $(PROCESSES),--processes $(PROCESSES)) $(if $(FOCUS),--focus '$(FOCUS)')

pairs: ## Print the pairs of neighboring versions as JSON, for CI
	@$(tools)/control-plane --versions | tr -d v | \
		awk 'NR > 1 { printf "%s\"%s+%s\"", (NR > 2 ? "," : "["), before, $$0 } { before = $$0 } END { print "]" }'

bench: ## Measure Envoy's CPU and latency per request (ROUNDS=20, BASELINE=other/filter.wasm)
	$(with) envoy func-e filter -- cargo run --quiet -p bench -- \
		$(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(BASELINE),--baseline $(BASELINE))

fuzz: ## Fuzz the parsers, a minute each (needs cargo-fuzz and nightly)
	cd routing && cargo +nightly fuzz run path -- -max_total_time=60
	cd routing && cargo +nightly fuzz run not_found -- -max_total_time=60
	cd routing && cargo +nightly fuzz run accept -- -max_total_time=60
	cd routing && cargo +nightly fuzz run encode -- -max_total_time=60
	cd routing && cargo +nightly fuzz run user_agent -- -max_total_time=60
	cd filter/core && cargo +nightly fuzz run callbacks -- -max_total_time=60
	cd identity && cargo +nightly fuzz run subject -- -max_total_time=60
	cd api-discovery && cargo +nightly fuzz run documents -- -max_total_time=60

coverage: ## Report the line coverage of tests that need no Envoy (needs cargo-llvm-cov)
	@$(tools)/coverage

lint: validate-config ## Check format, clippy, configurations and dependencies
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	$(tools)/check-dependencies

check-fuzz: ## Build every fuzz target with the stable toolchain, and run it on some thousand inputs (minutes)
	$(tools)/check-fuzz

rules: ## Check the alerts of Prometheus and run their cases with promtool (built once, in minutes)
	promtool=$$($(tools)/prometheus promtool); cd monitoring; \
	"$$promtool" check rules --lint=all --lint-fatal alerts.yaml; \
	"$$promtool" check config prometheus.yaml; \
	"$$promtool" test rules alerts.test.yaml

validate-config: ## Have Envoy validate every YAML under envoy-config
	$(tools)/validate-config

book: ## Make the book of docs/ in target/book/html, and check its links (mdBook is built once, in minutes)
	rm -rf target/book && mkdir -p target/book && cp docs/book.toml target/book
	cargo run --quiet -p architecture-test --bin book -- stage . target/book/src
	$$($(tools)/mdbook) build target/book
	cargo run --quiet -p architecture-test --bin book -- check target/book/html

fmt: ## Format all code
	cargo fmt --all

env: ## Print what tests need, for `eval "$(make env)"`
	@$(with) envoy func-e filter filter-trap companion kubectl-skew crane images control-plane $(kubeadm) kubectl-1.20 clients \
		helm kustomize kubeconform discovery-documents kubelet-forwarder $(call suite_of,$(PAIR))

clean: ## Remove what was built in this checkout (not the cache)
	cargo clean
