# The front door. Everything else is in CMakePresets.json and .ci/run.
JOBS ?= $(shell nproc)
DATA ?= ./data
MINUTES ?= 10
BENCH ?=
RELEASE := build/release

.PHONY: help run test demo bench bench-peers build everything configure torture setup format lint clean
.DEFAULT_GOAL := help

help:
	@echo 'make run     set up, build, serve commands on 127.0.0.1:50051 and queries on 50052, data in ./data'
	@echo 'make test    set up, build, run the whole suite once, a tenth of the cases where there are thousands'
	@echo 'make torture MINUTES=10  crashes, faults, races, schedules: with new seeds for so long, or to the first failure'
	@echo 'make demo    a scripted tour with grpcurl on fresh data'
	@echo 'make bench   measure, print a table, write it and plots into bench/results (BENCH=--quick: a look, into build/bench)'
	@echo 'make bench-peers  measure other event stores with the same workloads; installs them into build/peers first'
	@echo 'make build   set up and build $(RELEASE)/leftfold'
	@echo 'make format  clang-format all C++ files'
	@echo 'make lint    check the format of C++ files and the rules of the protos'
	@echo 'make clean   remove build/ (data stays)'
	@echo '.ci/run      what CI runs: the suite, all of its cases, lint, sanitizers, fuzzers, clang-tidy'

setup:
	@scripts/setup.sh

configure: setup
	@cmake --preset release -Wno-dev >/dev/null

build: configure
	@cmake --build --preset release -j $(JOBS) --target leftfold

everything: configure
	@cmake --build --preset release -j $(JOBS)

run: build
	@exec $(RELEASE)/leftfold serve --data $(DATA)

test: everything
	@ctest --preset release

torture: everything
	@scripts/torture.sh $(MINUTES)

demo: build
	@scripts/demo.sh

bench: build
	@cmake --build --preset release -j $(JOBS) --target leftfold_bench
	@$(RELEASE)/leftfold_bench --out $(if $(findstring --quick,$(BENCH)),build/bench,bench/results) $(BENCH)

# PEERS='--only umadb' measures that one and keeps the rows of the others.
bench-peers: build
	@scripts/peers.sh
	@cmake --preset release -Wno-dev >/dev/null
	@cmake --build --preset release -j $(JOBS) --target leftfold_bench_peers
	@$(RELEASE)/leftfold_bench_peers --out bench/results $(PEERS)

format:
	@scripts/setup.sh checks
	@git ls-files -z '*.h' '*.cc' | xargs -0 clang-format-14 -i

lint:
	@.ci/run lint

clean:
	@rm -rf build
