# Everything by one word; "make help" lists the words. Needs only make, a C compiler and Python
# 3.11 or newer with venv and headers; what is missing is named with the command that installs it.
#
#     PYTHON=python3.13 make test        another Python, in a virtual environment of its own
#     make test ARGS="tests/engine -x"   options for the program that is started
#     OPTIMIZE=1 make test               a build with all optimizations, as wheels are, at once

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

ARGS ?=
HARNESS ?=
VERSION = $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV := .venv$(if $(PYTHON),-$(VERSION))
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# Three processes for two cores, up to eight: a third of the time a test waits, for a database or a
# browser. Tests that share something costly share a process. A process that dies ends the run: if
# another took its place, pytest-xdist might wait for ever.
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
IN_PROCESSES := -n $(shell echo $$(($(CORES) + $(CORES) / 2))) --maxprocesses 8 --dist loadgroup \
    --max-worker-restart 0
PYTEST := $(BIN)/python -m pytest --durations 15 --durations-min 5 $(IN_PROCESSES)

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ready-embedded ## start a server with traders and a live view (fastbook demo)
	@$(BIN)/fastbook demo $(ARGS) || test $$? -eq 130

.PHONY: test
test: ready-test ## run the quick tests; with ARGS="tests/engine", every test there
	@$(PYTEST) $(ARGS)

.PHONY: test-slow
test-slow: ready-test ## run the tests that "make test" leaves out as slow
	@$(PYTEST) -m slow $(ARGS)

.PHONY: test-all
test-all: test test-slow ## run all tests: the quick ones, then the slow ones

# The slow tests are not run again for it. The databases that tests start are this run's own; what
# they call in other processes counts too.
COVERAGE := build/coverage
COVERED := tests/values tests/channels tests/matching tests/store tests/server

.PHONY: coverage
coverage: ready-test ## fail where too few branches of the server's core are tested
	@rm -rf $(COVERAGE) && mkdir -p $(COVERAGE)
	@FASTBOOK_FROM_SOURCE=1 $(BIN)/python -m coverage run -m pytest $(IN_PROCESSES) -m "not slow" $(wildcard $(COVERED))
	@$(BIN)/python -m coverage combine -q
	@$(BIN)/python -m coverage json -q -o $(COVERAGE)/report.json
	@$(BIN)/python tools/coverage_gate.py $(COVERAGE)/report.json

