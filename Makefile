# make demo    everything from set-up to two trained networks, their scores and a picture
# make docs    the documentation as a site, in site/
# make test    everything that can be checked (what continuous integration runs); make test-fast: its quick part
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check
OPENCV := $(shell sed -n 's/^opencv-python==//p' requirements.txt)

# One process per core; one that is done takes over tests of another. PARALLEL= runs them one by one.
PARALLEL := -n auto --dist worksteal

.PHONY: demo test test-fast data docs lint setup clean-venv
.DEFAULT_GOAL := setup

setup: $(STAMP)

# opencv-python, which mmcv asks for, links libGL; where the system has none, OpenCV's headless build takes its place.
# Not beside it: the two overwrite each other's files.
$(STAMP): requirements.txt setup.py
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(sys.version_info < (3, 11) and \
		"UDASS needs Python 3.11 or newer, $(PYTHON) is " + v + ". Call make with PYTHON=<a newer one>")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'Installing the requirements into $(VENV) (PyTorch is large: this can take minutes)'
	$(PIP_INSTALL) --quiet -r requirements.txt -e .
	@$(BIN)/python -c 'import cv2' 2>/dev/null || { $(BIN)/python -m pip uninstall --quiet --yes opencv-python && \
		$(PIP_INSTALL) --no-deps --force-reinstall opencv-python-headless==$(OPENCV); }
	@$(BIN)/python -c 'import cv2, udass'
	@touch $@

data: $(STAMP)
	$(BIN)/udass streets --root data/streets

demo: data
	$(BIN)/udass demo

# A broken link is an error. The variable silences an advertisement of the theme.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

lint: $(STAMP)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

test: lint
	$(BIN)/python -m pytest $(PARALLEL)

test-fast: lint
	$(BIN)/python -m pytest $(PARALLEL) -m 'not slow'

clean-venv:
	rm -rf $(VENV)
