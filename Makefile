# Every target makes the virtual environment that it needs; nothing has to be installed or activated by hand.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long check fmt bench docs lock clean
STAMP := .venv/.stamp
BIN := .venv/bin

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Keyed on the lock files: a changed lock makes the environment anew.
$(STAMP): requirements.lock requirements-build.lock setup.py scripts/setup.sh
	@scripts/setup.sh

setup: $(STAMP) ## Make .venv from the locked versions (every other target does it when needed)

demo: $(STAMP) ## Build the reference mart on sample data and show what it made
	@$(BIN)/python scripts/demo.py

test: $(STAMP) ## Run all tests that must hold (under 15 minutes), with the coverage gates
	$(BIN)/pytest --cov --cov-report= --durations=25
	$(BIN)/coverage report --skip-covered --skip-empty
	$(BIN)/coverage report --include="feature_mart/errors.py,feature_mart/plan/*" --fail-under=100

test-long: $(STAMP) ## Run the long tests only
	$(BIN)/pytest -m long

check: $(STAMP) ## Format, lint, types, import order, and the reference mart's own definitions
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mart validate
	$(BIN)/mart schema --check
	$(BIN)/mart lineage --check

fmt: $(STAMP) ## Format the code and mend what ruff can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(STAMP) ## Measure speed; prints a table, keeps JSON in benchmarks/results
	$(BIN)/python -m benchmarks

docs: $(STAMP) ## Write the generated parts: JSON Schemas and the reference of files and commands
	$(BIN)/mart schema --write
	$(BIN)/python scripts/write_reference.py

lock: $(STAMP) ## Renew the lock files from setup.py (takes the newest versions that fit)
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --output-file requirements-build.lock requirements-build.in
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes --no-emit-index-url \
		--custom-compile-command "make lock" --extra dev --output-file requirements.lock setup.py

clean: ## Remove .venv, caches, the demo's data and tables
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage htmlcov build dist *.egg-info
	rm -rf warehouse data
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
