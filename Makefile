# Everything a fresh machine with Python and pip needs; nothing is installed outside .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-slow check docs bench mutants clean

demo: $(READY) ## make, verify, time and choose a classifier, then a detector; no download
	$(BIN)/edgetl run parts
	$(BIN)/edgetl run detect-parts --dist dist/detect-parts

test: $(READY) ## the default tests in parallel, then those on emulated boards; system packages first
	bash .ci/system-packages
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow and not emulated"
	$(BIN)/python -m pytest -n auto --dist loadscope -m emulated

test-slow: $(READY) ## the tests that take longer than a minute each
	$(BIN)/python -m pytest -n auto -m slow

# mutmut is installed for this target alone.
SEED ?= 1
COUNT ?= 400

mutants: $(READY) ## which of COUNT small changes to the code that decides the tests notice; an hour
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable $(RUNTIME) --editable ".[mutation]"
	$(BIN)/python tests/mutants.py --seed $(SEED) --count $(COUNT)

check: $(READY) ## lint, format, types, documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(MKDOCS) --quiet --site-dir build/checked-site

docs: $(READY) ## the documentation as a site in build/site
	$(MKDOCS)

# The notice is of another product.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# These need images, weights or a bundle; their first lines say which.
WITH_DATA := $(addprefix benchmarks/,false_alarms.py fine_tune_detector.py int8_detection.py yolox_parity.py)

bench: $(READY) ## one claim, one script, one table; kept in docs/measurements, for the documentation
	for script in $(filter-out $(WITH_DATA),$(wildcard benchmarks/*.py)); do $(BIN)/python docs/recorded.py $$script || exit 1; done

clean:
	rm -rf $(VENV) .edgetl dist mutants

# The package is two distributions: `edgetl` needs distributions/runtime, which has `edgetl.runtime`.
RUNTIME := distributions/runtime

$(READY): pyproject.toml $(RUNTIME)/pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable $(RUNTIME) --editable ".[all,dev,docs]"
	touch $@
