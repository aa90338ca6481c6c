# Two commands for a fresh machine: `make quickstart` and `make test`. Everything else is a convenience: see `make help`,
# which shows what stands behind ## (for every day) and #: (figures of the documentation) at a target.
PYTHON ?= python3
BIN := .venv/bin
VERSIONS := constraints.txt
# A label of the build, such as torch's +cpu, is left out of exact versions, for the index knows none.
UNLABELLED := sed -i 's/+[a-z0-9.]*$$//'

.PHONY: air api audit bench bench-language bench-serving bench-watching broker browser clean data data-study diagnosis-study example \
	failure-map families first-hour forecast-study help install kernels lint live-demo live-demo-more mimic-study models nights onnx-exports onnx-others paper paper-seeds partial-study plan-study postgresql precision-study \
	quickstart quickstart-arithmetic quickstart-blind quickstart-page recall regimes regimes-families methods-study remedies-study repair-fronts \
	replay-study run-study same-as speech speech-table style suite test test-all test-field types versions watch-study

SHOWN = awk -F ':.*$(1) ' '/^[a-z-]+:.*$(1) / {printf "  make %-22s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: .venv/installed ## the environment .venv, with the exact versions of constraints.txt

.venv/installed: pyproject.toml $(VERSIONS)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint $(VERSIONS) --editable '.[dev]'
	touch $@

