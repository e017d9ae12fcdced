# run, test, check, bench: plain verbs. Set-up is skipped when nothing changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet install --constraint requirements.lock

.PHONY: run test check soak lock clean

run: $(VENV)/.run
	@$(BIN)/python -m sandbox.launch

test: $(VENV)/.test
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/python -m pytest -q tests/test_import_table.py

soak: $(VENV)/.test ## kill -9, failing stores and a failing Stripe, for MINUTES=5
	@$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),5)

lock: ## writes down the versions that are installed now
	$(BIN)/python -m pip freeze --exclude-editable > requirements.lock

clean:
	rm -rf $(VENV) build

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 run"; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt requirements.lock | $(VENV)/bin/python
	@echo "Installing requirements.txt into $(VENV), about half a minute ..."
	@$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.test: requirements.txt requirements-dev.txt requirements.lock | $(VENV)/bin/python
	@echo "Installing requirements-dev.txt (PostgreSQL and Redis included) into $(VENV), about a minute ..."
	@$(PIP) -r requirements-dev.txt
	@touch $@
