# Everything a person types. `make dev` starts the whole system, `make test` proves it.
# Needs Python 3.11 and make; whatever else the tests can use is named at their end when it is missing.
PYTHON ?= python3
WORKERS ?= 3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Tests start hundreds of processes: what each would compile anew, where an image forbids to keep it, is twice what it has to load.
unexport PYTHONDONTWRITEBYTECODE

TRANSFORMERS := .venv-transformers
.PHONY: help install dev test test-transformers prove lint format generate bench lock clean web
# Where what is thrown away lies: in memory where there is plenty. Tests look for themselves.
SCRATCH = TMPDIR="$$($(BIN)/python -m tests.scratch)"
.DEFAULT_GOAL := help

help:
	@echo "make dev       start everything on this machine, with nothing installed (ARGS='--gateways 2 --port 8000')"
	@echo "make test      lint, short proofs, then all tests; says at the end what could not be run here"
	@echo "make test-transformers  the tests that need torch and transformers, in an environment of their own (1.3 GB)"
	@echo "make prove     the short proofs alone: simulator, hostile input, late commits, sync, faults, rehearsal with kills"
	@echo "make lint      ruff, mypy, and the rule that imports point down"
	@echo "make format    let ruff format and sort"
	@echo "make generate  write the documents and vectors that come from code"
	@echo "make web       the web SDK: types, tests, build, size (needs node)"
	@echo "make bench     measure (ARGS='fanout')"
	@echo "make lock      resolve the newest versions that fit together (needs uv)"
	@echo "make clean     remove the virtual environment and caches"

install: $(STAMP)

# A checksum-verified install from the lock, then this checkout itself, so that `educonnect` is on the path.
$(STAMP): requirements/dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "EduConnect needs Python 3.11 or newer; this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV), once: about a minute, without a word from pip unless something is wrong."
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

dev: install
	$(BIN)/educonnect dev $(ARGS)

# Each of them by itself is `make lint-mypy` and the like.
LINTS := lint-ruff lint-format lint-mypy lint-imports
.PHONY: $(LINTS)
lint: $(LINTS)

lint-ruff: install
	$(BIN)/ruff check .
lint-format: install
	$(BIN)/ruff format --check .
lint-mypy: install
	nice $(BIN)/mypy
lint-imports: install
	nice $(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Linters and proofs side by side: most proofs wait half of their time. One more worker than cores, since many tests wait, too. Pytest comes
# last, so that its closing line is the last thing a reader sees.
test: install
	$(MAKE) --no-print-directory -j $(WORKERS) --output-sync=target prove lint
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup $(ARGS)

# torch and transformers are an extra: 1.3 GB with torch's CPU build, which is taken where pip finds it (PIP_FIND_LINKS, an index of its own);
# the public index has only the one for CUDA on Linux, of 5 GB.
test-transformers: $(TRANSFORMERS)/.installed
	$(TRANSFORMERS)/bin/python -m pytest -q -m transformers $(ARGS)

$(TRANSFORMERS)/.installed: requirements/transformers.lock requirements/transformers-cpu.lock requirements/dev.lock
	$(PYTHON) -m venv $(TRANSFORMERS)
	$(TRANSFORMERS)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/transformers-cpu.lock \
	  || $(TRANSFORMERS)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/transformers.lock
	$(TRANSFORMERS)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	touch $(TRANSFORMERS)/.installed

web: web/node_modules/.package-lock.json
	cd web/sdk && npm run --silent check && npm run --silent test && npm run --silent build

web/node_modules/.package-lock.json: web/package-lock.json
	cd web && npm ci

# The short forms of the long searches; each prints what it counted, and fails on a single violation. The longest come first, and what only
# computes gives way to what talks to running servers. Each by itself is `make prove-matrix` and the like; all at once, `make -j 3 prove`.
PROOFS := matrix openapi sync_model faults ml_chaos rehearse fuzz max_write simulate jobs documents gap unfenced serial
.PHONY: $(PROOFS:%=prove-%)
prove: $(PROOFS:%=prove-%)

PROVE = $(SCRATCH) $(BIN)/python -m proofs
PROVE_NICELY = $(SCRATCH) nice $(BIN)/python -m proofs
prove-matrix: install
	$(PROVE) matrix
prove-openapi: install
	$(PROVE_NICELY) openapi
prove-simulate: install
	$(PROVE_NICELY) simulate --seeds 200
prove-sync_model: install
	$(PROVE_NICELY) sync_model --examples 500
prove-fuzz: install
	$(PROVE) fuzz --short
prove-gap: install
	$(PROVE) gap --seconds 5
prove-serial: install
	! $(PROVE) gap --seconds 2 --serial
prove-jobs: install
	$(PROVE) jobs --seconds 8
prove-documents: install
	$(PROVE_NICELY) documents
prove-unfenced: install
	! $(PROVE) jobs --seconds 4 --unfenced
prove-max_write: install
	$(PROVE) max_write --runs 5
prove-ml_chaos: install
	$(PROVE) ml_chaos --short
prove-faults: install
	$(PROVE) faults --short
prove-rehearse: install
	$(PROVE) rehearse --seconds 20 --users 40 --devices 100 --communities 10 --kill gateway,redis,postgres

generate: install
	$(BIN)/python -m supervisors.generated

bench: install
	$(BIN)/python -m bench $(ARGS)

lock:
	uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 pyproject.toml -o requirements/runtime.lock
	uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 --group dev pyproject.toml -o requirements/dev.lock
	uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 --extra traces pyproject.toml -o requirements/traces.lock
	uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 --extra transformers pyproject.toml -o requirements/transformers.lock
	uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 --extra aif360 pyproject.toml -o requirements/aif360.lock
	$(PYTHON) requirements/for_cpu.py requirements/transformers.lock requirements/transformers-cpu.lock

clean:
	rm -rf $(VENV) $(TRANSFORMERS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
