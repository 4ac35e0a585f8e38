# `make quickstart` and `make test` are all that a new machine needs; both set up .venv first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile --constraint constraints.txt
# Bytecode by all processors at once, where pip would make it one file after the other, a minute. What hardly anything
# here imports (models of transformers, tests of packages, what packages need for what is not asked of them) is compiled
# when it is used: a third of all.
BYTECODE := $(BIN)/python -m compileall -qq -j 0 -x 'transformers/models/|/tests?/|/(sympy|networkx|nltk)/' $(VENV)/lib || true

# Without bytecode every process of every run would compile all of the checkout anew, a third of its CPU.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: quickstart test unit lint bench docs site wheel installed wheels clean help

help:  ## what there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "fmload needs Python 3.11 or newer; this is $$($(PYTHON) --version). Name another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "setting up $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.core: $(VENV)/.python pyproject.toml constraints.txt hatch_build.py fmload/wire/_native_reader.c
	@echo "installing fmload and what it needs (a minute or two the first time) …"
	@$(PIP) --editable .
	@$(BYTECODE)
	@$(BIN)/python -c 'from fmload.wire.reader import told; print(told())'
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	@echo "installing what the tests need …"
	@$(PIP) --editable '.[dev]'
	@$(BYTECODE)
	@touch $@

quickstart: $(VENV)/.core  ## the main job on emulated endpoints; ends with the headline table and the report's path
	@$(BIN)/fmload run configs/quickstart.yml

# A test that failed beside others, or for a moment's load of the machine, is run once more by itself, and must pass there.
AGAIN = [ $$? -eq 1 ] && echo "failed once; again, one at a time:" && \
	$(BIN)/python -m pytest --last-failed --last-failed-no-failures none
# One process more than there are processors: a third of the tests' time is spent waiting for runs to go by.
JOBS = $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )))
test: $(VENV)/.dev  ## all tests
	@$(BIN)/python -m pytest -m "not alone" -n $(JOBS) --maxprocesses 4 --dist worksteal || { $(AGAIN) -m "not alone"; }
	@$(BIN)/python -m pytest -m alone || { $(AGAIN) -m alone; }

unit: $(VENV)/.dev  ## the unit tests only: no sockets, seconds
	@$(BIN)/python -m pytest tests/unit

lint: $(VENV)/.dev  ## ruff, mypy, import-linter, the floors of the house
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.architecture --check

bench: $(VENV)/.dev  ## cost per token event, error against the truth, memory; beside the alternatives
	@$(BIN)/python -m tests.bench

docs: $(VENV)/.core  ## the generated parts of docs/: metrics and the run file's keys
	@$(BIN)/python -m fmload.metrics.definitions > docs/metrics.md && $(BIN)/python -m fmload.config.reference && $(BIN)/python -m tests.extending && $(BIN)/python -m tests.commands_page

site: $(VENV)/.dev  ## build the documentation's pages into site/, links checked
	@$(BIN)/zensical build --strict --clean && echo site/index.html

# Pure Python, for every system; FMLOAD_NATIVE=yes make wheel: with the native reader, for this one.
wheel: $(VENV)/.dev  ## build the wheel into dist/
	@rm -rf dist && FMLOAD_NATIVE=$${FMLOAD_NATIVE:-no} $(BIN)/python -m build --wheel --outdir dist . >/dev/null && ls dist

# VENV=DIR: the wheel of dist/ in an environment of its own, with nothing of the checkout.
installed: $(VENV)/.python
	@$(PIP) dist/*.whl
	@$(BYTECODE)

wheels: $(VENV)/.core  ## whether every dependency has a wheel, for Python 3.11 to 3.14 on Linux and macOS
	@$(BIN)/python -m tests.wheels

clean:  ## remove what was made, results excepted
	@rm -rf $(VENV) dist build site .pytest_cache .mypy_cache .ruff_cache .hypothesis
