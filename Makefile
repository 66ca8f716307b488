# Everything here needs python3 (3.11 or newer), make and the package registries; nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# In the order in which the table of docs/stores.md tells of them.
STORE_TESTS := $(patsubst %,tests/stores/test_%.py,objects whole_vault disks refusals failing_servers \
	versions_and_locks locks locked_flows s3_options connections policies lifecycle) tests/stores
# Servers for tests, whose own dependencies are none of this package's.
EMULATORS := .venv-emulators
# Later ones want a newer Node.js than Debian has. Named by its version, so that another one is installed.
AZURITE_VERSION := 3.35.0
AZURITE := $(EMULATORS)/.azurite-$(AZURITE_VERSION)
# The tests' environment again, and what drives a browser.
UI := .venv-ui
# The same, and what a distributed Airflow needs.
DEPLOYMENT := .venv-deployment
# What transfers are compared with; s3fs pins what boto3 may be.
RIVALS := .venv-bench

.PHONY: demo demo-ui test test-ui test-live test-deployment test-stores test-matrix test-package dist audit licences faults fuzz simulator-page bench lint docs lock clean

$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the locked dependencies into $(VENV) (a minute or so) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/uv.txt --require-hashes
	@$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python requirements/uv.txt requirements/dev.txt
	@$(BIN)/uv pip install --quiet --no-deps --editable . --python $(BIN)/python
	@touch $@

$(RIVALS)/.ready: requirements/bench.txt $(READY)
	@echo "Installing what transfers are compared with into $(RIVALS) ..."
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(RIVALS)
	@$(BIN)/uv pip install --quiet --require-hashes --python $(RIVALS) -r requirements/bench.txt
	@touch $@

$(EMULATORS)/.ready: requirements/emulators.txt $(READY)
	@echo "Installing emulators of object stores into $(EMULATORS) ..."
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(EMULATORS)
	@$(BIN)/uv pip install --quiet --require-hashes --python $(EMULATORS) -r requirements/emulators.txt
	@touch $@

$(AZURITE): | $(EMULATORS)/.ready
	@command -v npm >/dev/null || scripts/system-packages.sh npm  # Node.js from elsewhere than Debian brings one along
	@echo "Installing Azurite $(AZURITE_VERSION) into $(EMULATORS) ..."
	@rm -f $(EMULATORS)/.azurite-*
	@npm install --silent --no-audit --no-fund --prefix $(EMULATORS) azurite@$(AZURITE_VERSION)
	@touch $@

$(UI)/.ready: requirements/ui.txt $(READY)
	@echo "Installing what drives a browser into $(UI) ..."
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(UI)
	@$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes --python $(UI) requirements/dev.txt requirements/ui.txt
	@$(BIN)/uv pip install --quiet --no-deps --editable . --python $(UI)
	@touch $@

$(DEPLOYMENT)/.ready: requirements/deployment.txt $(READY)
	@echo "Installing what a distributed Airflow needs into $(DEPLOYMENT) ..."
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(DEPLOYMENT)
	@$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes --python $(DEPLOYMENT) requirements/dev.txt requirements/deployment.txt
	@$(BIN)/uv pip install --quiet --no-deps --editable . --python $(DEPLOYMENT)
	@touch $@

demo: $(READY)  ## the main job from nothing: both example DAGs into ./demo-vault
	@$(BIN)/xbackup demo

test: $(READY) $(EMULATORS)/.ready  ## every test whose servers are Python packages
	$(BIN)/python -m pytest -n 2 --dist loadgroup

test-stores: $(READY) $(EMULATORS)/.ready $(AZURITE)  ## every store that can be had here, and the table of docs/stores.md (about ten minutes)
	@$(BIN)/uv pip install --quiet --require-hashes --python $(EMULATORS) -r requirements/stores.txt
	@scripts/system-packages.sh ceph-base ceph-mgr ceph-mon ceph-osd faketime radosgw
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m 'stores or not stores' $(STORE_TESTS) --outcome-table docs/results/stores.md

demo-ui: $(READY)  ## the demo, then its vault on the page of an Airflow on 127.0.0.1, until Ctrl-C
	@$(BIN)/xbackup demo --ui

