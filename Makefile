# Everything sets itself up: `make demo` shows the chip, `make test` checks all of it.
# PYTHON=/path/to/python chooses; without it the newest supported one that is found (scripts/pythons.sh)
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test bench docs wheel proofs figures constraints clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/.core: pyproject.toml $(wildcard constraints/*.txt) scripts/setup.sh
	@scripts/setup.sh core "$(PYTHON)" "$(VENV)"

$(VENV)/.full: $(VENV)/.core
	@scripts/setup.sh full "$(PYTHON)" "$(VENV)"

demo: $(VENV)/.core ## shower to eLink words in model and RTL, area, one HTML report
	@$(BIN)/liquidcal demo

test: $(VENV)/.full ## formatting, types, floors, all tests
	@scripts/test.sh "$(BIN)"

bench: $(VENV)/.full ## speed of models and simulators; baselines in an environment of their own
	@scripts/bench.sh "$(PYTHON)" "$(BIN)"

docs: $(VENV)/.full ## the documentation as a site with API reference and search: build/docs/index.html
	@$(BIN)/python scripts/docs.py

wheel: ## install the wheel into a fresh environment and use it outside of the repository
	@scripts/check_wheel.sh $(PYTHON)

proofs: $(VENV)/.full ## proofs on protection, loading, I2C and frozen weights, the long ones too
	@$(BIN)/liquidcal prove ECON_T

figures: $(VENV)/.core ## figures of README and docs from benchmarks/results, lists of files from docstrings
	@$(BIN)/python -m benchmarks.tables
	@$(BIN)/python scripts/rooms.py

constraints: $(VENV)/.full ## rewrite constraints/ of the environment's Python from what is installed
	@scripts/constraints.sh "$(BIN)"

clean: ## remove what make created
	rm -rf $(VENV) .venv-* report build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
