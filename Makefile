# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test lint setup system test-browser validate bench clean

demo: setup
	$(BIN)/xaudit demo --out $(DEMO)

test: setup
	$(BIN)/python -m pytest -n 2 -m "not slow and not browser"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

setup: $(VENV)/.installed

# Installs again when a dependency or a pin changes, and never twice.
$(VENV)/.installed: pyproject.toml constraints.txt scripts/system.sh
	bash scripts/system.sh
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt --editable '.[concepts,dev]'
	touch $@

clean:
	rm -rf $(VENV) $(DEMO)
