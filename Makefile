# `make demo` and `make test` work on a bare clone: python3 (3.11 or later), make, and a package index to install from.
# Everything lives in .venv; `make VENV=/elsewhere ...` moves it, `make PYTHON=python3.12 ...` chooses the interpreter.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# What `make demo` needs and no more: no development tools.
LIGHT := $(VENV)/.light
# lm-evaluation-harness brings hundreds of megabytes that nothing else here needs.
HARNESS := $(VENV)-lm-eval
JOBS ?= 2
# An index of torch's CPU builds, a quarter of the size, for Linux machines without a GPU; empty takes the usual one.
TORCH_INDEX ?=
OUT ?= out/smollm2-0.75
# One torch thread for each test process: more only fight over the cores.
TEST_ENV := OMP_NUM_THREADS=1 HYPOTHESIS_PROFILE=ci HF_HUB_OFFLINE=1

.DEFAULT_GOAL := help
.PHONY: help demo test nightly setup check fmt lint types layers test-fast test-browser test-lm-eval coverage golden docs docs-check papers papers-rows bench bench-rivals method module statistic task model algorithm exporter healer experiment clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

demo: $(LIGHT) ## shrink a real language model end to end; writes out/smollm2-0.75
	@rm -rf out/smollm2-0.75
	$(BIN)/penjing demo -o "$(OUT)"

test: $(READY) ## every test but the nightly ones, real model included
	$(TEST_ENV) $(BIN)/pytest -n $(JOBS) -m "not gpu and not nightly"

nightly: $(READY) ## every test: all methods on all models too
	$(TEST_ENV) $(BIN)/pytest -n $(JOBS) -m "not gpu"

setup: $(READY) ## make .venv and install penjing with its development tools

$(LIGHT): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found; install Python 3.11 or later, or name one: make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("Python %d.%d was found, 3.11 or later is needed; name one: make PYTHON=python3.12 ..." % v[:2])'
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "this Python cannot make environments (venv, ensurepip are missing); on Debian or Ubuntu: apt install python3-venv"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -z "$(TORCH_INDEX)" || $(BIN)/python -m pip install --quiet -c constraints.txt --index-url "$(TORCH_INDEX)" torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[gguf,charts]'
	@touch $@

$(READY): $(LIGHT)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

check: lint types layers test-fast ## what a change must pass before it is shown to anyone

fmt: $(READY) ## sort imports and mend what ruff can mend
	$(BIN)/ruff check --fix .

lint: $(READY) ## ruff
	$(BIN)/ruff check .

types: $(READY) ## pyright over src
	$(BIN)/pyright --pythonpath $(BIN)/python

layers: $(READY) ## imports point down only
	$(BIN)/lint-imports

test-fast: $(READY) ## the tests that take seconds
	$(TEST_ENV) $(BIN)/pytest -n $(JOBS) -q -m "not slow and not gpu and not network and not browser and not nightly"

test-browser: $(READY) ## the report page in a real browser
	$(TEST_ENV) $(BIN)/pytest -m browser

test-lm-eval: $(HARNESS)/.ready ## our scores against lm-evaluation-harness's own, in an environment that has it (600 MB)
	$(TEST_ENV) PENJING_LM_EVAL=required $(HARNESS)/bin/pytest -n $(JOBS) tests/tasks/test_lm_eval.py tests/tasks/instructions/test_harness.py

$(HARNESS)/.ready: pyproject.toml constraints.txt $(READY)
	test -x $(HARNESS)/bin/python || $(PYTHON) -m venv $(HARNESS)
	$(HARNESS)/bin/python -m pip install --quiet -c constraints.txt -e '.[dev,lm-eval]' 'lm-eval[ifeval]'
	@touch $@

coverage: $(READY) ## every test, with branch coverage
	$(TEST_ENV) $(BIN)/pytest -n $(JOBS) -m "not gpu and not nightly" --cov --cov-report=term

golden: $(READY) ## rewrite the golden plans; the commit says why they moved
	$(TEST_ENV) PENJING_GOLDEN=write $(BIN)/pytest -q tests/methods

docs: $(READY) ## write docs/look-up from --help, docstrings and cards
	$(BIN)/python docs/generate.py

docs-check: $(READY) ## before a release: the look-up pages have all that is in the tree
	$(BIN)/python docs/generate.py --check

papers: $(READY) ## reproduce the numbers of papers (slow)
	$(BIN)/python -m papers

papers-rows: $(READY) ## bring what `penjing papers` shows up to date with papers/*/expected.json
	$(BIN)/python -m papers --rows

bench: $(READY) ## our own benchmarks; quiet machine, please
	$(BIN)/python -m benchmarks

bench-rivals: $(READY) ## the same jobs with other tools, each in an environment of its own
	$(BIN)/python -m benchmarks.rivals

method: $(READY) ## make method name=dsnot family=sparsify paper=2310.08915
	@$(BIN)/python templates/new_method.py "$(name)" --family "$(family)" --paper "$(paper)" $(if $(new),--new-family)

statistic: $(READY) ## make statistic name=input_peak
	@$(BIN)/python templates/new_file.py statistic "$(name)"

task: $(READY) ## make task name=race
	@$(BIN)/python templates/new_file.py task "$(name)"

model: $(READY) ## make model name=my_mixer
	@$(BIN)/python templates/new_file.py model "$(name)"

module: $(READY) ## make module name=my_gate
	@$(BIN)/python templates/new_file.py module "$(name)"

algorithm: $(READY) ## make algorithm name=my_search
	@$(BIN)/python templates/new_file.py algorithm "$(name)"

exporter: $(READY) ## make exporter name=my_format
	@$(BIN)/python templates/new_file.py exporter "$(name)"

healer: $(READY) ## make healer name=my_loss
	@$(BIN)/python templates/new_file.py healer "$(name)"

experiment: $(READY) ## make experiment name=my_trial
	@$(BIN)/python templates/new_file.py experiment "$(name)"

clean: ## remove the environment and what tests leave behind
	rm -rf $(VENV) $(HARNESS) .pytest_cache .ruff_cache .hypothesis .import_linter_cache
