# Gnomon's chores. `make demo` and `make test` each set everything up first; they need Python 3.11 or later.
#
#   make setup PYTHON=python3.12       another interpreter
#   make setup TORCH_INDEX=URL         a further package index, for CPU-only or CUDA builds of torch

PYTHON ?= python3
TORCH_INDEX ?=
BIN := .venv/bin
STAMP := .venv/.stamp
PEERS := .bench-peers
THREADS := OMP_NUM_THREADS=1
PYTEST := $(THREADS) $(BIN)/python -m pytest

.PHONY: setup demo test test-slow check bench docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Gnomon needs Python 3.11 or later, and $(PYTHON) is %d.%d; try make setup PYTHON=python3.12" % sys.version_info[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing what constraints.txt pins into .venv; the first time, torch among it takes minutes."
	$(BIN)/python -m pip install --quiet -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -e '.[dev]'
	@touch $(STAMP)

demo: setup
	$(BIN)/gnomon demo

# Tests marked `alone` measure processor time or memory, so they follow the others instead of running beside them.
test: setup
	$(PYTEST) -n 2 -m "not slow and not alone"
	$(PYTEST) -m "alone and not slow"

test-slow: setup
	$(PYTEST) -n 2 -m "slow and not alone"
	$(PYTEST) -m "slow and alone"

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(THREADS) $(if $(TORCH_INDEX),PIP_EXTRA_INDEX_URL=$(TORCH_INDEX)) $(BIN)/python -m benches --out build/bench --peers $(PEERS)

docs: setup
	$(BIN)/python docs/make.py

clean:
	rm -rf build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache src/*.egg-info $(STAMP)
	find src tests benches examples docs -name __pycache__ -type d -prune -exec rm -rf {} +
