# Two commands: `make demo` shows what impasto does, `make test` runs everything CI runs.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
BENCH := OMP_NUM_THREADS=1 $(BIN)/python benchmarks

.PHONY: demo test test-slow chromium fuzz faults lock sbom audit bench bench-large bench-peers report reference clean

demo: .venv/installed
	@mkdir -p demo-out
	$(BIN)/impasto examples/photo.jpg --style examples/painting.jpg -o demo-out/demo.png --force
	@echo "The picture is at $(CURDIR)/demo-out/demo.png"

test: .venv/installed-test chromium docs/browser/node_modules
	$(BIN)/ruff check src tests benchmarks examples docs
	$(BIN)/ruff format --check src tests benchmarks examples docs
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses logical --dist loadfile --no-loadscope-reorder

# The proofs that take more than three CPU seconds each: memory that really runs out, export, kills,
# the interface against its description, training.
test-slow: .venv/installed-test chromium docs/browser/node_modules
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m slow --numprocesses logical --dist loadfile --no-loadscope-reorder

# The studio's page is tested in a browser. Where there is none and this is root's Debian, it is
# installed; where that does not work, those tests skip and say so.
chromium:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
	  [ "$$(id -u)" = 0 ] && grep -qx 'ID=debian' /etc/os-release && \
	  echo "Installing Debian's chromium, for the tests of the studio's page" && \
	  { apt-get -qq -o Acquire::Retries=1 update; \
	    DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install chromium; \
	  } >/dev/null 2>&1; } || echo "No Chromium: the tests of the studio's page will be skipped"

# And the page that runs an exported network is, where npm has its runtime.
docs/browser/node_modules: docs/browser/package.json
	@npm install --prefix docs/browser --no-package-lock --no-audit --no-fund --silent || \
	  echo "No onnxruntime-web: the test of the page in docs/browser will be skipped"

.venv/bin/python:
	$(PYTHON) -m venv .venv

# Everything has a hash, except impasto itself. PyTorch comes as its CPU build where pip finds one, and
# as the registry's own otherwise.
LOCKED := $(PIP) install --quiet --require-hashes --requirement
OWN := $(PIP) install --quiet --no-deps --no-build-isolation --no-index --editable .

.venv/installed: .venv/bin/python pyproject.toml requirements/run.txt
	@echo "Installing impasto and PyTorch into .venv: some minutes, and about a gigabyte"
	@$(LOCKED) requirements/torch-cpu.txt --no-deps 2>/dev/null || \
	  $(LOCKED) requirements/run.txt --requirement requirements/torch.txt
	$(LOCKED) requirements/run.txt --no-deps
	$(OWN)
	@touch $@

.venv/installed-test: .venv/installed requirements/test.txt
	$(LOCKED) requirements/test.txt --no-deps
	@touch $@

# Fuzzes everything that reads bytes from strangers, see tests/fuzz/fuzz.py. CSV=benchmarks/fuzz.csv
# keeps the counts.
MINUTES ?= 30
fuzz: .venv/installed-test
	$(LOCKED) requirements/fuzz.txt
	OMP_NUM_THREADS=1 nice $(BIN)/python tests/fuzz/fuzz.py --minutes $(MINUTES) $(if $(CSV),--csv $(CSV))

# Lets every file operation fail once, and kills work at random moments; some hours on two cores.
faults: .venv/installed-test
	$(BENCH)/faults.py --csv benchmarks/faults.csv
	$(BENCH)/kills.py --csv benchmarks/kills.csv

.venv-tools/installed: requirements/tools.txt
	$(PYTHON) -m venv .venv-tools
	.venv-tools/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes \
	  --requirement requirements/tools.txt
	@touch $@

# The locked requirements, see requirements/README.md.
lock: .venv-tools/installed
	PATH="$(CURDIR)/.venv-tools/bin:$$PATH" $(PYTHON) requirements/make_locks.py $(addprefix --wheel ,$(WHEEL))

# All packages that `make demo` installs, as a CycloneDX document; with TORCH=torch, those of PyTorch
# from the registry instead of its CPU build.
TORCH ?= torch-cpu
sbom: .venv-tools/installed requirements/run.txt requirements/$(TORCH).txt
	@cat $(filter %.txt,$^) | PYTHONWARNINGS=ignore .venv-tools/bin/cyclonedx-py requirements - \
	  --pyproject pyproject.toml --output-format JSON --output-reproducible --output-file sbom.json
	@echo "The bill of materials is at $(CURDIR)/sbom.json"

# Known vulnerabilities of what is locked; requirements/README.md has the exit codes.
audit: .venv-tools/installed
	@.venv-tools/bin/python requirements/audit.py

# PASTICHE=PATH names the command of an environment that has pastiche, to measure both. `bench` takes
# some minutes, `bench-large` some hours, `bench-peers` six of them for pastiche.

bench: .venv/installed
	$(BENCH)/floor.py --profile standard
	$(BENCH)/sizes.py $(if $(PASTICHE),--pastiche $(PASTICHE))
	$(BENCH)/scales.py --quality sketch

bench-large: .venv/installed
	$(BENCH)/sizes.py --sizes --large 2048 2896 4096 5793 8192 --iterations 2
	$(BENCH)/scales.py --quality sketch --sizes 512 1024 2048 4096
	$(BENCH)/state.py

bench-peers: .venv/installed
	$(BENCH)/peers.py $(if $(PASTICHE),--pastiche $(PASTICHE))
	$(BENCH)/reach.py

# The tables of the report, the history and the guides, from the CSV files in benchmarks.
report: .venv/installed
	$(BIN)/python benchmarks/report.py

# docs/reference.md, from the command line's help and the recipe's fields.
reference: .venv/installed
	$(BIN)/python docs/make_reference.py

clean:
	rm -rf .venv .venv-tools demo-out sbom.json docs/browser/node_modules
