# Two commands for a fresh machine: `make demo` and `make test`. Needs only git, make, Python 3.11+.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
SEED   ?= 0
OUT    ?= runs/demo-seed$(SEED)
# CONSTRAINTS=constraints-oldest.txt takes the oldest releases allowed; empty takes the newest.
CONSTRAINTS ?= constraints.txt
CONSTRAIN   := $(addprefix --constraint ,$(CONSTRAINTS))
# The folders of tests that need no torch and no YAML.
CORE_TESTS  := $(addprefix tests/,atoms envs grading grammar mining rewards sandbox service sources synthesis tasks)
# What `make wheel-test` installs beside the wheel, and the tests that it runs.
WHEEL_EXTRAS ?= dev
WHEEL_TESTS  ?= $(CORE_TESTS)

.PHONY: help demo test test-core test-slow test-integrations coverage wheel-test docs lint format clean

help:
	@echo "make demo    train a tiny transformer: warm start, then RL from unit tests (SEED=$(SEED))"
	@echo "make test    run the tests"
	@echo "make lint    ruff, codespell and mypy --strict"
	@echo "make format  let ruff format everything"
	@echo "make docs    build the site into build/site, and run the lessons (LESSONS=skip leaves them out)"
	@echo "make clean   remove the virtual environment and caches"
	@echo "make coverage, make wheel-test, make test-core, make test-slow, make test-integrations: see CONTRIBUTING.md"

$(BIN)/codegym: pyproject.toml codegym/version.py $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "codegym needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Cure: make PYTHON=/path/to/python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(CONSTRAIN) --editable '.[agents,grammar,humaneval,mining,dev]'
	@touch $@

demo: $(BIN)/codegym
	$(BIN)/codegym doctor
	$(BIN)/codegym train --preset demo --seed $(SEED) --out $(OUT) --overwrite

test: $(BIN)/codegym
	$(BIN)/python -m pytest

test-slow: $(BIN)/codegym
	$(BIN)/python -m pytest -n 0 -m slow

# Installs the newest release of each trainer into a virtual environment and runs it; needs PyPI.
test-integrations: $(BIN)/codegym
	$(BIN)/python -m pytest -n 0 -m slow tests/integrations

# Needs no torch: `pip install -e '.[dev]'` is enough, and the environment is left as it was made.
test-core:
	$(BIN)/python -m pytest $(CORE_TESTS)

coverage: $(BIN)/codegym
	$(BIN)/python -m pytest -n 0 --cov=codegym --cov-report=term --cov-report=xml:build/coverage.xml

# Builds the sdist and from it the wheel, installs the wheel into a fresh environment, and runs the
# sdist's tests in a folder where no source of codegym lies. The tests that are left out read the source.
wheel-test: $(BIN)/codegym
	rm -rf build/wheel-test
	$(BIN)/python -m pip install --quiet build
	$(BIN)/python -m build --outdir build/wheel-test/dist .
	@set -e; work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; \
	$(BIN)/python -m venv "$$work/venv"; \
	wheel=$$(echo $(CURDIR)/build/wheel-test/dist/*.whl); \
	"$$work/venv/bin/python" -m pip install --quiet $(CONSTRAIN) "$$wheel[$(WHEEL_EXTRAS)]"; \
	tar -xzf build/wheel-test/dist/*.tar.gz -C "$$work" --strip-components=1 --wildcards \
		'*/tests' '*/examples' '*/docs' '*/*.md' '*/*.yml' '*/pyproject.toml' \
		'*/LICENSE'; \
	cd "$$work"; \
	venv/bin/codegym --version; \
	venv/bin/python -m pytest --ignore=tests/test_architecture.py --ignore=tests/test_project.py $(WHEEL_TESTS)

# A broken link, an undocumented option or public name, or a lesson that does not run is an error.
# Without --quiet, which would hide the warnings from --strict too.
docs: $(BIN)/codegym
	$(BIN)/python -m pip install --quiet $(CONSTRAIN) --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "build/site/index.html"

# mypy sees an editable install only as far as codegym/: a folder of links shows it the whole package.
lint: $(BIN)/codegym
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell .
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
