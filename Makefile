# Each target sets up what it needs: `make demo` and `make test` work on a fresh machine with Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
LABEL_STUDIO := .venv-label-studio
BIN := $(VENV)/bin
# Two at a time, of one thread each: a file's tests stay together, so that what they share is made once. In the
# order of the alphabet: xdist's own leaves the files with few tests to the end, which are our longest.
TWO := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test test-fast check widgets docs lab soak bench clean label-studio

demo: $(VENV)/.ready
	$(BIN)/reco-assist demo --out demo

test: $(VENV)/.ready-dev $(VENV)/.browser label-studio
	$(TWO) -m "not soak" -rs

# What needs no browser, server, large model or command line, for the time between two edits.
test-fast: $(VENV)/.ready-dev
	$(TWO) -m "not soak and not slow"

check: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if ! command -v npm >/dev/null; then echo "skipped: checking and building the widgets needs npm, which is not installed"; \
	else cd widgets && npm ci --silent --no-fund --no-audit && npm run --silent check; fi

# What the notebook loads, made of widgets/src; committed, so that users need no Node.
widgets:
	cd widgets && npm ci --silent --no-fund --no-audit && npm run --silent build

docs: $(VENV)/.ready-docs
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	$(BIN)/python scripts/check_links.py docs/_build/html

lab: $(VENV)/.ready
	$(BIN)/reco-assist lab

soak: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -m soak --timeout 7200

bench: $(VENV)/.ready-dev
	$(BIN)/python benchmarks/results.py

# The browser tests want a Chromium: the system's, else Debian's where we may install it, else Playwright's own.
$(VENV)/.browser: $(VENV)/.ready-dev
	@test -n "$$CHROMIUM" || command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
	|| { test "$$(id -u)" = 0 && apt-get update && apt-get install -y chromium; } >/dev/null 2>&1 \
	|| $(BIN)/playwright install chromium >/dev/null 2>&1 \
	|| echo "no Chromium could be installed: the browser tests are skipped"
	touch $@

clean:
	rm -rf $(VENV) $(LABEL_STUDIO) demo docs/_build docs/_made

# A real server for the tests, in an environment of its own: it pins packages that we need in other versions.
label-studio: $(VENV)/.python
	@test -f $(LABEL_STUDIO)/.ready || $(MAKE) --no-print-directory $(LABEL_STUDIO)/.ready \
	  || echo "Label Studio could not be installed: the tests that need its server are skipped"

$(LABEL_STUDIO)/.ready:
	$(PYTHON) -m venv $(LABEL_STUDIO)
	$(LABEL_STUDIO)/bin/python -m pip install --quiet --disable-pip-version-check label-studio==1.23.2
	touch $@

$(VENV)/.python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "reco-assist needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.ready: $(VENV)/.python pyproject.toml constraints.txt
	$(PIP) --constraint constraints.txt torch
	$(PIP) --constraint constraints.txt --editable .
	touch $@

$(VENV)/.ready-docs: $(VENV)/.ready
	$(PIP) --constraint constraints.txt --editable '.[docs]'
	touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(PIP) --constraint constraints.txt --editable '.[dev,train,ray]'
	@# The oracle of the CRF's tests is compiled here; without a compiler they are skipped and say so.
	-@$(PIP) pydensecrf2==1.1 || echo "pydensecrf2 did not compile: the tests that need it are skipped"
	touch $@
