# Two commands do everything on a fresh machine: `make demo` and `make test`.
# What they install is said in README.md; scripts/bootstrap.sh is the only place that installs.
.DEFAULT_GOAL := help
PY := .venv/bin/python
BIN := .venv/bin

.PHONY: help demo up test quick explore check fix bench lock console clean system

help: ## Say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

.venv/.ready: pyproject.toml requirements.lock scripts/bootstrap.sh
	@sh scripts/bootstrap.sh venv

system: .venv/.ready
	@sh scripts/bootstrap.sh system

console: .venv/.ready commhub/web/static/index.html ## Build the browser console

commhub/web/static/index.html: $(shell find console -type f -not -path '*/node_modules/*' 2>/dev/null)
	@$(PY) console/build.py

demo: .venv/.ready console ## Start the hub with simulated equipment; prints the console's URL and login
	@sh scripts/bootstrap.sh demo
	@$(BIN)/commhub demo

test: .venv/.ready console system ## Install what the tests need, then run all of them
	@$(PY) -m pytest

quick: .venv/.ready ## Unit and contract tests, under a minute
	@$(PY) -m pytest tests/unit tests/contract -q

explore: .venv/.ready ## Property tests with new examples every time, many of them
	@HYPOTHESIS_PROFILE=explore $(PY) -m pytest -q -m hypothesis tests/unit tests/contract

check: .venv/.ready ## Format, lint, types, import directions, console
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(PY) console/build.py --check

fix: .venv/.ready ## Format and mend what can be mended by itself
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: .venv/.ready ## Every figure of docs/performance.md
	@$(PY) -m benchmarks all

lock: ## Write requirements.lock anew
	@$(PY) -m uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --all-extras --group dev \
	  --custom-compile-command "make lock" pyproject.toml -o requirements.lock

clean: ## Remove what was built, not what was recorded
	@rm -rf .venv console/node_modules commhub/web/static dist
