# Every target is one line of help; what takes more than a line is in scripts/.
.DEFAULT_GOAL := help
.PHONY: help demo run setup viewer test soak conformance lint bench lock clean

VENV := .venv/bin/python -m

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

demo: setup ## Two real Panoramax servers with generated pictures, harvested and served until Ctrl-C
	@exec $(VENV) panofed demo

run: setup ## Harvest what instances.yaml enables, and serve it, until Ctrl-C
	@exec $(VENV) panofed run

setup: ## Make .venv with the locked dependencies (the others do it when needed)
	@scripts/setup
	@scripts/viewer --optional

viewer: ## Fetch the web viewer of the front page from npm (setup does it where npm is)
	@scripts/viewer

test: setup ## Run every test: doctests, unit, integration, acceptance; TESTS="tests/unit -k leaf" runs some
	$(VENV) $(if $(TESTS),pytest --durations=15 $(TESTS),tests)

soak: setup ## Random walks and kills for as long as asked: SECONDS=600 SEED=7 STEPS=150; see docs/harvesting.md
	@exec $(VENV) tests.soak --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED)) $(if $(STEPS),--steps $(STEPS))

conformance: setup ## Let other people's programs judge the API: stac-api-validator, schemathesis, pystac-client, panoramax_cli
	$(VENV) pytest --durations=5 tests/conformance

lint: setup ## Check style, formatting and types
	$(VENV) ruff check .
	$(VENV) ruff format --check .
	$(VENV) mypy

bench: setup ## Measure everything (long: it makes and harvests a million pictures); see bench/README.md
	$(VENV) bench.run all

lock: ## Resolve the dependencies of pyproject.toml anew into requirements.lock (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --upgrade --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --group dev pyproject.toml --output-file requirements.lock

clean: ## Stop the database and remove .venv, caches and .panofed, the harvested data included
	@scripts/clean
