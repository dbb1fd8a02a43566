# Everything a person or CI runs. `make help` lists it; each target installs what it needs into .venv, once.
.DEFAULT_GOAL := help
SHELL := /bin/sh

PORT ?= 8000
AWS_PORT ?= 4566
POLICY ?= policy
ROLES ?= on
PYTHON ?=
WORKERS ?= 3
STEPS ?= 1000000
LIVES ?= 10000
FORGED ?= 1000000
SEEDS ?= 1000
RESTORES ?= 200
GENERATED ?= 900
PAIRS ?= 1000
ROUNDS ?= 1000
ONLY ?=
REMOVALS ?= 12
AWS_SEEDS ?= 40
BIN := .venv/bin
CODE := app.py bench examples functions gonogo infra local tests
pytest = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)
install = PYTHON="$(PYTHON)" sh local/install.sh

.PHONY: help
help: ## Show what there is
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: up
up: ## Run all of gonogo on this machine (PORT=8000 AWS_PORT=4566 POLICY=policy ROLES=on); Ctrl-C ends it
	@$(install) local
	@exec $(BIN)/python -m local up --port "$(PORT)" --aws-port "$(AWS_PORT)" --policy "$(POLICY)" --roles "$(ROLES)"

.PHONY: demo
demo: ## Drive one whole launch through a running `make up`, or through one of its own
	@$(install) local
	@exec $(BIN)/python -m local demo --port "$(PORT)" --aws-port "$(AWS_PORT)"

.PHONY: test
test: ## Run all tests (ARGS="-k mail" to choose)
	@$(install) test
	@$(pytest)

.PHONY: check
check: ## Check format, lint and types, then run all tests
	@$(install) test
	@echo "format" && $(BIN)/ruff format --check $(wildcard $(CODE))
	@echo "lint" && $(BIN)/ruff check --quiet $(wildcard $(CODE))
	@echo "types" && $(BIN)/mypy --no-error-summary $(wildcard $(CODE))
	@echo "tests" && $(pytest)


.PHONY: format
format: ## Format the code and mend what can be mended
	@$(install) test
	@$(BIN)/ruff check --fix --quiet $(wildcard $(CODE)) ; $(BIN)/ruff format $(wildcard $(CODE))

.PHONY: docs
docs: ## Write what is made from code: the events' schemas and table, the table of states
	@$(install) local
	@$(BIN)/python -m infra.schemas

.PHONY: nightly
nightly: ## Try the core in a million random steps (STEPS=1000000), the bill in ten thousand lives (LIVES=10000), two builds
	@$(install) test
	@GONOGO_STEPS=$(STEPS) GONOGO_LIVES=$(LIVES) GONOGO_SECOND_QUORUM=2 GONOGO_BUILDS=2 $(pytest) tests/core/test_machine.py tests/core/test_small_world.py tests/service/test_ledger.py tests/package/test_zip.py

.PHONY: planted
planted: ## Plant bugs in a copy of the code, one by one, and count the simulated worlds that find them
	@$(install) test
	@exec $(BIN)/python -m tests.simulation.planted

.PHONY: soak
soak: ## Try at length: hostile input, faults in pairs, worlds, restores, 64 at once, roles that lack something (FORGED= GENERATED= PAIRS= SEEDS= AWS_SEEDS= RESTORES= ROUNDS= REMOVALS=)
	@$(install) test
	@GONOGO_PAIRS="$(PAIRS)" GONOGO_SEEDS="$(SEEDS)" GONOGO_AWS_SEEDS="$(AWS_SEEDS)" GONOGO_WORLD_STEPS=400 GONOGO_AWS_WORLD_STEPS=400 GONOGO_RESTORES="$(RESTORES)" GONOGO_FORGED="$(FORGED)" GONOGO_FIELDS=all GONOGO_TEXTS=all GONOGO_GENERATED="$(GENERATED)" GONOGO_ROUNDS="$(ROUNDS)" GONOGO_REMOVALS="$(REMOVALS)" $(pytest) tests/hostile tests/contract/test_one_winner.py tests/service/test_faults.py tests/simulation tests/package/test_removed.py

.PHONY: mutants
mutants: ## Change gonogo/core in every small way, and see which tests fail (ONLY="token.* gates.*" to choose)
	@$(install) mutants
	@.venv-mutmut/bin/python -m bench.mutants $(ONLY) $(ARGS)

.PHONY: bench
bench: ## Print the numbers that gonogo holds itself to (ARGS=--quick; ARGS=--write writes docs/performance.md)
	@$(install) local
	@$(BIN)/python -m bench $(ARGS)

.PHONY: package
package: ## Build what is deployed: the zip and its CloudFormation template
	@$(install) local
	@$(BIN)/python -m infra.package

.PHONY: clean
clean: ## Remove all that was made here, .venv included
	@rm -rf .venv .venv-ministack .venv-schemathesis .venv-mutmut .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	@rm -rf .chalice/deployments
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
