# The front door. Each environment has stamp files inside it, so a second run has nothing to do and a removed one is made again.

PYTHON ?= python3

# Start-up time depends on compiled bytecode, and an environment or a path of the caller's must not leak into ours.
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH VIRTUAL_ENV
# Interpreters come from the machine: fetching one would be a surprise, and fails behind a closed network.
export UV_PYTHON_DOWNLOADS := never

BUILD := .build
UV := $(BUILD)/uv/bin/uv
BIN := .venv/bin
WORKER := $(BUILD)/worker
# The others beside the one in .venv, each in .build/airflow-<version>.
AIRFLOWS := 3.2 3.4
EDGE3 := $(BUILD)/edge3

# One process more than there are cores, since tests wait, too: with two for each, they lose races against time that
# they win on an idle machine.
# PROCESSES=0 is one after the other.
PROCESSES ?= $(shell '$(PYTHON)' -c 'import os; print(len(os.sched_getaffinity(0)) + 1)' 2>/dev/null || echo 3)

# Whoever looks for something wants to see it fail; the whole suite gives what failed beside all else a second try.
PYTEST = $(if $(ARGS),pytest,harness.second_try)

SOURCES := $(shell find src -type f ! -path '*/__pycache__/*' ! -path '*/page/bundle/*')
CHECKED := src hatch_build.py $(wildcard harness demo benchmarks tools)

# The operator's page, as the wheel has it, and what it is built from.
PAGE := src/airflow_edge/page/bundle/built.json
PAGE_SOURCES := hatch_build.py docs/reference/rest-api-openapi.json $(shell find ui -name node_modules -prune -o \
	-type f ! -name schema.d.ts ! -name '*.test.*' -print)

# What knows Airflow. A worker's agent, the protocol and the rules know nothing of it (`make lint`), and the store stands on
# libraries that are the same in each lock (`tests/architecture/test_distribution.py`); one kind of database will do.
KNOWS_AIRFLOW := $(addprefix tests/unit/,cli executor page runtime test_plugin.py) \
	$(addprefix tests/integration/,admin executor runtime) \
	$(addprefix tests/integration/gateway/test_,execution.py policy_of_routes.py reading.py repeats.py stored_names.py)
ONE_OF_EACH := not sqlite and not mysql and not psycopg] and not oldest

# $(call find-python,3.13): such an interpreter of this machine, on PATH or where pyenv keeps them; nothing if it has none.
find-python = $(shell for python in python$(1) "$$(pyenv root 2>/dev/null)"/versions/$(1).*/bin/python; do \
	"$$python" -c '' 2>/dev/null && echo "$$python" && break; done)

# $(call locked-env,FOLDER,LOCK): exactly what the lock says, bytecode included; with another Python if a third is given.
define locked-env
@test -x $(1)/bin/python || $(UV) venv --quiet --clear --python '$(or $(3),$(PYTHON))' $(1)
$(UV) pip sync --quiet --python $(1)/bin/python --require-hashes --compile-bytecode $(2)
endef

# $(call editable,FOLDER): the project itself, built with the locked backend instead of one fetched for the occasion.
editable = $(UV) pip install --quiet --python $(1)/bin/python --no-deps --no-build-isolation --editable .

.PHONY: help
help: ## say what there is
	@awk -F ':.*## ' '/^[a-z0-9.%-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# ---- environments

