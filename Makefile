# Each target sets up what it needs: `make demo` and `make test` work on a fresh machine with Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test check lab soak bench clean

demo: $(VENV)/.ready
	$(BIN)/reco-assist demo --out demo

test: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -m "not soak"

check: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if command -v npm >/dev/null; then cd widgets && npm ci --silent --no-fund --no-audit && npx --no-install tsc; \
	else echo "skipped: the widgets' types need npm, which is not installed"; fi

lab: $(VENV)/.ready
	$(BIN)/reco-assist lab

soak: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -m soak --timeout 7200

bench: $(VENV)/.ready-dev
	$(BIN)/python benchmarks/cosegment.py
	$(BIN)/python benchmarks/interaction.py

clean:
	rm -rf $(VENV) demo

$(VENV)/.python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "reco-assist needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.ready: $(VENV)/.python pyproject.toml constraints.txt
	$(PIP) --constraint constraints.txt torch torchvision
	$(PIP) --constraint constraints.txt --editable .
	touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(PIP) --constraint constraints.txt --editable '.[dev,ray]'
	@# The oracle of the CRF's tests is compiled here; without a compiler they are skipped and say so.
	-@$(PIP) pydensecrf2==1.1 || echo "pydensecrf2 did not compile: the tests that need it are skipped"
	touch $@
