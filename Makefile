# Two commands set everything up: `make demo` and `make test`. Each makes its
# own .venv with the tested versions of all it needs.

PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo

# What of the package runs on every Keras backend, and where else to run it.
BACKEND ?= jax
EVERY_BACKEND := layers weights models/test_golden.py models/test_models.py \
  models/test_flattening.py

# Maven's downloads stay in the checkout; two cores and little memory do.
MVN := MAVEN_OPTS="-Xmx1g -XX:+UseSerialGC" mvn -B -q \
  -Dmaven.repo.local=$(CURDIR)/android_demo/build/m2

.PHONY: demo web android docs test slow backends package test-web test-android \
  lint clean

$(BIN)/.installed: setup.py dla_keras/version.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "dla_keras needs Python 3.11 or newer; this is $$($(PYTHON) --version)." \
	    "Name another one: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -qq --upgrade pip
	$(BIN)/pip install -qq --editable '.[all]' --constraint constraints.txt
	@touch $@

demo: $(BIN)/.installed
	$(BIN)/dla-keras demo --run-dir $(DEMO)

# RUN=runs/demo shows the files of a run instead of the segmenter that ships.
web: $(BIN)/.installed
	$(BIN)/python web_demo/make_models.py $(RUN:%=--run-dir %)
	cd web_demo && npm ci --no-audit --no-fund && node serve.mjs

# An APK for phones. MODEL=mine.tflite packs another file than the segmenter that
# ships, and SAMPLE=mine.png another picture to begin with.
android: $(BIN)/.installed
	android_demo/install.sh
	cd android_demo && $(MVN) package -DskipTests && $(MVN) -f toolchain.xml
	$(BIN)/python android_demo/build_apk.py \
	  $(MODEL:%=--model %) $(SAMPLE:%=--sample %)

# The site, into site/; a dead link is an error.
docs: $(BIN)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# In order: by number of tests, the files with few long ones would come last. A
# thread each for two processes on two cores: trainings take a seventh less.
test: export TF_NUM_INTRAOP_THREADS = 1
test: $(BIN)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

slow: $(BIN)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow

backends: $(BIN)/.installed
	KERAS_BACKEND=$(BACKEND) $(BIN)/python -m pytest -n 2 \
	  $(EVERY_BACKEND:%=tests/%)

# What Python makes of pictures and frames: both demos are held to it.
build/fixtures: tools/make_fixtures.py tools/small_model.py | $(BIN)/.installed
	$(BIN)/python tools/make_fixtures.py $@
	@touch $@

# Chromium has to be there; it takes three minutes.
test-web: $(BIN)/.installed build/fixtures
	cd web_demo && npm ci --no-audit --no-fund && npm test

# An APK, made twice; then what is in it, on this machine without a phone.
test-android: $(BIN)/.installed build/fixtures
	android_demo/install.sh
	cd android_demo && $(MVN) -f toolchain.xml && $(MVN) test-compile
	$(BIN)/python android_demo/build_apk.py --again \
	  --model build/fixtures/models/int8-96x192.tflite \
	  --sample build/fixtures/models/street-1.png \
	  --out android_demo/build/tested.apk
	cd android_demo && $(MVN) surefire:test

# What would go to PyPI, and whether it may. The wheel installs nothing and
# emulates nothing: that is what tools/ is for.
package: $(BIN)/.installed
	rm -rf build dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents --toplevel dla_keras dist/*.whl
	$(BIN)/pyroma --min 10 .
	$(BIN)/python -m zipfile --extract dist/*.whl build/wheel
	! grep -rnE 'apt-get|qemu|venv' build/wheel/dla_keras

lint: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf .venv build dist site android_demo/build *.egg-info
