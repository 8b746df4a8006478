# Two commands: `make demo` shows what impasto does, `make test` runs everything CI runs.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test bench bench-large bench-peers clean

demo: .venv/installed
	@mkdir -p demo-out
	$(BIN)/impasto examples/photo.jpg --style examples/painting.jpg -o demo-out/demo.png --force
	@echo "The picture is at $(CURDIR)/demo-out/demo.png"

test: .venv/installed-test
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses logical --dist loadfile

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing impasto and PyTorch into .venv: some minutes, and about a gigabyte"
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

.venv/installed-test: .venv/installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@

# PASTICHE=PATH names the command of an environment that has pastiche, to measure both. `bench` takes
# some minutes, `bench-large` some hours, `bench-peers` six of them for pastiche.
BENCH := OMP_NUM_THREADS=1 $(BIN)/python benchmarks

bench: .venv/installed
	$(BENCH)/floor.py --profile standard
	$(BENCH)/sizes.py $(if $(PASTICHE),--pastiche $(PASTICHE))
	$(BENCH)/scales.py --quality draft

bench-large: .venv/installed
	$(BENCH)/sizes.py --sizes --large 2048 2896 4096 5793 8192 --iterations 2
	$(BENCH)/scales.py --quality draft --sizes 512 1024 2048 4096
	$(BENCH)/state.py

bench-peers: .venv/installed
	$(BENCH)/peers.py $(if $(PASTICHE),--pastiche $(PASTICHE))
	$(BENCH)/reach.py

clean:
	rm -rf .venv demo-out
