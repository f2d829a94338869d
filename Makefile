# Everything a person types. `make dev` starts the whole system, `make test` proves it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install dev test lint bench lock generate clean
.DEFAULT_GOAL := help

help:
	@echo "make install | dev | test | lint | bench | lock | generate | clean"

install: $(STAMP)

# A checksum-verified install from the lock, then this checkout itself, so that `educonnect` is on the path.
$(STAMP): requirements/dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "EduConnect needs Python 3.11 or newer; this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(STAMP)

dev: install
	$(BIN)/educonnect dev $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: install lint
	$(BIN)/pytest -n 2 --dist loadgroup
	
bench: install
	$(BIN)/python -m bench $(ARGS)

# Resolves the newest versions that fit together, with hashes. Needs `uv` on the path.
lock:
	uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 pyproject.toml -o requirements/runtime.lock
	uv pip compile --quiet --generate-hashes --no-header --python-version 3.11 --group dev pyproject.toml -o requirements/dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
