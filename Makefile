# Two commands do everything on a fresh Debian machine with Python 3.11: `make demo` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell command -v python3.11 || command -v python3)
IMAGES ?=
COUNT ?=
ARGS ?=
BIN := .venv/bin
# Most tests wait for another process. The tests of a file run in one worker, because they share what they started.
PARALLEL ?= -n 2 --dist loadfile
DEBIAN_PACKAGES := mosquitto mosquitto-clients dcmtk chromium chromium-driver
# TensorFlow's messages at start-up hide what matters.
export TF_CPP_MIN_LOG_LEVEL := 2

# $(call environment,FOLDER,LOCK): an environment with exactly the packages of the lock, and this checkout.
# uv is tried first because it is several times faster; pip also knows mirrors that only pip is configured for.
define environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "Python 3.11 is needed: apt-get install python3.11, or name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(MAKE) --no-print-directory debian PACKAGES=python3-venv
	@echo "Setting up $(1) from locks/$(2).txt (the first time takes a minute or two) ..."
	@test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
	@$(1)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/uv.txt -r locks/build.txt
	@$(1)/bin/uv pip install --no-config --python $(1)/bin/python --require-hashes -r locks/$(2).txt || \
	  { echo "uv could not install; trying pip ..."; \
	    $(1)/bin/python -m pip install --disable-pip-version-check --require-hashes -r locks/$(2).txt; }
	@$(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(1)/.$(2)
endef

.PHONY: help
help: ## list the targets
	@echo "PneumoFlag: flags chest exposures at the modality. Research use only."
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

.PHONY: setup
setup: .venv/.sim ## create the environment of the demonstration, in .venv

.venv/.sim: pyproject.toml locks/sim.txt
	$(call environment,.venv,sim)

.venv/.dev: pyproject.toml locks/dev.txt
	$(call environment,.venv,dev)
	@touch .venv/.sim

.venv-device/.device-test: pyproject.toml locks/device-test.txt
	$(call environment,.venv-device,device-test)

.venv-tflite/.tflite-test: pyproject.toml locks/tflite-test.txt
	$(call environment,.venv-tflite,tflite-test)

.PHONY: demo
demo: .venv/.sim ## run a whole site on this machine: exposures, flags, comparison (IMAGES=DIR for your own images)
	@$(BIN)/pneumoflag-sim demo $(if $(IMAGES),--images "$(IMAGES)") $(if $(COUNT),--count $(COUNT)) $(ARGS)

.PHONY: check
check: .venv/.dev words ## check format, lint, types, import rules and words
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

.PHONY: words
words: .venv/.dev ## check that code and texts use the field's terms
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/test_words.py

.PHONY: test
test: test-all test-device test-tflite ## run every test, in the full environment and in both of the box's environments

.PHONY: test-all
test-all: .venv/.dev debian-test-packages
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow" --cov --cov-report=term:skip-covered $(ARGS)

.PHONY: test-device
test-device: .venv-device/.device-test ## run the box's tests without TensorFlow, on LiteRT
	.venv-device/bin/python -m pytest $(PARALLEL) -m "not slow" tests/device $(ARGS)

.PHONY: test-tflite
test-tflite: .venv-tflite/.tflite-test ## run the box's tests without TensorFlow, on tflite-runtime and numpy 1
	.venv-tflite/bin/python -m pytest $(PARALLEL) -m "not slow" tests/device $(ARGS)

.PHONY: campaign
campaign: .venv/.dev debian-test-packages ## run the long tests: kills, fuzzing (an hour)
	$(BIN)/python -m pytest -m slow --timeout 3600 $(ARGS)

.PHONY: bench
bench: .venv/.dev debian-test-packages ## measure medians on this machine; nothing passes or fails
	@for bench in tests/bench/bench_*.py; do echo "== $$bench"; $(BIN)/python $$bench; done

.PHONY: screenshots
screenshots: .venv/.dev debian-test-packages ## take the screenshots of the README, of phantoms, with a real browser
	$(BIN)/python -m tests.flow.screenshots docs/pictures

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links
.PHONY: lock
lock: .venv/.dev ## resolve the dependencies of every role again, with hashes (UPGRADE=1 takes newer releases)
	$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml --extra dev -o locks/dev.txt
	for role in device sim train collector; do \
	  $(COMPILE) --upgrade pyproject.toml --extra $$role -c locks/dev.txt -o locks/$$role.txt; done
	$(COMPILE) --upgrade pyproject.toml --extra device --extra boxtest -c locks/dev.txt -o locks/device-test.txt
	$(COMPILE) $(if $(UPGRADE),--upgrade) pyproject.toml --extra tflite --extra boxtest -o locks/tflite-test.txt
	$(COMPILE) --upgrade pyproject.toml --extra tflite -c locks/tflite-test.txt -o locks/tflite.txt
	echo 'setuptools>=77' | $(COMPILE) --upgrade - -c locks/dev.txt -o locks/build.txt
	echo 'uv>=0.9' | $(COMPILE) $(if $(UPGRADE),--upgrade) - -o locks/uv.txt

# Debian packages that the tests use as the other side. Root installs them; other users get a message.
.PHONY: debian-test-packages
debian-test-packages:
	@missing=(); for p in $(DEBIAN_PACKAGES); do \
	  dpkg-query -W -f='$${db:Status-Status}' $$p 2>/dev/null | grep -qx installed || missing+=($$p); done; \
	if [ $${#missing[@]} -gt 0 ]; then $(MAKE) --no-print-directory debian PACKAGES="$${missing[*]}" || \
	  [ "$$(id -u)" != 0 ]; fi

.PHONY: debian
debian:
	@if [ "$$(id -u)" = 0 ]; then \
	  echo "Installing Debian packages: $(PACKAGES)"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PACKAGES) >/dev/null; \
	else echo "Debian packages are missing; tests that need them are skipped. Run: sudo apt-get install $(PACKAGES)"; exit 1; fi

.PHONY: clean
clean: ## remove environments, caches and the output of the demonstration
	rm -rf .venv .venv-device .venv-tflite demo-out build *.egg-info .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