$(BUILD)/uv/done.stamp: requirements/uv.txt
	@command -v '$(PYTHON)' >/dev/null || { \
	  echo "make: no '$(PYTHON)' on PATH; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: $$('$(PYTHON)' --version 2>&1) is too old: 3.11 or newer is needed; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@'$(PYTHON)' -m venv --clear $(BUILD)/uv || { \
	  echo "make: '$(PYTHON)' cannot make a virtual environment; install its venv module (Debian, Ubuntu: python3-venv)" >&2; exit 1; }
	$(BUILD)/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/uv.txt
	@touch $@

.venv/locked.stamp: $(BUILD)/uv/done.stamp requirements/dev.txt
	$(call locked-env,.venv,requirements/dev.txt)
	@touch $@

$(PAGE): .venv/locked.stamp $(PAGE_SOURCES)
	$(BIN)/python hatch_build.py
	@touch $@

# The page comes first: where it is not there, building the project would build it, and go on without it if that fails.
.venv/done.stamp: .venv/locked.stamp pyproject.toml | $(PAGE)
	$(call editable,.venv)
	@touch $@

$(WORKER)/locked.stamp: $(BUILD)/uv/done.stamp requirements/worker.txt
	$(call locked-env,$(WORKER),requirements/worker.txt)
	@touch $@

$(BUILD)/dist/done.stamp: .venv/done.stamp $(PAGE) pyproject.toml README.md LICENSE NOTICE $(SOURCES)
	@rm -rf $(BUILD)/dist
	$(UV) build --quiet --wheel --no-build-isolation --python $(BIN)/python --out-dir $(BUILD)/dist .
	@touch $@

$(WORKER)/done.stamp: $(WORKER)/locked.stamp $(BUILD)/dist/done.stamp
	$(UV) pip install --quiet --python $(WORKER)/bin/python --no-deps --reinstall --compile-bytecode $(BUILD)/dist/airflow_edge-*.whl
	$(UV) pip check --quiet --python $(WORKER)/bin/python
	@touch $@

$(BUILD)/airflow-%/locked.stamp: $(BUILD)/uv/done.stamp requirements/airflow-%.txt
	$(call locked-env,$(@D),requirements/airflow-$*.txt)
	@touch $@

$(BUILD)/airflow-%/done.stamp: $(BUILD)/airflow-%/locked.stamp pyproject.toml
	$(call editable,$(@D))
	@touch $@

# Kept, or make would take it for something in between and remove it.
.SECONDARY: $(AIRFLOWS:%=$(BUILD)/airflow-%/locked.stamp)

$(EDGE3)/done.stamp: $(BUILD)/uv/done.stamp requirements/edge3.txt
	$(call locked-env,$(EDGE3),requirements/edge3.txt)
	@touch $@

$(BUILD)/python-%/done.stamp: $(BUILD)/uv/done.stamp requirements/dev.txt pyproject.toml
	$(call locked-env,$(@D),requirements/dev.txt,$(call find-python,$*))
	$(call editable,$(@D))
	@touch $@

.PHONY: setup page env-worker $(AIRFLOWS:%=env-airflow-%) env-edge3
setup: .venv/done.stamp $(PAGE) ## .venv: everything to develop with, the project editable
page: $(PAGE) ## the operator's page, built from ui/ into the package (part of setup)
env-worker: $(WORKER)/done.stamp ## .build/worker: what a site has, airflow-edge[worker] from a wheel and nothing else
env-airflow-3.2: $(BUILD)/airflow-3.2/done.stamp ## .build/airflow-3.2: the oldest Airflow that is supported
env-airflow-3.4: $(BUILD)/airflow-3.4/done.stamp ## .build/airflow-3.4: the newest one, a pre-release
env-edge3: $(EDGE3)/done.stamp ## .build/edge3: the peer that the benchmark runs against

# ---- what people run

.PHONY: test test-page example-dags fuzz lint format demo bench bench-reconnect bench-logs bench-large-log bench-hostile load chaos scenarios docs docs-check lock clean
test: setup env-worker $(AIRFLOWS:%=env-airflow-%) env-edge3 ## all tests (make test ARGS='tests/unit -x' for some)
	$(if $(ARGS),,$(MAKE) --no-print-directory test-page)
	$(BIN)/python -m $(PYTEST) --numprocesses $(PROCESSES) --durations=25 $(ARGS)
	$(if $(ARGS),,$(MAKE) --no-print-directory test-airflow-3.4)
	$(if $(ARGS),,$(MAKE) --no-print-directory test-airflow-3.2 ARGS=tests/integration/gateway/test_policy_of_routes.py)

test-page: setup ## the tests of ui/ (make test-page ARGS=src/features/fleet)
	$(BIN)/python -m tools.ui vitest run $(ARGS)

test-airflow-%: $(BUILD)/airflow-%/done.stamp ## what knows Airflow, with another one (make test-airflow-3.2)
	$(<D)/bin/python -m $(PYTEST) --numprocesses $(PROCESSES) -k '$(ONE_OF_EACH)' $(or $(ARGS),$(KNOWS_AIRFLOW))

example-dags: setup env-worker $(AIRFLOWS:%=env-airflow-%) env-edge3 ## Airflow's own example Dags on 3.2, 3.3 and 3.4 as with LocalExecutor (ARGS='-k 3.4')
	EXAMPLE_DAGS=all $(BIN)/python -m pytest -s tests/e2e/test_example_dags.py $(ARGS)

test-python-%: ## unit tests with another Python, if there is one (make test-python-3.13)
	$(if $(call find-python,$*),$(MAKE) --no-print-directory $(BUILD)/python-$*/done.stamp,\
	  @echo "Python $* is not on this machine: the tests with it are skipped" >&2)
	$(if $(call find-python,$*),$(BUILD)/python-$*/bin/python -m pytest --numprocesses $(PROCESSES) $(or $(ARGS),tests/unit))

fuzz: setup ## new examples for every property (MINUTES=30 SEED=7); what fails is kept in tests/examples
	$(BIN)/python -m tests.fuzz $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(ARGS)

lint: setup ## formatting, lint, types, import rules, examples, generated pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(CHECKED) tests
	$(BIN)/lint-imports
	$(BIN)/python -m tests.docs
	$(BIN)/python -m tools.ui tsc --noEmit
	$(BIN)/python -m tools.ui biome ci
	$(if $(wildcard tools/docs*),$(MAKE) --no-print-directory docs-check)

format: setup ## put formatting and import order right
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	$(BIN)/python -m tools.ui biome check --write

demo: setup env-worker ## a whole Airflow and one worker; ONCE=1 ends after the run
	@$(BIN)/python -m demo $(if $(ONCE),--once)

bench: setup env-worker env-edge3 ## side by side with LocalExecutor and edge3
	$(BIN)/python -m benchmarks $(ARGS)

bench-reconnect: setup ## how soon 1,000 workers are back after their API server (ARGS='--workers 200 --outage 10')
	$(BIN)/python -m benchmarks.reconnect $(ARGS)

bench-logs: setup env-worker env-edge3 ## written → visible, side by side with LocalExecutor and edge3 (ARGS=--record)
	$(BIN)/python -m benchmarks.logs $(ARGS)

bench-large-log: setup env-worker ## 200 MB from one task: memory, and how soon it can be read (ARGS=--record)
	$(BIN)/python -m benchmarks.large_log $(ARGS)

load: setup ## a fleet that is simulated: its costs, its waits, its jobs a second (ARGS='--workers 5000 --queues 1 --cut --record')
	$(BIN)/python -m benchmarks.load $(ARGS)

bench-hostile: setup ## what twenty honest workers notice of a hostile one (ARGS='--minutes 10 --record')
	$(BIN)/python -m benchmarks.hostile $(ARGS)

chaos: setup env-worker ## break everything on purpose, then look for what is lost (ARGS='--minutes 30 --seed 7')
	$(BIN)/python -m tests.chaos $(ARGS)

scenarios: setup env-worker ## one outage, crash or lost message at a time, each with its expected end
	$(BIN)/python -m pytest -m chaos tests/chaos $(ARGS)

docs: setup ## write the generated pages anew
	$(BIN)/python -m tools.docs

docs-check: setup ## fail if a generated page is stale
	$(BIN)/python -m tools.docs --check

# ---- locks

COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade)
ALL_EXTRAS := pyproject.toml --extra server --extra s3 --extra worker --group dev

lock: $(BUILD)/uv/done.stamp ## resolve the locks in requirements/ (UPGRADE=1 takes the newest releases)
	$(COMPILE) requirements/uv.in -o requirements/uv.txt
	$(COMPILE) $(ALL_EXTRAS) -c requirements/airflow-3.3.in -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra worker -c requirements/airflow-3.3.in -o requirements/worker.txt
	$(foreach version,$(AIRFLOWS),$(COMPILE) $(ALL_EXTRAS) -c requirements/airflow-$(version).in -o requirements/airflow-$(version).txt &&) true
	$(COMPILE) requirements/edge3.in -o requirements/edge3.txt

clean: ## remove every environment and cache
	rm -rf .venv $(BUILD) dist ui/node_modules $(dir $(PAGE)) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