.PHONY: lint
lint: ready-test,lint ## check style, spelling, types, stubs, who imports whom, the page
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/python tools/lint/eslint.py
	$(BIN)/mypy
	$(BIN)/mypy $(filter-out examples/test_% examples/conftest.py,$(wildcard examples/*.py))
	MYPYPATH=src:server $(BIN)/python -m mypy.stubtest --concise fastbook._book fastbook._depth \
	fastbook_server.gateway._frames
	$(BIN)/python -m pytest -q tests/test_layers.py tests/test_tidy.py

.PHONY: docs
docs: ready-test,lint ## build the documentation site, build/site; warnings are errors
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict $(ARGS)

.PHONY: format
format: $(VENV)/.with-test,lint ## format the sources
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: ready-test,bench ## measure the speed; prints tables
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: bench-public
bench-public: ready-test,bench ## measure the engine in a public benchmark, checked out at HARNESS=DIR
	@$(BIN)/python -m benchmarks.bench_public $(HARNESS) $(ARGS)

.PHONY: bench-server
bench-server: ready-test,bench ## measure the server beside bare baselines
	@$(BIN)/python -m benchmarks.bench_server $(ARGS)

.PHONY: bench-database
bench-database: ready-test,bench ## measure the store under volume and over years: ARGS="--orders N --url URL"
	@$(BIN)/python -m benchmarks.bench_database $(ARGS)

.PHONY: bench-cluster
bench-cluster: ready-test,bench ## measure a cluster beside one process: ARGS="--pairs N --rate N"
	@$(BIN)/python -m benchmarks.bench_cluster $(ARGS)

.PHONY: bench-shards
bench-shards: $(VENV)/.with-test,bench extensions ## measure two shards beside one: ARGS="--pairs N --rate N"
	@$(BIN)/python -m benchmarks.bench_shards $(ARGS)

.PHONY: compare
compare: ready-test ## compare the engine with the plain-Python book over 100 million commands
	@$(BIN)/python -m benchmarks.compare $(ARGS)

.PHONY: replays
replays: ready-test ## replay recorded markets and compare with their venues: ARGS="FILE ITCH_FILE=SYMBOL"
	@$(BIN)/python tools/replays.py $(ARGS)

# Address- and UBSanitizer on the engine alone: Python is not built for them. They meet each access
# beyond an array and each undefined operation; the tests that count bytes would count theirs.
# A test takes several times as long: on a busy machine more than it has otherwise.
# The report is lost with the process unless standard error is left as it is.
SANITIZED := build/sanitized
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=undefined

.PHONY: sanitize
sanitize: $(VENV)/.with-test ## run the engine's tests under sanitizers
	@CFLAGS="-O1 -g -fno-omit-frame-pointer $(SANITIZERS) -DFASTBOOK_PLAIN_MEMORY" \
	LDFLAGS="$(SANITIZERS)" $(BIN)/python setup.py -q build_ext \
	--build-lib $(SANITIZED) --build-temp $(SANITIZED)/objects
	@cp src/fastbook/*.py $(SANITIZED)/fastbook/
	LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc PYTHONPATH=$(SANITIZED) \
	$(PYTEST) tests/engine --timeout 1200 --capture sys --ignore tests/engine/test_memory.py \
	--deselect tests/engine/test_batch.py::test_without_memory_the_book_stays_whole $(ARGS)

.PHONY: build
build: $(VENV)/.with-test ## make the source distributions and wheels of server and client, in dist/
	$(BIN)/python -m build --outdir dist $(ARGS) client
	$(BIN)/python -m build --outdir dist $(ARGS)

# Made in an environment that holds only what goes into it. What it needs of the machine that runs
# it, its glibc above all, is that of the machine that makes it. (-P: what an earlier build has left
# in this folder would be taken for the distribution's metadata.)
.PHONY: binary
binary: ## make the server in one file, dist/fastbook, for machines without Python
	@$(MAKE) --no-print-directory VENV=build/binary/venv$(if $(PYTHON),-$(VERSION)) one-file

.PHONY: one-file
one-file: $(VENV)/.bootloader ready-binary
	@$(BIN)/python -P -m PyInstaller --noconfirm --log-level WARN --distpath dist \
	--workpath build/binary tools/binary/fastbook.spec $(ARGS)
	@ls -lh dist/fastbook

.PHONY: clean
clean: ## remove what was built, except virtual environments
	rm -rf build dist client/build src/*.egg-info server/*.egg-info *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	rm -f server/fastbook_server/gateway/web/vendor/lightweight-charts.mjs
	find src server \( -name '*.so' -o -name '*.c' -o -name '*.html' -not -path '*/web/*' \) -delete
	rm -f $(wildcard .venv*/.with-* .venv*/.installed .venv*/.compiled)
	find src server tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## remove that and the virtual environments
	rm -rf $(wildcard .venv*)

# ---- how it is built ------------------------------------------------------------------------

$(VENV)/.created: tools/prerequisites
	@python=$$(sh tools/prerequisites "$(PYTHON)") && \
	echo "creating $(VENV) with $$($$python --version)" && "$$python" -m venv $(VENV)
	@touch $@

# What a target needs, made at once: packages are fetched while Cython and the C compiler work.
ready-%: $(VENV)/.tools
	@$(MAKE) --no-print-directory -j3 OPTIMIZE="$(OPTIMIZE)" $(VENV)/.with-$* extensions

# What builds the package.
$(VENV)/.tools: $(VENV)/.created pyproject.toml
	@echo "installing fastbook-exchange into $(VENV): about a minute"
	@$(BIN)/python -c 'import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	> $(VENV)/build-requirements.txt
	@$(BIN)/python tools/web/assets.py --requires >> $(VENV)/build-requirements.txt
	@$(PIP) install -q -r $(VENV)/build-requirements.txt
	@touch $@

# The client, editable; a source distribution of the server does not hold it, and gets it from PyPI.
CLIENT := $(wildcard client/pyproject.toml)

# The package with some of its extras, editable; later there are only other extras to add.
$(VENV)/.with-%: $(VENV)/.tools pyproject.toml setup.py $(CLIENT) | page
	@if [ -z "$$(find pyproject.toml setup.py $(CLIENT) -newer $(VENV)/.installed 2>&1)" ]; then \
	$(PIP) install -q 'fastbook-exchange[$*]'; else \
	FASTBOOK_WITHOUT_EXTENSIONS=1 $(PIP) install -q --no-build-isolation \
	$(if $(CLIENT),-e ./client) -e '.[$*]' && touch $(VENV)/.installed; fi
	@touch $@

# The program that unpacks the one file, compiled so that it needs no library but glibc's.
$(VENV)/.bootloader: $(VENV)/.created
	@PYI_STATIC_ZLIB=1 $(PIP) install -q --no-binary pyinstaller pyinstaller
	@touch $@

# Compile again what has changed since. Modules with a header of C types are compiled from .py.
# At first with few optimizations, in half the time; with all of them, from then on, once something
# is measured or given away.
TYPED = $(wildcard $(patsubst %.pxd,%.py,$(shell find server -name "*.pxd")))
OPTIMIZE ?= $(filter bench bench-% compare one-file,$(MAKECMDGOALS))
OPTIMIZED := build/optimized$(if $(PYTHON),-$(VERSION))
.PHONY: extensions
extensions: $(VENV)/.tools
	@changed=$$(find $(TYPED) $$(find src server -name '*.p[yx][xd]') setup.py \
	-newer $(VENV)/.compiled 2>&1); \
	if [ -n "$(OPTIMIZE)" ] && [ ! -e $(OPTIMIZED) ]; then \
	echo "compiling, with all optimizations" && \
	$(BIN)/python setup.py -q build_ext --inplace --force && \
	mkdir -p build && touch $(OPTIMIZED) $(VENV)/.compiled; \
	elif [ -n "$$changed" ]; then \
	[ ! -e $(VENV)/.compiled ] || echo "compiling: changed" $$changed; \
	[ -e $(OPTIMIZED) ] || export FASTBOOK_QUICK_BUILD=1; \
	$(BIN)/python setup.py -q build_ext --inplace && touch $(VENV)/.compiled; fi

# The chart library of the trading page, from npm; nothing to do where it is in its place.
.PHONY: page
page: $(VENV)/.tools
	@$(BIN)/python tools/web/assets.py
