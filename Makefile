# Two commands: `make demo` shows what impasto does, `make test` runs everything CI runs.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test bench clean

demo: .venv/installed
	@mkdir -p demo-out
	$(BIN)/impasto examples/photo.jpg --style examples/painting.jpg -o demo-out/demo.png --force
	@echo "The picture is at $(CURDIR)/demo-out/demo.png"

test: .venv/installed-test
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/mypy
	$(BIN)/python -m pytest -q

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing impasto and PyTorch into .venv: some minutes, and about a gigabyte"
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

.venv/installed-test: .venv/installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@

# Some minutes; PASTICHE=PATH names the command of an environment that has pastiche, to measure both.
bench: .venv/installed
	$(BIN)/python benchmarks/floor.py --profile standard
	$(BIN)/python benchmarks/sizes.py $(if $(PASTICHE),--pastiche $(PASTICHE))
	$(BIN)/python benchmarks/scales.py --quality draft

clean:
	rm -rf .venv demo-out
