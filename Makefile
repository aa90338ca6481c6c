# Two commands for a fresh machine: `make quickstart` and `make test`. Everything else is a convenience.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install quickstart quickstart-seeds test lint clean

install: .venv/installed

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

quickstart: install
	$(BIN)/outlast quickstart --out runs/quickstart

quickstart-seeds: install
	$(BIN)/outlast quickstart --seeds 5 --out runs/quickstart-seeds --page docs/quickstart.md

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

test: lint
	$(BIN)/outlast tasks --fetch power
	$(BIN)/python -m pytest -n 2

clean:
	rm -rf .venv runs
