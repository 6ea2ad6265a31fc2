# Two commands do everything on a fresh machine with Python 3.11 to 3.13; both can be repeated:
#   make run         installs into .venv, then teaches the embedded model a black cat in a box
#   make test        installs into .venv with what the tests need, then lints and tests
#   make test-quick  the same without the tests marked slow, for while you change things
#   make test-gpu    only what needs a CUDA GPU; ends in a table of what was found
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test test-quick test-gpu lint

VENV := .venv
BIN := $(VENV)/bin
WANTED := pyproject.toml constraints.txt
RUN := hero-tui run tasks/black-cat.yaml --model embedded
# No terminal, nobody to label: the oracle does.
TERMINAL := [ -t 0 ] && [ -t 1 ]
# A file's tests mostly stay with one worker, which shares its models and runs among them. Three of
# them, since on two cores two are idle for a third of the time: many tests wait for another process.
PYTEST := $(BIN)/pytest -n 3 --dist worksteal

# pip would compile on one core, and not what is editable; and where PYTHONDONTWRITEBYTECODE is set,
# as in many containers, what is not compiled now, every process compiles anew. Packages have files
# that are templates, which cannot be.
INSTALL := $(BIN)/python -m pip install --quiet --no-compile -c constraints.txt
COMPILE := $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib hero_engine hero_tui || true

help:
	@sed -n '1,5s/^# *//p' Makefile

run: $(VENV)/installed
	@if $(TERMINAL); then \
		echo "$(RUN)"; exec $(BIN)/$(RUN); \
	else \
		echo "There is no terminal to label in: the oracle labels."; \
		echo "$(RUN) --oracle"; exec $(BIN)/$(RUN) --oracle; \
	fi

test: lint
	$(PYTEST)

test-quick: lint
	$(PYTEST) -m "not slow"

# One process: the peaks of memory are of one test at a time.
test-gpu: $(VENV)/installed-dev
	$(BIN)/pytest -rs tests/gpu

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

$(BIN)/python:
	@for python in python3.13 python3.12 python3.11 python3; do \
		if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
			2>/dev/null; then \
			echo "Making the virtual environment $(VENV) with $$python"; \
			exec $$python -m venv $(VENV); \
		fi; \
	done; \
	echo "make: hero-tui needs Python 3.11, 3.12 or 3.13, and none was found on PATH" >&2; exit 1

$(VENV)/installed: $(BIN)/python $(WANTED)
	@echo "Installing hero-tui and what it needs into $(VENV) (the first time, a few minutes)"
	$(INSTALL) -e .
	$(COMPILE)
	@touch $@

$(VENV)/installed-dev: $(BIN)/python $(WANTED)
	@echo "Installing hero-tui and what its tests need into $(VENV) (the first time, a few minutes)"
	$(INSTALL) -e ".[dev]"
	$(COMPILE)
	@touch $(VENV)/installed $@