help: ## this list
	@echo "Every day:" && $(call SHOWN,##)
	@echo "Figures of the documentation, and what they rest on:" && $(call SHOWN,#:)

# The newest versions that pyproject.toml allows, written down for everyone; `make test` then says whether they will do.
versions: ## the newest versions that pyproject.toml allows, written to constraints.txt
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/python -m pip freeze --exclude-editable > $(VERSIONS)
	$(UNLABELLED) $(VERSIONS)
	touch .venv/installed

# Known weaknesses of the versions that are installed. What the service does not know fails as well: it was not audited.
audit: install ## known weaknesses of the versions that are installed
	$(BIN)/python -m pip freeze --exclude-editable > .venv/audited.txt
	$(UNLABELLED) .venv/audited.txt
	$(BIN)/pip-audit --strict --disable-pip --no-deps --requirement .venv/audited.txt

quickstart: install ## train a forecaster, watch it fail with age, tune it, repair it
	$(BIN)/outlast quickstart --out runs/quickstart

quickstart-page: quickstart #: docs/quickstart.md: one run, which is kept
	$(BIN)/python -m benchmarks.pages.one_run --run runs/quickstart --page docs/quickstart.md

# What docs/quickstart.md shows; each goes on where it was stopped. The blind seeds are among the bases of remedies-study.
quickstart-blind: install #: docs/quickstart.md: ten blind seeds
	$(BIN)/python -m benchmarks.remedies_study --out runs/remedies-study --kinds quickstart
	$(BIN)/python -m benchmarks.pages.blind --page docs/quickstart.md

quickstart-arithmetic: install #: docs/quickstart.md: the same with other kernels and products
	ATEN_CPU_CAPABILITY=default OUTLAST_SCAN=chunked \
		$(BIN)/python -m benchmarks.pages.seeds --seed 110 --seeds 3 --out runs/arithmetic-2 --page docs/quickstart.md

air: install #: docs/quickstart.md: a task that nothing was chosen on
	$(BIN)/python -m benchmarks.pages.seeds --task air --seeds 3 --out runs/air --page docs/quickstart.md

# examples/trained, and the picture at the top of README.md.
example: install ## examples/trained, and the picture at the top of README.md
	cd examples && ../$(BIN)/python write_readings.py && rm -rf trained ../runs/example
	cd examples && ../$(BIN)/outlast train --model my_lstm:build --data readings.csv --target power --horizon 60 \
		--units power kW temperature °C speed rpm --train-context 64 --steps 2000 --out ../runs/example/base
	cp -r runs/example/base/model examples/trained
	cd examples && ../$(BIN)/outlast repair --model trained --allow-code --data readings.csv --train-context 64 \
		--intervention carry --expected-run 1280 --steps 1500 --learning-rate 3e-3 --out ../runs/example/repair
	$(BIN)/outlast report runs/example/repair --out runs/example/report.html --figures runs/example/figures
	cp runs/example/figures/age.svg docs/example.svg
	cd examples && ../$(BIN)/jupyter-execute --inplace broken_lstm.ipynb

# On development seeds and validation streams.
repair-fronts: install #: docs/repairing.md: anchors and doses on validation streams
	$(BIN)/python -m benchmarks.repair_fronts --out runs/fronts --page docs/repairing.md

# Each goes on where it was stopped.
families: install #: docs/families.md: twelve models, three seeds each, one repair
	$(BIN)/outlast recipe recipes/families.toml
	$(BIN)/python -m benchmarks.pages.power runs/families docs/families.md

regimes: install #: docs/regimes.md: a world that changes
	$(BIN)/outlast recipe recipes/regimes.toml
	$(BIN)/python -m benchmarks.pages.regimes runs/regimes docs/regimes.md

regimes-families: install #: docs/regimes.md: the same for other families
	$(BIN)/outlast recipe recipes/regimes-families.toml
	$(BIN)/python -m benchmarks.pages.regimes runs/regimes-families docs/regimes.md

recall: install #: docs/recall.md: a task that memory limits
	$(BIN)/outlast recipe recipes/recall.toml
	$(BIN)/python -m benchmarks.pages.recall runs/recall docs/recall.md

# The paper's experiments at laptop scale, one seed, below an hour on two cores; figures in runs/paper/.
paper: install #: the paper's experiments on a laptop, one seed: an hour
	for each in language copying passkey stories few-shot; do \
		$(BIN)/outlast recipe recipes/paper/$$each.toml --scale laptop --allow-code || exit; done
	$(BIN)/python -m benchmarks.pages.reproduction --kept runs/paper/rows --page runs/paper/reproduction.md

# What docs/reproduction.md and docs/language.md show; models whose rows are kept in recipes/kept/ are not run again.
paper-seeds: install #: docs/reproduction.md and docs/language.md: all seeds
	for each in language copying passkey stories few-shot; do \
		$(BIN)/outlast recipe recipes/paper/$$each.toml --scale laptop-seeds --allow-code || exit; done
	$(BIN)/python -m benchmarks.pages.reproduction --page docs/reproduction.md
	$(BIN)/python -m benchmarks.pages.language --page docs/language.md

failure-map: install #: docs/language.md: where models of text fail
	$(BIN)/outlast recipe recipes/failure-map.toml --allow-code
	$(BIN)/python -m benchmarks.pages.language --page docs/language.md

speech: install #: a shipped speaker encoder: measured and repaired
	$(BIN)/outlast quickstart --task examples.speech.task:SPEECH --out runs/speech

speech-table: install #: docs/speech.md: its table
	$(BIN)/python -m benchmarks.pages.speech --out runs/speech-table --page docs/speech.md

diagnosis-study: install #: docs/diagnosis.md: planted causes, and what is told of them
	$(BIN)/python -m benchmarks.diagnosis_study --out runs/diagnosis --page docs/diagnosis.md

# Household power learnt by day alone: what nights cost, and what starts from nights repair.
nights: install #: docs/scenarios.md: learnt by day alone
	$(BIN)/python -m benchmarks.pages.nights --out runs/nights --page docs/scenarios.md

# Whether the expected run is told rightly from streams, and what that is worth.
run-study: install #: docs/planning.md: whether streams tell the expected run
	$(BIN)/python -m benchmarks.run_study --out runs/run-study --page docs/planning.md

# Plans, and all that could have been done instead, on three seeds of nine kinds of bases; then what else was tried on
# some of these bases. Each goes on where it is stopped; some five minutes a base.
plan-study: install #: docs/planning.md: plans, beside all that could have been done
	$(BIN)/python -m benchmarks.plan_study --out runs/plan-study --page docs/planning.md

partial-study: install #: docs/repairing.md: only the parts of the state that attribution blames
	$(BIN)/python -m benchmarks.partial_study --out runs/plan-study --page docs/repairing.md

methods-study: install #: docs/repairing.md: training methods of others, alone and with starts
	$(BIN)/python -m benchmarks.methods_study --out runs/plan-study --page docs/repairing.md

mimic-study: install #: docs/repairing.md: short segments that mimic old states
	$(BIN)/python -m benchmarks.mimic_study --out runs/plan-study --page docs/repairing.md

data-study: install #: docs/repairing.md: how much data a repair needs
	$(BIN)/python -m benchmarks.data_study --out runs/plan-study --page docs/repairing.md

replay-study: install #: docs/repairing.md: starts from kept states that cost the most
	$(BIN)/python -m benchmarks.replay_study --out runs/plan-study --page docs/repairing.md

# Goes on where it was stopped; some five minutes a base, 66 bases.
remedies-study: install #: docs/remedies-study.md: remedies beside trained repairs
	$(BIN)/python -m benchmarks.remedies_study --out runs/remedies-study
	$(BIN)/python -m benchmarks.remedies_study --page docs/remedies-study.md

# Whether products in bfloat16 change a verdict, a repair or its acceptance.
precision-study: install #: docs/measuring.md: bfloat16
	$(BIN)/python -m benchmarks.precision_study --out runs/precision --page docs/measuring.md

# Alarms of a watched forecaster in weeks that nothing was calibrated on, and in weeks with planted changes.
watch-study: install #: docs/watching.md: false alarms and planted changes
	$(BIN)/python -m pip install --quiet --constraint $(VERSIONS) --editable '.[bench]'
	$(BIN)/python -m benchmarks.watch_study --out runs/watch-study --page docs/watching.md

# The production loop from end to end; then a bad version that rolls itself back, and falsified targets.
live-demo: install #: the production loop from end to end
	$(BIN)/python -m pip install --quiet --constraint $(VERSIONS) --editable '.[live]'
	$(BIN)/python examples/live_demo.py --out runs/live-demo

live-demo-more: install #: a bad version that rolls itself back; falsified targets
	$(BIN)/python -m pip install --quiet --constraint $(VERSIONS) --editable '.[live]'
	$(BIN)/python examples/live_demo.py --out runs/live-demo-bad --show bad
	$(BIN)/python examples/live_demo.py --out runs/live-demo-poisoned --show poisoned

bench-watching: install #: docs/watching.md: what watching costs
	$(BIN)/python -m benchmarks.watching --page docs/watching.md

# Of the models that regimes and regimes-families leave.
forecast-study: install #: docs/diagnosis.md: forecasts of failure
	$(BIN)/python -m benchmarks.forecast_study --out runs/forecast --page docs/diagnosis.md

# Some ten minutes; on a machine that does nothing else.
bench: install #: docs/performance.md: ten minutes
	$(BIN)/python -m pip install --quiet --constraint $(VERSIONS) --editable '.[bench]'
	$(BIN)/python -m benchmarks.bench --out runs/bench --page docs/performance.md
	$(BIN)/python -m benchmarks.language_size --out runs/language-size --page docs/performance.md
	$(BIN)/python -m benchmarks.where --page docs/performance.md

# What docs/first-hour.md shows: tables as they were published, models as strangers write them, the defaults.
first-hour: install #: docs/first-hour.md: strangers' tables and models
	$(BIN)/python -m pip install --quiet 'pytorch-lightning>=2.4,<3'
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.first_hour.prepare --out runs/first-hour
	$(BIN)/python -m benchmarks.first_hour.walk --out runs/first-hour --page docs/first-hour.md

# What docs/models.md shows: every recurrent model type of the transformers that is installed; some minutes.
models: install #: docs/models.md: every recurrent type of transformers
	$(BIN)/python -m benchmarks.pages.model_types --page docs/models.md

# Whether this checkout gives the very outputs of another commit, and loads what that one saved; some two minutes.
# make same-as REF=main
same-as: install ## whether the outputs are those of another commit, bit by bit: make same-as REF=main
	$(BIN)/python benchmarks/same_outputs.py $(REF)

# What docs/serving.md shows; on a machine that does nothing else.
bench-serving: install #: docs/serving.md: what a row costs
	$(BIN)/python -m benchmarks.serving --page docs/serving.md

# What docs/measuring.md says measuring costs; some ten minutes.
bench-language: install #: docs/measuring.md: what measuring costs
	$(BIN)/python -m benchmarks.language_cost --out runs/language --page docs/measuring.md

# What docs/onnx.md shows.
onnx-exports: install #: docs/onnx.md: exported files
	$(BIN)/python -m benchmarks.onnx_files --only exported --page docs/onnx.md

onnx-others: install #: docs/onnx.md: files of others
	$(BIN)/python -m benchmarks.onnx_files --only silero --page docs/onnx.md
	$(BIN)/python -m benchmarks.onnx_files --only dtln --page docs/onnx.md

# The map, the figures and the walks of the house in docs/architecture.md, from imports and calls.
house: install
	$(BIN)/python -m benchmarks.house
	$(BIN)/python -m benchmarks.walks

# docs/api.md from the docstrings, docs/glossary.md from the words of the reports.
api: install ## docs/api.md and docs/glossary.md from the code
	$(BIN)/python docs/reference.py

lint: style types ## style and types

style: install ## ruff and its formatter, without changing anything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install ## pyright
	$(BIN)/pyright

# Reports are looked at in the system's own Chromium; where it is missing, root gets it from Debian.
browser: ## Chromium, which tests of reports need
	@command -v chromium > /dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq chromium; } \
		|| { echo "the tests need a browser: install the package chromium"; exit 2; }

# Messages are read from a real broker, got the same way.
broker: ## mosquitto, which tests of MQTT need
	@PATH="$$PATH:/usr/sbin"; command -v mosquitto > /dev/null && command -v openssl > /dev/null \
		|| { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq mosquitto openssl; } \
		|| { echo "the tests need an MQTT broker: install the packages mosquitto and openssl"; exit 2; }

# Only long tests ask for it. Its server is started by the tests themselves, as another user than root.
postgresql: ## a PostgreSQL server, which long tests need
	@ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 \
		|| { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq postgresql; } \
		|| { echo "the long tests need a PostgreSQL server: install the package postgresql"; exit 2; }

# By one process, before two would each compile the same ones.
kernels: install ## compile every kernel once
	$(BIN)/outlast env --warm > /dev/null
	$(BIN)/python -m pytest tests/scan/test_recurrences.py -k "equals_the_definition and numba"

data: install ## fetch the data of the built-in tasks
	$(BIN)/outlast tasks --fetch power
	$(BIN)/outlast tasks --fetch examples.speech.task:SPEECH
	$(BIN)/outlast tasks --fetch recipes.tasks.text:TEXT

# Types are looked at beside the tests; whichever fails, make does.
test: broker browser style ## lint, and every rule once: ten minutes on two quiet cores
	$(MAKE) -j 2 suite types

suite: data kernels ## the tests of make test alone
	$(BIN)/python -m pytest -n 2 --dist loadgroup

# Kills, wheels, lowest versions: what takes long, or repeats what a quicker test holds.
test-all: test postgresql ## make test, then what is marked long: forty minutes
	$(BIN)/python -m pytest -m long -n 2 --dist loadgroup

# Every kill, and the usual check of every type of transformers: an hour. Its last figures stand in docs/tests.md.
test-field: install ## what is marked field: an hour
	$(BIN)/python -m pytest -m field -n 2 --dist loadgroup

clean: ## remove .venv and runs/
	rm -rf .venv runs
