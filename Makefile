# Two commands on a machine with Python 3.11 to 3.13 and make: `make demo` and `make test`. Everything is written under this folder.
PYTHON ?= python3
VENV := .venv
CACHE := $(CURDIR)/.cache
# Keras, Matplotlib, pip and pointkit itself keep files in the home folder, temporary ones go to /tmp; here they all go to .cache.
export KERAS_HOME := $(CACHE)/keras
export MPLCONFIGDIR := $(CACHE)/matplotlib
export POINTKIT_CACHE := $(CACHE)/pointkit
export TMPDIR := $(CACHE)/tmp
export PIP_NO_CACHE_DIR := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: all setup demo quick test lint clean

all: setup

setup: $(VENV)/.done

$(VENV)/.done: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "pointkit needs Python 3.11 to 3.13; name one with: make PYTHON=python3.12" >&2; exit 2; }
	mkdir -p $(TMPDIR)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --editable ".[dev]"
	touch $@

demo: setup
	@mkdir -p $(TMPDIR)
	@$(VENV)/bin/pointkit demo -o demo

quick: setup
	@mkdir -p $(TMPDIR)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/python -m pytest -n 2 --dist worksteal --basetemp=$(CACHE)/pytest --quick

test: setup
	@mkdir -p $(TMPDIR)
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile --basetemp=$(CACHE)/pytest

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) .venv-* .cache demo
