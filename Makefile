# Every target works alone on a fresh clone that has python3 >= 3.11 and nothing else; nothing needs activating.
# JOBS: the processes of the test suite (auto: one a core; 0: pytest's own). PYTEST_ARGS: what else pytest is to hear.
# SLOW: which tests by that mark; `make test-slow` runs the others.
# CELLS: what `make bench` measures. BENCH_ARGS: what else it is to hear (cellwright bench --help).
PYTHON      ?= python3
JOBS        ?= auto
PYTEST_ARGS ?=
SLOW        ?= not slow
CELLS       ?= lstm gru pseudo-lstm
BENCH_ARGS  ?=

VENV   := .venv
PY     := $(VENV)/bin/python
STAMP  := $(VENV)/.installed
PYTEST := $(PY) -m pytest -n $(JOBS)

# Waiting OpenMP threads sleep instead of spinning: on few cores spinning costs more than it saves.
export OMP_WAIT_POLICY ?= PASSIVE

# Without the times of execution, so that running a notebook again changes nothing that did not change.
define EXECUTE
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, record_timing=False, resources={"metadata": {"path": "notebooks"}}).execute()
nbformat.write(notebook, sys.argv[1])
endef
export EXECUTE

.DEFAULT_GOAL := help
.PHONY: help venv demo bench test test-slow test-killing test-postgres study lint types format golden notebooks clean distclean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

venv: $(STAMP) ## create .venv and install everything, pinned by constraints.txt

# An environment that cannot run pip on a current Python is made anew; otherwise only what changed is installed.
ifeq ($(wildcard $(PY)),)
.PHONY: $(STAMP)
endif
$(STAMP): pyproject.toml constraints.txt
	@if ! $(PY) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  command -v $(PYTHON) >/dev/null || { \
	    echo "error: $(PYTHON) not found. Install Python 3.11 or later, or name one: make venv PYTHON=python3.12" >&2; exit 1; }; \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "error: Python 3.11 or later is needed, and $(PYTHON) is `$(PYTHON) --version 2>&1`." >&2; \
	    echo "       Name a newer one: make venv PYTHON=python3.12" >&2; exit 1; }; \
	  $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo "error: $(PYTHON) cannot create environments: its venv or ensurepip module is missing." >&2; \
	    echo "       On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; \
	  echo "creating $(VENV) with `$(PYTHON) --version`"; \
	  $(PYTHON) -m venv --clear $(VENV); \
	fi
	@echo "installing the packages pinned in constraints.txt (some minutes the first time)"
	@$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	@touch $@

demo: venv ## run the demonstration
	$(VENV)/bin/cellwright demo

bench: venv ## measure CELLS beside torch's layers, loops and the bare matrix products; on an idle machine
	$(VENV)/bin/cellwright bench $(CELLS) $(BENCH_ARGS)

test: lint types ## ruff, mypy and the test suite, but for the slow tests
	$(PYTEST) -m '$(SLOW)' $(PYTEST_ARGS)

test-slow: venv ## the slow tests: processes that are killed or fall silent, interpreters, many random cells
	$(PYTEST) -m slow $(PYTEST_ARGS)

study: venv ## the article's comparison on a laptop: under half an hour on two cores
	$(VENV)/bin/cellwright study studies/laptop.toml --workers 2

test-killing: venv ## kill a study's workers at random 50 times, and compare with an undisturbed one
	CELLWRIGHT_KILLS=50 $(PY) -m pytest -q -p no:xdist tests/codegen/study/test_killing.py

test-postgres: venv ## a study shared by two workers, on a throwaway PostgreSQL server
	$(PY) tests/postgres.py -q -p no:xdist

lint: venv ## ruff: rules and formatting
	$(PY) -m ruff check
	$(PY) -m ruff format --check

types: venv ## mypy, strict
	$(PY) -m mypy

format: venv ## let ruff mend what it can
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

golden: venv ## rewrite tests/golden from what the code gives now; then read the diff
	$(PYTEST) -m golden --update-golden $(PYTEST_ARGS)

notebooks: venv ## execute the notebooks in place
	@for notebook in notebooks/*.ipynb; do \
	  echo "executing $$notebook"; $(PY) -c "$$EXECUTE" "$$notebook" || exit 1; \
	done

clean: ## remove caches and build outputs
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -type d -name __pycache__ -exec rm -rf {} +

distclean: clean ## the same, and .venv
	rm -rf $(VENV)
