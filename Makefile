# Two commands set everything up: `make demo` and `make test`. Each makes its
# own .venv with the tested versions of all it needs.

PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo

# What of the package runs on every Keras backend, and where else to run it.
BACKEND ?= jax
EVERY_BACKEND := layers weights models/test_golden.py models/test_models.py \
  models/test_flattening.py

.PHONY: demo web docs test slow backends test-web lint clean

$(BIN)/.installed: setup.py constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "dla_keras needs Python 3.11 or newer; this is $$($(PYTHON) --version)." \
	    "Name another one: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -qq --upgrade pip
	$(BIN)/pip install -qq --editable '.[all]' --constraint constraints.txt
	@touch $@

demo: $(BIN)/.installed
	$(BIN)/python training/train_seg.py --variant dla46_c --steps 600 \
	  --size 192x384 --batch-size 2 --scale 0.8 1.25 --rotation 0 \
	  --jitter 0.1 --class-weighting 0.3 --optimizer adamw \
	  --learning-rate 2e-3 --run-dir $(DEMO) --overwrite
	for precision in float32 int8; do \
	  $(BIN)/python export/export_tflite.py --model $(DEMO)/model.keras \
	    --precision $$precision --output $(DEMO)/$$precision.tflite || exit 1; \
	done
	$(BIN)/python training/evaluate.py \
	  --table $(DEMO)/table.md --model $(DEMO)/model.keras \
	  $(DEMO)/float32.tflite $(DEMO)/int8.tflite
	@echo "Report: $(DEMO)/report.html"
	@echo "Pictures: $(DEMO)/predictions.png (the trained network) and" \
	  "$(DEMO)/int8.tflite.evaluation/predictions.png (what a phone would show)."
	@echo "Table: $(DEMO)/table.md"

web: $(BIN)/.installed
	$(BIN)/python web_demo/make_models.py --run-dir $(DEMO)
	cd web_demo && npm ci --no-audit --no-fund && node serve.mjs

# The site, into site/; a dead link is an error.
docs: $(BIN)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

test: $(BIN)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

slow: $(BIN)/.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow

backends: $(BIN)/.installed
	KERAS_BACKEND=$(BACKEND) $(BIN)/python -m pytest -n 2 \
	  $(EVERY_BACKEND:%=tests/%)

# Chromium has to be there; it takes three minutes.
test-web: $(BIN)/.installed
	cd web_demo && npm ci --no-audit --no-fund && npm test

lint: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf .venv build dist site *.egg-info
