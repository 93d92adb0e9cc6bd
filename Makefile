# Everything runs in .venv, made on first use and again only when pyproject.toml changes.
PYTHON  ?= python3
VENV    ?= .venv
PROFILE ?= smoke
JOBS    ?= logical
SEED    ?= $(shell date +%s)
# Files as they come, the notebooks first: they take longest.
TESTS   := --maxprocesses 8 --dist loadfile --no-loadscope-reorder --nbval notebooks tests facelab
READY   := $(VENV)/.ready

# Real faces: make study PROFILE=lfw-cpu LFW=/path/to/lfw ARGS=--force
# (the results of that profile are committed; --force overwrites them)
ifdef LFW
export FACELAB_LFW := $(abspath $(LFW))
endif

.PHONY: help study test test-random fuzz lab explore book lint bench clean

help:  ## print these lines
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 14

study: $(READY)  ## run every notebook, on drawn faces unless PROFILE says others, and write outputs/PROFILE/report.html
	$(VENV)/bin/facelab run --profile $(PROFILE) $(ARGS)

test: $(READY) lint  ## pass every test: the package, the notebooks, and real LFW where it is
	$(VENV)/bin/python -m pytest -n $(JOBS) $(TESTS) $(ARGS)

test-random: $(READY)  ## pass every test in a random order, which SEED=3 names
	$(VENV)/bin/python -m pytest -n $(JOBS) $(TESTS) --shuffle $(SEED) $(ARGS)

fuzz: $(READY)  ## try thousands of generated cases on every parser and every statistic
	HYPOTHESIS_PROFILE=fuzz $(VENV)/bin/python -m pytest -n $(JOBS) -m hypothesis tests $(ARGS)

lab: $(READY)  ## open the notebooks
	$(VENV)/bin/facelab lab

# This machine alone is answered, and only who has the token that is printed.
explore: $(READY)  ## serve the explorer of all runs as a page, at the address that it prints
	$(VENV)/bin/facelab explore $(ARGS)

book: $(READY)  ## build the chapters, with their stored outputs, as pages in outputs/book/_build/html
	$(VENV)/bin/jupyter-book build . --config notebooks/_config.yml --toc notebooks/_toc.yml \
	    --path-output outputs/book $(ARGS)

lint: $(READY)  ## check style and format
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

bench: $(READY)  ## time everything against its rivals, half an hour; needs 8 GB of memory
	for part in data training conclusions verification explore; do $(VENV)/bin/python tests/benchmarks/bench_$$part.py || exit; done

clean:  ## remove the environment; results stay
	rm -rf $(VENV)

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "facelab needs Python 3.11 or newer, got " + sys.version'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -e '.[dev]'
	touch $@
