# Everything installs itself: what a target needs lands in .venv/ first. Python and make suffice.
#
#   make test DJANGO=5.2              one line of Django instead of all (5.2, 6.0 or 6.1)
#   make test-sqlite ARGS="-k crash"  arguments for pytest (or for `make bench`)
#   make test PROGRAMS=package        PyPI's PostgreSQL even where the machine has one (or: system)
#   make demo ONCE=1                  the demo ends by itself

PYTHON3 ?= python3
PROCESSES ?= 4
ARGS ?=
DJANGO ?=
PROGRAMS ?= any
ONCE ?=

environment := $(PYTHON3) -m tools.environment
lines = $(or $(DJANGO:%=django%),$(shell $(environment) lines),$(error No Python to test with))
newest = $(lastword $(lines))
again = @$(MAKE) --no-print-directory
quietly = @output=$$($(1) 2>&1) || { echo "$$output"; exit 1; }

with_postgres = $(1)/bin/python -m tools.postgres run --programs $(PROGRAMS)
# Development mode without its checks of C's memory: there is no C here, and they take a sixth of the time.
looks = tests/browser/test_looks.py
pytest = env PYTHONDEVMODE=1 PYTHONMALLOC=pymalloc $(1)/bin/python -m pytest -n $(PROCESSES) $(ARGS)

.PHONY: help check test test-sqlite test-postgres bench openapi demo clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-15s %s\n", $$1, $$2 }' Makefile

check: ## look at style, types, layers and migrations; silent if all is well
	$(again) check-$(newest)

test: ## run the tests on SQLite and PostgreSQL, under the oldest and the newest Django
	$(again) $(foreach line,$(lines),test-sqlite-$(line) test-postgres-$(line))

test-sqlite: ## run the tests on SQLite only
	$(again) $(lines:%=test-sqlite-%)

test-postgres: ## run the tests on PostgreSQL only: DATABASE_URL's, or a private one
	$(again) $(lines:%=test-postgres-%)

test-browser: ## drive the demo in a real browser, on SQLite and PostgreSQL; look at both themes of the admin
	$(again) test-browser-$(newest) $(patsubst %,test-looks-%,$(filter-out $(newest),$(lines)))

screenshots: ## take the pictures of the docs
	$(again) test-browser-sqlite-$(newest) PICTURES=docs/images

bench: .venv/bench/ready ## measure throughput and latency on a private PostgreSQL
	@$(call with_postgres,$(<D)) --fsync -- $(<D)/bin/python -m benchmarks $(ARGS)

openapi: .venv/$(newest)/ready ## write docs/openapi.yaml anew, as the REST API is now
	@$(<D)/bin/python -m tools.openapi

bench-pages: ## measure the admin's and the REST API's pages at a million runs (ARGS="--runs N")
	$(again) bench-pages-$(newest)

demo: .venv/demo/ready ## show the demo project: workflows in every state, in the admin
	@$(<D)/bin/python manage.py demo $(if $(ONCE),--once)

clean: ## remove what the other targets made
	rm -rf .venv .cache build dist var
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Nothing is stored: mypy leaves without tidying up a folder of databases.
check-%: export DATABASE_URL = sqlite:///:memory:
check-%: export OTHER_DATABASE_URL = sqlite:///:memory:
check-%: .venv/%/ready
	@$(<D)/bin/ruff format --check --quiet .
	@$(<D)/bin/ruff check --quiet .
	@$(<D)/bin/mypy --no-error-summary
	$(call quietly,$(<D)/bin/lint-imports --no-logo --cache-dir .cache/import-linter)
	$(call quietly,$(<D)/bin/python manage.py makemigrations --check --dry-run \
		--settings tests.check_settings)

test-sqlite-%: .venv/%/ready
	@echo "Tests: $*, SQLite"
	@DATABASE_URL= $(call pytest,$(<D))

test-postgres-%: .venv/%/ready
	@echo "Tests: $*, PostgreSQL"
	@$(call with_postgres,$(<D)) -- $(call pytest,$(<D))

bench-pages-%: .venv/%/ready
	@$(call with_postgres,$(<D)) -- $(<D)/bin/python -m benchmarks.pages $(ARGS)

test-browser-%: test-browser-sqlite-% test-browser-postgres-%
	@:

test-browser-sqlite-%: .venv/%/ready
	@$(<D)/bin/python -m tools.browser
	@echo "Tests in a browser: $*, SQLite"
	@DATABASE_URL= $(call pytest,$(<D)) -n 0 tests/browser

test-browser-postgres-%: .venv/%/ready
	@$(<D)/bin/python -m tools.browser
	@echo "Tests in a browser: $*, PostgreSQL"
	@$(call with_postgres,$(<D)) -- $(call pytest,$(<D)) -n 0 tests/browser --ignore $(looks)

test-looks-%: .venv/%/ready
	@$(<D)/bin/python -m tools.browser
	@echo "Looks in a browser: $*, stock and unfold"
	@DATABASE_URL= $(call pytest,$(<D)) -n 0 $(looks)

.venv/%/ready: tools/environment.py
	@$(environment) make $*

.venv/django5.2/ready .venv/django6.0/ready .venv/django6.1/ready: requirements.txt requirements-dev.txt
.venv/bench/ready: requirements.txt benchmarks/requirements.txt
.venv/demo/ready: requirements.txt
