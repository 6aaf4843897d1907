# Two commands do everything: `make repro` and `make test`. Neither asks, needs root, a GPU or an account.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK = 1


.PHONY: repro test test-all faults fuzz lint docs serve bench clean help
help:
	@echo "make repro   run the pipeline (demo profile on a fresh clone), print a table, make reports/index.html"
	@echo "make test    lint, types, architecture, tests"
	@echo "make test-all  the slow ones too: browser, schedules, kills, Dask"
	@echo "make faults  200 kills, full disks, lost files and more, on a tiny repository; a table (FAULTS_KILLS=200)"
	@echo "make fuzz    27,810 damaged files for every reader of foreign bytes, within memory and time; a table (FUZZ_SEED=0)"
	@echo "make serve   Prefect server, worker and the deployments of prefect.yaml, on loopback"
	@echo "make bench   the benchmarks that take minutes; a page of what they measured"

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
	  { echo "emoriff needs Python 3.11 or 3.12; got $$($(PYTHON) --version). Say which: make PYTHON=python3.11 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing pinned packages into $(VENV) (once, some minutes)"
	$(BIN)/python -m pip install -q -r requirements.txt
	$(BIN)/python -m pip install -q --no-deps -e .
	touch $@

repro: $(READY)
	$(BIN)/emoriff repro

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(READY) lint
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

test-all: $(READY) lint
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

FAULTS_KILLS ?= 200
FAULTS_JOBS ?= 1
faults: $(READY)
	$(BIN)/python -m tests.faults --kills $(FAULTS_KILLS) --jobs $(FAULTS_JOBS)

FUZZ_SEED ?= 0
fuzz: $(READY)
	nice -n 15 $(BIN)/python -m tests.fuzz --seed $(FUZZ_SEED)

docs: $(READY)
	$(BIN)/python -m docs.generate

serve: $(READY)
	$(BIN)/emoriff serve

bench: $(READY)
	$(BIN)/python -m benchmarks.results all

clean:
	rm -rf .emoriff
