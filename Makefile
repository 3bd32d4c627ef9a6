# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test lint setup test-browser validate bench pins clean

demo: setup
	$(BIN)/xaudit demo --out $(DEMO)

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --durations 10 -m "not slow and not browser"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Headless Chromium over the demo-like reports: axe-core, html-validate, the keyboard.
test-browser: setup
	bash scripts/browser-setup.sh
	$(BIN)/python -m pytest tests/browser -m browser

# The long simulations: coverage, false alarms, power. Writes docs/validation*.md.
validate: setup
	$(BIN)/python -m benchmarks.validate

# Speed and memory, as ratios in one run.
bench: setup
	$(BIN)/python -m benchmarks.counting --rows 10000000 30000000
	$(BIN)/python -m benchmarks.resampling
	$(BIN)/python -m benchmarks.whole_run --rows 10000000
	$(BIN)/python -m benchmarks.concepts_cost
	$(BIN)/python -m benchmarks.report_cost

# Renews the pins from what is installed; versions only.
pins: setup
	$(PIP) freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt

setup: $(VENV)/.installed

# Installs again when a dependency or a pin changes, and never twice.
$(VENV)/.installed: pyproject.toml constraints.txt scripts/system.sh
	bash scripts/system.sh
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt --editable '.[concepts,dev]'
	touch $@

clean:
	rm -rf $(VENV) $(DEMO)
