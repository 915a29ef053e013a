# Two commands for a fresh machine: `make demo` and `make test`. Needs only git, make, Python 3.11+.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
SEED   ?= 0
OUT    ?= runs/demo-seed$(SEED)

.PHONY: help demo test test-slow lint format clean

help:
	@echo "make demo    train a tiny transformer: warm start, then RL from unit tests (SEED=$(SEED))"
	@echo "make test    run the tests"
	@echo "make lint    ruff and mypy --strict"
	@echo "make format  let ruff format everything"
	@echo "make clean   remove the virtual environment and caches"

$(BIN)/codegym: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "codegym needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Cure: make PYTHON=/path/to/python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[agents,grammar,humaneval,mining,dev]'
	@touch $@

demo: $(BIN)/codegym
	$(BIN)/codegym doctor
	$(BIN)/codegym train --preset demo --seed $(SEED) --out $(OUT) --overwrite

test: $(BIN)/codegym
	$(BIN)/python -m pytest

test-slow: $(BIN)/codegym
	$(BIN)/python -m pytest -m slow

# mypy sees an editable install only as far as codegym/: a folder of links shows it the whole package.
lint: $(BIN)/codegym
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@rm -rf build/types && mkdir -p build/types/codegym
	@ln -s $(CURDIR)/codegym/* build/types/codegym/
	@ln -s $(CURDIR)/agents build/types/codegym/agents
	@ln -s $(CURDIR)/envs build/types/codegym/envs
	cd build/types && MYPYPATH=. $(abspath $(BIN))/python -m mypy --config-file $(CURDIR)/pyproject.toml -p codegym

format: $(BIN)/codegym
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache
