# The whole loop. Needs make and Python 3.11 to 3.14, nothing else: PostgreSQL and Valkey come along.

.DEFAULT_GOAL := help
.PHONY: help demo dev test check browser faults fuzz fix words calls bench lock
SHELL := /bin/sh

# The tests start many processes: what one has compiled, the others need not.
export PYTHONDONTWRITEBYTECODE =

BIN := .venv/bin
READY := .venv/.ready
# Everything in the lock is pinned and hashed; pip takes nothing else.
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet

help: ## this list
	@echo "Firsthand: a consent-first CRM. Each target sets up .venv first, if need be."
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

demo: $(READY) ## the main job, from import to accounting: make demo ARGS="--customers 100000"
	@$(BIN)/crm demo $(ARGS)

dev: $(READY) ## web with reload, worker and letterbox in one terminal
	@$(BIN)/crm up --dev $(ARGS)

test: $(READY) ## the tests: make test T=tests/consent
	$(BIN)/pytest $(or $(T),-n 2 --dist worksteal)

check: $(READY) ## format, lint, types, import rules, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -n 2 --dist worksteal

browser: $(READY) ## every page in Chromium, in every combination: takes a while
	CRM_TEST_BROWSER=all $(BIN)/pytest -n 2 --dist worksteal \
		--timeout 3600 -o faulthandler_timeout=3600 tests/chromium

faults: $(READY) ## kill and cut everything at random: make faults ARGS="--seed 4 --minutes 15"
	@$(BIN)/python -m tests.faults $(ARGS)

fuzz: $(READY) ## the API with whatever its document allows or forbids: make fuzz ARGS="--seed 4 --examples 5000"
	@$(BIN)/python -m tests.fuzz $(ARGS)

fix: $(READY) ## format, and correct what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

words: $(READY) ## gather the texts that customers read into the catalogs, and the kinds of events into docs/
	@$(BIN)/python -m tests.words
	@$(BIN)/python -m tests.webhooks.catalogue

calls: $(READY) ## write the calls of crm.client from the OpenAPI document
	@$(BIN)/python -m tests.calls

bench: $(READY) ## the benchmarks, each beside its ceiling: make bench ARGS="--json"
	@$(BIN)/crm bench $(ARGS)

lock: ## compile deploy/requirements*.txt anew (needs uv on the PATH)
	uv pip compile $(LOCK) pyproject.toml -o deploy/requirements.txt
	uv pip compile $(LOCK) pyproject.toml --group dev -c deploy/requirements.txt \
		-o deploy/requirements-dev.txt

# One lock for every Python we claim, and no address in it: pip asks whatever index it is set to.
LOCK := --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate

# Prints the first usable Python, or "!" and the one line that says what to do.
FIND_PYTHON = found=; bare=; \
	for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
		"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' \
			2>/dev/null || continue; \
		"$$python" -c 'import ensurepip, venv' 2>/dev/null && { found=$$python; break; }; \
		bare=$${bare:-$$python}; \
	done; \
	if [ "$$found" ]; then echo "$$found"; \
	elif [ "$$bare" ]; then echo "! $$bare cannot make a virtual environment: install its venv" \
		"module (Debian and Ubuntu: apt-get install python3-venv), then run make again"; \
	else echo "! Firsthand needs Python 3.11 to 3.14 and found none: install one, or name it as in" \
		"'make test PYTHON=/opt/python3.12/bin/python3'"; fi

$(READY): deploy/requirements-dev.txt pyproject.toml
	$(eval USED := $(shell $(FIND_PYTHON)))
	$(if $(filter !,$(USED)),$(error $(wordlist 2,99,$(USED))))
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || \
		{ echo "Making .venv with $(USED)" >&2; $(USED) -m venv --clear .venv; }
	@echo "Installing what deploy/requirements-dev.txt pins into .venv" >&2
	@$(PIP) install --require-hashes --requirement deploy/requirements-dev.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