test-ui: $(UI)/.ready  ## the page in a real Airflow and Debian's chromium, and the screenshots of the documentation
	@scripts/system-packages.sh chromium fonts-inter
	$(UI)/bin/python -m pytest -m ui tests/ui

test-live: $(READY)  ## the tests that kill and restart parts of a whole Airflow (about five minutes)
	$(BIN)/python -m pytest -m live tests/live

test-deployment: $(DEPLOYMENT)/.ready  ## Airflow with Celery, Redis and PostgreSQL, broken on purpose, and the table of docs/deployment.md (about 12 minutes)
	@scripts/system-packages.sh postgresql redis-server
	$(DEPLOYMENT)/bin/python -m pytest -m deployment tests/deployment --outcome-table docs/results/deployment.md

test-matrix: $(READY)  ## the tests on every supported version, or in one cell: CELL=3.1.8-py3.12-lowest, SUITE=airflow
	@SUITE=$(SUITE) $(BIN)/nox $(if $(CELL),--session 'suite($(CELL))')

dist: $(READY)  ## the wheel and the source distribution in dist, checked
	@rm -rf dist
	$(BIN)/uv build --quiet --out-dir dist
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl

test-package: $(READY)  ## the wheel in a clean environment, the source distribution in a clean folder
	$(BIN)/python -m pytest -m package tests/packaging

audit: $(READY)  ## known vulnerabilities of all that requirements/*.txt lock
	@$(BIN)/python scripts/audit.py $(AUDIT)

licences: $(READY)  ## what the licences of requirements/dev.txt are, and whether each was decided about
	@$(BIN)/pip-licenses --summary --order count

faults: $(READY)  ## every fault of docs/reliability.md and what came of it, or those with WORDS="download stall"
	@scripts/system-packages.sh age zstd awscli || echo "Some faults of restores cannot be tried without them."
	@$(BIN)/python scripts/faults.py $(if $(WORDS),$(WORDS),--write)

fuzz: $(READY)  ## 10,000 examples for every test that makes up its own inputs (about half an hour)
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m property --hypothesis-profile=long

simulator-page: $(READY)  ## docs/simulator.md, from the simulator's own models
	@$(BIN)/python scripts/simulator_page.py

bench: $(READY) $(RIVALS)/.ready  ## what it all takes, as tables in docs/results (less than twenty minutes; PARTS="startup catalog waiting verify transfer costs")
	@scripts/system-packages.sh awscli curl gcc jq libc6-dev libssl-dev nginx-light restic unzip
	@$(BIN)/python benchmarks/bench.py $(PARTS)

lint: $(READY)  ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)  ## the documentation as HTML in docs/_build
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build

lock: $(READY)  ## resolve the dependencies again and write requirements/*.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --upgrade --no-annotate --python-version 3.11 --custom-compile-command "make lock" --output-file requirements/uv.txt requirements/uv.in
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --upgrade --no-annotate --python-version 3.11 --custom-compile-command "make lock" --all-extras --group dev --constraint requirements/uv.txt --output-file requirements/dev.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --upgrade --no-annotate --python-version 3.11 --constraint requirements/dev.txt --custom-compile-command "make lock" --output-file requirements/deployment.txt requirements/deployment.in
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --upgrade --no-annotate --python-version 3.11 --custom-compile-command "make lock" --output-file requirements/emulators.txt requirements/emulators.in
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --upgrade --no-annotate --python-version 3.11 --custom-compile-command "make lock" --output-file requirements/stores.txt requirements/stores.in
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --upgrade --no-annotate --python-version 3.11 --custom-compile-command "make lock" --constraint requirements/dev.txt --output-file requirements/ui.txt requirements/ui.in
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --upgrade --no-annotate --python-version 3.11 --custom-compile-command "make lock" --output-file requirements/bench.txt requirements/bench.in

clean:
	rm -rf $(VENV) $(EMULATORS) $(RIVALS) $(UI) $(DEPLOYMENT) .nox dist docs/_build demo-vault demo-airflow .pytest_cache .mypy_cache .ruff_cache
