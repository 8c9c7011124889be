# The same commands for people and for CI. `make serve` needs Python 3.11 to 3.14 and nothing else.
PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
INSTALLED_TEST := $(VENV)/.installed-test
PAGE := handlers/zfnet_explainer/wire/page

# Packages are compiled when they are first imported. An environment that keeps Python from writing that down would have
# every process compile torch anew: five seconds each.
unexport PYTHONDONTWRITEBYTECODE

# An environment whose Python does not run any more, since the system has another, is made anew.
ifneq ($(shell $(BIN)/python -c 'print("runs")' 2> /dev/null),runs)
$(shell rm -f $(BIN)/python $(INSTALLED) $(INSTALLED_TEST))
endif

.PHONY: help serve accuracy bench gpu install test tests slow whole check coverage container floors audit clean

help:
	@echo "make serve      install what is missing and start the server; ARGS=\"--port 9090\" passes options"
	@echo "make accuracy DATA=folder   measure the shipped weights on folder/val/CLASS/* or tar shards of it"
	@echo "make bench      time explanations on this machine; ARGS=\"--grids 32/8\" for less"
	@echo "make gpu        on a machine with a GPU: test and measure all of it, eight minutes; docs/gpu.md"
	@echo "make test       what is checked, and all tests but the slow ones; ARGS=\"-k occlusion\" for some"
	@echo "make slow       the tests in which servers break and start anew, examples run and commands measure"
	@echo "make whole      all tests but the container's, as CI runs them"
	@echo "make check      ruff, mypy and the page's syntax: before a commit"
	@echo "make coverage   all that make whole runs, and which lines and branches it reaches"
	@echo "make container  the tests of the image, which you build first: docs/deployment.md"
	@echo "make floors     the mathematics', the wire's and the commands' tests with the lowest and the newest packages"
	@echo "make audit      look for known holes in the pinned packages; needs the network"
	@echo "make clean      remove the environment, the run folder and caches"

serve: $(INSTALLED)
	@$(BIN)/zfnet-explainer serve $(ARGS)

accuracy: $(INSTALLED)
	@[ -n "$(DATA)" ] || { echo "Of which pictures? make accuracy DATA=folder, of folder/val/CLASS/* or tar shards" >&2; exit 2; }
	@$(BIN)/zfnet-explainer evaluate "$(DATA)" --only accuracy $(ARGS)

bench: $(INSTALLED)
	@$(BIN)/zfnet-explainer bench $(ARGS)

gpu: $(INSTALLED_TEST)
	@$(BIN)/python -m tools.gpu --out results/gpu $(ARGS)

install: $(INSTALLED_TEST)

test: check tests

# A thread each: on two cores two processes are a third faster than one with two threads. Tests that share a server
# stay together, and what starts servers comes first (tests/conftest.py).
PYTEST := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/pytest --numprocesses 3 --dist loadgroup --no-loadscope-reorder

tests: $(INSTALLED_TEST)
	$(PYTEST) -m "not slow and not container" $(ARGS)

slow: $(INSTALLED_TEST)
	$(PYTEST) -m slow $(ARGS)

whole: $(INSTALLED_TEST)
	$(PYTEST) $(ARGS)

check: $(INSTALLED_TEST)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	@command -v node > /dev/null || { echo "not checked: the page's scripts, for want of node"; exit 0; }; \
	  for script in $(PAGE)/*.js; do node --check $$script || exit 1; done
	$(BIN)/mypy

coverage: override ARGS += --cov --cov-report term --cov-report html:build/coverage
coverage: whole

container: $(INSTALLED_TEST)
	$(BIN)/pytest -m container tests/deploy/test_container.py

# The lowest versions that pyproject.toml admits on the oldest Python, the newest ones on the newest Python; pytest and
# what else tests need is new in both.
UV := build/uv/bin/uv
define floor
$(UV) venv --quiet --clear --python $(1) build/floors/$(1)
$(UV) pip install --quiet --python build/floors/$(1) --resolution $(2) --editable .
$(UV) pip install --quiet --python build/floors/$(1) --editable ".[test]"
OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive build/floors/$(1)/bin/pytest -q tests/net tests/methods tests/wire tests/commands
endef

floors: $(UV)
	$(call floor,3.11,lowest-direct)
	$(call floor,3.14,highest)

$(UV):
	$(PYTHON) -m venv build/uv
	build/uv/bin/pip install --quiet uv

# In an environment of its own; a package that could not be looked up is a failure too.
audit:
	@$(PYTHON) -m venv build/audit
	@build/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	build/audit/bin/pip-audit --strict --progress-spinner off --no-deps --disable-pip --requirement deploy/constraints.txt

clean:
	rm -rf build/audit build/coverage build/floors build/uv $(VENV) .run .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache handlers/*.egg-info model_store/*.mar

# Where venv fails, for want of Debian's python3-venv, say, it leaves a Python without pip.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' || { \
	  echo "Python 3.11 to 3.14 is needed, $(PYTHON) is not: make PYTHON=python3.12 ..." >&2; exit 1; }
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -f $@; exit 1; }

$(INSTALLED): pyproject.toml | $(BIN)/python
	@echo "Installing the project and what it needs into $(VENV): once, about two minutes and 6 GB"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable .
	@touch $@

# With the tools for testing comes all that serving needs.
$(INSTALLED_TEST): pyproject.toml | $(BIN)/python
	@echo "Installing the project and the tools for testing into $(VENV): once, about two minutes and 6.5 GB"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable ".[test]"
	@touch $(INSTALLED) $@
