# `make demo` and `make test` set everything up by themselves, in .venv. Needs make, and Python 3.10
# or newer with venv (on Debian: apt-get install make python3 python3-venv). The tests of a host have
# an environment of their own, .venv-HOST, and the Debian packages that make/HOST.mk names.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
TORCH ?= torch==2.13.0
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CODE := sam2_plugins tests benchmarks
HOSTS := $(basename $(notdir $(wildcard make/*.mk)))

.PHONY: help setup demo test test-core test-fast lint format pictures clean

help:
	@echo "make demo       track a dozen cells of a real time-lapse; see demo-output/"
	@echo "make test       lint, types, import contracts and all tests, those of the hosts too"
	@for host in $(HOSTS); do echo "make test-$$host  only the tests of that host"; done
	@echo "make test-fast  the quick tests, on all cores: about two minutes with two"
	@echo "make lint       ruff, mypy, import-linter, vermin"
	@echo "make format     let ruff mend what it can"
	@echo "make pictures   make the pictures of docs/ again"
	@echo "make setup      only install, in $(VENV); TORCH='torch==…' chooses another torch"
	@echo "make clean      remove $(VENV) and everything that was made"

setup: $(INSTALLED)

# $(call install,FOLDER,WHAT): torch comes first and pinned, so that nothing else chooses its version.
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "Python 3.10 or newer is needed: make setup PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "Python's venv is missing. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
	$(1)/bin/python -m pip install --quiet $(TORCH)
	$(1)/bin/python -m pip install --quiet $(2)
endef

$(INSTALLED): pyproject.toml
	$(call install,$(VENV),-e '.[dev]')
	touch $@

demo: setup
	$(BIN)/sam2-plugins demo --out demo-output

test: lint test-core

test-core: setup
	$(BIN)/python -m pytest

test-fast: setup
	$(BIN)/python -m pip install --quiet pytest-xdist
	$(BIN)/python -m pytest -m 'not slow' -n auto --dist worksteal

lint: setup
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vermin -t=3.10- --no-tips --violations --exclude str.decode $(CODE)

format: setup
	$(BIN)/ruff check --fix $(CODE)
	$(BIN)/ruff format $(CODE)

pictures: setup
	$(BIN)/python docs/make_pictures.py

clean:
	rm -rf $(VENV) $(VENV)-* demo-output build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis \
	  .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# Each adds test-HOST to `make test`.
include $(wildcard make/*.mk)
