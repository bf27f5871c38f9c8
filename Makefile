# Every target gets all it needs by itself (scripts/setup.sh) and can be run again.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help demo test soak bench format clean
MAKEFLAGS += --no-print-directory

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## 100 MB of realistic S3 access logs: a store, tables, and the page to look at
	@scripts/setup.sh run
	.venv/bin/python scripts/demo.py

test: ## every check there is, about seven minutes on two cores (make test LEGS="format pytest": only these)
	@scripts/setup.sh test
	.venv/bin/python scripts/check.py $(LEGS)

soak: ## the long versions: kill tests, property tests, ten minutes of fuzzing per target
	@scripts/setup.sh test
	.venv/bin/python scripts/check.py --soak $(LEGS)

bench: ## the benchmarks, with ratios to the limits of this machine
	@scripts/setup.sh bench
	.venv/bin/python scripts/bench.py

format: ## clang-format and ruff over everything
	@scripts/setup.sh test
	.venv/bin/python scripts/check.py --fix format ruff

clean: ## removes what the other targets made, .venv included
	@rm -rf build demo dist .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
