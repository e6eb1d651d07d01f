# `make demo` sets up and runs the main job; `make test` sets up and passes the tests.
# Needs Python 3.11 or later and nothing else; uses uv where it is installed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= tnattn-results
# a worker per core with one BLAS thread each
PYTEST = OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal
# workers and later runs read what the first has compiled
unexport PYTHONDONTWRITEBYTECODE
UV := $(shell command -v uv 2>/dev/null)

ifdef UV
create = test -x $(BIN)/python || uv venv -q --python $(PYTHON) $(VENV)
install = uv pip install -q --python $(BIN)/python -c constraints.txt
else
create = test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
install = $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt
endif

.PHONY: demo test slow kernels strict optimised mutants gpu dev lint types bench power clean help

help: ## say what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

$(VENV)/.study: pyproject.toml constraints.txt
	@$(create)
	@echo "setting up $(VENV) (a minute on a fresh machine)"
	@$(install) -e ".[study]"
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt
	@$(create)
	@echo "setting up $(VENV) for the tests (a minute on a fresh machine)"
	@$(install) -e ".[study,test]"
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	@$(create)
	@echo "setting up $(VENV) for development"
	@$(install) -e ".[dev]"
	@touch $@

$(VENV)/.mutants: pyproject.toml constraints.txt
	@$(create)
	@echo "setting up $(VENV) for mutations"
	@$(install) -e ".[mutants]"
	@touch $@

demo: $(VENV)/.study ## compare the methods on real attention; writes $(OUT)/report.html
	$(BIN)/tnattn compare --out $(OUT)

test: $(VENV)/.test ## the default tests
	$(PYTEST) -m "not slow and not gpu"

slow: $(VENV)/.test ## all tests, the slow and statistical ones too
	$(PYTEST) -m "not gpu"

kernels: $(VENV)/.test ## the numerical tests under other BLAS kernels than this machine's default
	.ci/kernels

strict: $(VENV)/.test ## the slow tests with warnings as errors
	$(PYTEST) -m "slow and not gpu" -W error -W "ignore:assertions not in test modules" -p no:cacheprovider

# a variable and no -O, since the workers of pytest inherit it; pytest keeps the assertions of the tests
optimised: $(VENV)/.test ## the slow tests without the packages' assertions, as under python -O
	PYTHONOPTIMIZE=1 $(PYTEST) -m "slow and not gpu" -p no:cacheprovider

gpu: $(VENV)/.test ## the tests that need a CUDA device and CuPy
	$(BIN)/python -m pytest -m gpu

dev: $(VENV)/.dev ## everything needed to develop

lint: $(VENV)/.dev ## style
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(VENV)/.dev ## static types
	$(BIN)/mypy

bench: $(VENV)/.dev ## time against the peers; regenerates the tables in tests/benchmarks/results
	$(BIN)/python tests/benchmarks/run.py

mutants: $(VENV)/.mutants ## mutations that no test notices, of MODULES or all; hours; writes tests/benchmarks/results/mutants.md
	$(BIN)/python tests/mutation/run.py $(MODULES)

power: $(VENV)/.dev ## how often the verdicts refute a wrong constant; regenerates tests/benchmarks/results/verdict_power.md
	$(BIN)/python tests/benchmarks/run.py verdict_power

clean: ## remove the environment and the results
	rm -rf $(VENV) $(OUT)
