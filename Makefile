# make demo    install, index sample_data, ask three questions
# make test    install, lint, check types, run the tests (test-all: the slow ones too)
# make lint    only lint and types; make format mends what can be mended
# make clean   remove what the others made
#
# PYTHON=python3.12     another interpreter (3.11 or newer)
# PIP_FLAGS="..."       more options for pip, for example an index of CPU-only torch wheels

PYTHON ?= python3
PIP_FLAGS ?=
VENV := .venv
BIN := $(VENV)/bin
DEMO := build/demo/.mmsearch
MMSEARCH := $(BIN)/mmsearch --collection $(DEMO)
PICTURE ?= sample_data/photos/red-car-wooden-table.jpg

.PHONY: demo test test-all lint format clean

# The stamps lie inside the environment, so that they vanish with it.
$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "mmsearch needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) -c constraints.txt -e '.[dev]'
	touch $@

demo: $(VENV)/.installed
	@mkdir -p $(dir $(DEMO))
	$(MMSEARCH) index sample_data
	@echo; echo "--- a text query"
	$(MMSEARCH) query "red car" -k 5
	@echo; echo "--- from an image to texts"
	$(MMSEARCH) query --image $(PICTURE) --to text -k 5
	@echo; echo "--- from an image to images"
	$(MMSEARCH) query --image $(PICTURE) --to image -k 5
	@echo; echo "Now your own: $(BIN)/mmsearch index FOLDER, then $(BIN)/mmsearch query \"...\""

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# One process per core, each with one thread for its matrices.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

test: lint
	$(PYTEST) -m "not slow"

test-all: lint
	$(PYTEST)

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
