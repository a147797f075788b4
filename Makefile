# One command each. `make run` needs Python 3.11+, git and make; the first time it fetches packages and a model.
# Kept to what GNU make 3.81 (macOS) knows. A stamp is written last, so an interrupted step is done again.

SHELL := /bin/sh
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
.DEFAULT_GOAL := help
.PHONY: help run test test-all check format bench clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# `exec`: puna is make's own child, so a signal to make reaches it and its exit code 0 ends make in silence.
run: .venv/.local  ## Start everything on this machine; Ctrl-C stops it
	@exec $(BIN)/puna serve $(ARGS)

test: .venv/.dev  ## Run the tests, about ten minutes; ARGS="-m 'not engine'" and the like choose
	@$(BIN)/python -m pytest -m 'not slow' $(ARGS)

test-all: export PULL_BYTES = 1000000000
test-all: check test  ## Run check, test, and the slow tests too, as CI does
	@$(BIN)/python -m pytest -m slow $(ARGS)

check: .venv/.dev  ## Formatting, lint, strict types, AWS templates
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 $(BIN)/sam validate --lint

format: .venv/.dev  ## Format the code and repair what the linter can
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

bench: .venv/.dev  ## Measure what the API adds to the engine; prints a table, writes JSON
	@$(BIN)/python -m tests.bench $(ARGS)

clean:  ## Remove the environment and caches; models and queue in PUNA_HOME stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .aws-sam build dist puna.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.python:
	@$(PYTHON) -c '' 2>/dev/null || { echo 'No $(PYTHON) here. Install Python 3.11 or newer, or set PYTHON=/path/to/it.' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Puna needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Set PYTHON=/path/to/a/newer/one." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make environments. On Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	@echo "Creating .venv"
	@$(PYTHON) -m venv --clear .venv
	@touch $@

.venv/.local: .venv/.python pyproject.toml constraints.txt
	@echo "Installing what a laptop needs, about half a minute"
	@$(PIP) install --quiet -c constraints.txt -e '.[local]'
	@touch $@

# The developer's set contains the laptop's.
.venv/.dev: .venv/.python pyproject.toml constraints.txt
	@echo "Installing what a developer needs, about a minute"
	@$(PIP) install --quiet -c constraints.txt -e '.[dev]'
	@touch .venv/.local $@
