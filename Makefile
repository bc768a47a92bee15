# SPDX-License-Identifier: GPL-3.0-or-later
# The two commands: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
export PATH := $(CURDIR)/.venv/bin:$(PATH)
LAB := lab/lab

.PHONY: help setup demo test lint unit sanity molecule drills ordeals docs versions packaging lab-up lab-down lab-shell lab-status bench clean

help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what is missing: system packages, .venv from the lock
	@lab/setup.sh

demo: setup ## Break a real MongoDB host and watch it being cured
	@lab/demo.sh

test: setup ## Every lane; ends with one line "N passed, N failed"
	@$(BIN)/python tests/run.py

lint: setup ## ruff, mypy --strict, yamllint, ansible-lint (production)
	@$(BIN)/python tests/run.py lint

unit: setup ## Unit tests with branch coverage
	@$(BIN)/python tests/run.py unit

sanity: setup ## ansible-test sanity on the built collection
	@$(BIN)/python tests/run.py sanity

molecule: setup ## Roles on lab hosts: check, converge, idempotence, verify
	@$(BIN)/python tests/run.py molecule

drills: setup ## Real faults; FAULT=mongodb/killed for one
	@FAULT="$(FAULT)" $(BIN)/python tests/run.py drills

ordeals: setup ## Remedies forced on every fault, kills at every step, the guard: a lab of its own
	@$(BIN)/python tests/run.py ordeals

docs: setup ## The documentation is whole and its commands work
	@$(BIN)/python tests/run.py docs

versions: setup ## Both ends of the supported versions
	@$(BIN)/python tests/run.py versions

packaging: setup ## Wheel, Galaxy artifact and execution environment, away from the checkout
	@$(BIN)/python tests/run.py packaging

lab-up: setup ## Boot the lab hosts (HOST="db1 db2" for some)
	@$(LAB) up $(HOST)

lab-down: ## End the lab hosts and put the machine back
	@$(LAB) down

lab-shell: ## A shell on a host as the inventory logs in: make lab-shell HOST=db1 (AS=root for root)
	@$(LAB) shell $(if $(AS),--user $(AS)) "$(HOST)"

lab-status: ## Which lab hosts run
	@$(LAB) status

bench: setup ## A fleet tuned and its logs rotated beside peers, logs counted beside grep and jq, a database brought back (about 45 minutes)
	@tests/bench/setup.sh
	@$(BIN)/python -m tests.bench
	@$(BIN)/python -m tests.bench.rotation
	@PYTHONPATH=collections:. $(BIN)/python -m tests.bench.logs --write
	@$(BIN)/python -m tests.bench.recovery

clean: lab-down ## End the lab and remove .venv and caches of this checkout
	@rm -rf .venv .venv-core221 .venv-bench .pytest_cache .mypy_cache .ruff_cache .coverage dist
