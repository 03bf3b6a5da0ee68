# CroweTrade. `make help` lists what there is.
#
# Everything installs into .venv (uv keeps its downloads where it always does) and all data stay
# in .crowetrade. With DATABASE_URL and CELERY_BROKER_URL set, the same commands use those servers.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
# The first Python of 3.11 or newer that runs; say PYTHON=/path/to/python to choose another.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	>/dev/null 2>&1 && echo $$p && break; done)
UV := $(BIN)/uv pip install --python $(BIN)/python --quiet --require-hashes --compile-bytecode
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo serve test test-all check bench simulate peers mlflow-clients format lock install clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: $(VENV)/.demo ## the main job end to end on real prices, with nothing installed
	@$(BIN)/python manage.py demo $(ARGS)

serve: $(VENV)/.base ## the whole site at http://127.0.0.1:8000: web, worker, beat
	@$(BIN)/python manage.py serve $(ARGS)

test: $(VENV)/.test ## every test but those of scale and endurance
	@$(BIN)/python -m pytest -n auto --dist loadscope -q -m "not long" $(ARGS)

test-all: $(VENV)/.test ## every test, those that take minutes too
	@$(BIN)/python -m pytest -n auto --dist loadscope -q $(ARGS)

check: $(VENV)/.dev ## format, lint, types, import contracts, Django's checks, migrations
	@echo "ruff format" && $(BIN)/ruff format --check --quiet .
	@echo "ruff check" && $(BIN)/ruff check --quiet .
	@echo "mypy" && $(BIN)/mypy .
	@echo "lint-imports" && $(BIN)/lint-imports --no-logo 2>&1 | grep -vE '^$$'; test $${PIPESTATUS[0]} -eq 0
	@echo "manage.py check" && $(BIN)/python manage.py check --fail-level WARNING
	@echo "manage.py makemigrations --check" && $(BIN)/python manage.py makemigrations --check --dry-run

bench: $(VENV)/.test ## measure the engine and the platform
	@$(BIN)/python -m benchmarks $(ARGS)

simulate: $(VENV)/.test ## A/A, power and regret of every method into docs/experiments.md; checks what must hold
	@$(BIN)/python -m benchmarks.simulate $(ARGS)

peers: $(VENV)/.uv ## other engines to compare with, in environments of their own
	@for name in peers peers-nautilus; do \
		$(BIN)/uv venv --quiet --clear --python $(PYTHON) .venv-$$name && \
		$(BIN)/uv pip install --python .venv-$$name/bin/python --quiet --require-hashes \
		--compile-bytecode -r requirements/$$name.txt || exit 1; done

mlflow-clients: $(VENV)/.uv ## unmodified MLflow clients for the registry's tests, likewise
	@for name in mlflow3 mlflow2; do \
		$(BIN)/uv venv --quiet --clear --python $(PYTHON) .venv-$$name && \
		$(BIN)/uv pip install --python .venv-$$name/bin/python --quiet --require-hashes \
		--compile-bytecode -r requirements/$$name.txt || exit 1; done

format: $(VENV)/.dev ## format and fix what can be fixed
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lock: $(VENV)/.uv ## pin requirements/*.in anew
	@cd requirements && for name in base s3 test dev peers peers-nautilus mlflow3 mlflow2; do \
		../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header $$name.in -o $$name.txt || exit 1; done && \
	../$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-deps demo.in -o demo.txt

install: $(VENV)/.dev ## everything a developer needs, pre-commit hooks included
	@$(BIN)/pre-commit install

clean: ## remove the environment and caches; data in .crowetrade stays
	@rm -rf $(VENV) .venv-peers .venv-peers-nautilus .venv-mlflow3 .venv-mlflow2 .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(VENV)/.uv:
	@if [ -z "$(PYTHON)" ]; then \
		echo "CroweTrade needs Python 3.11 or newer; this machine has $$(python3 --version 2>&1 || true)." >&2; \
		echo "Install one (Debian, Ubuntu: apt install python3 python3-venv), or name it: make PYTHON=/path/to/python3.11 ..." >&2; \
		exit 1; fi
	@$(PYTHON) -m venv $(VENV) 2>$(VENV).log || { \
		if grep -q ensurepip $(VENV).log || ! $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
			echo "$(PYTHON) lacks its venv module. Debian, Ubuntu: apt install python3-venv" >&2; \
		else cat $(VENV).log >&2; fi; rm -rf $(VENV) $(VENV).log; exit 1; }
	@rm -f $(VENV).log
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv 2>$(VENV)/pip.log || { cat $(VENV)/pip.log >&2; exit 1; }
	@pwd > "$$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])')/crowetrade.pth"
	@touch $@

$(VENV)/.base: requirements/base.txt | $(VENV)/.uv
	@echo "Installing what the platform needs ..." && $(UV) -r $< && touch $@

$(VENV)/.demo: requirements/demo.txt $(VENV)/.base
	@$(UV) --no-deps -r $< && touch $@

$(VENV)/.test: requirements/test.txt requirements/demo.txt | $(VENV)/.uv
	@echo "Installing what the tests need ..." && $(UV) -r $< && $(UV) --no-deps -r requirements/demo.txt && touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.test
	@echo "Installing what development needs ..." && $(UV) -r $< && touch $@
