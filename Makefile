# Every target sets up .venv itself; all it needs is Python 3.11 or newer with pip, and make.
# uv is used where it is on the PATH. `make clean` removes everything that was made.

VENV := .venv
BIN := $(VENV)/bin
PYTHON := $(BIN)/python
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.ready-bench
OUT := out/demo
PYTEST_ARGS ?= -q -n 2 --dist loadfile

# $(call install,EXTRAS): the package itself, editable, with the pinned dependencies.
define install
	@if command -v uv >/dev/null 2>&1; then \
	  $(PYTHON) -c '' 2>/dev/null || uv venv --quiet --clear --python '>=3.11' $(VENV); \
	  uv pip install --quiet --python $(PYTHON) --compile-bytecode -c constraints.txt -e '.[$(1)]'; \
	else \
	  found=''; \
	  for python in python3 python python3.14 python3.13 python3.12 python3.11; do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	      found=$$python; break; \
	    fi; \
	  done; \
	  if [ -z "$$found" ]; then echo 'Python 3.11 or newer is needed.' >&2; exit 1; fi; \
	  $(PYTHON) -c '' 2>/dev/null || $$found -m venv --clear $(VENV) >/dev/null 2>&1 \
	    || $$found -m venv --clear --without-pip $(VENV); \
	  if $(PYTHON) -m pip --version >/dev/null 2>&1; then \
	    pip="$(PYTHON) -m pip"; \
	  else \
	    pip="$$found -m pip --python $(PYTHON)"; \
	  fi; \
	  $$pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(1)]'; \
	fi
endef

.PHONY: help demo test lab check bench docs clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo    the whole chain on a simulated scene, into $(OUT)/'
	@echo 'make lab     JupyterLab on the notebooks'
	@echo 'make test    check, then every test'
	@echo 'make check   lint, format, types, import order'
	@echo 'make bench   the benchmarks'
	@echo 'make docs    the site, with every notebook run, into docs/_build/html/'
	@echo 'make clean   remove what was made'

$(READY): pyproject.toml constraints.txt
	@echo 'Setting up $(VENV) (once) ...'
	$(call install,lab$(comma)test$(comma)docs$(comma)dem)
	@touch $@

$(BENCH_READY): $(READY)
	$(call install,lab$(comma)test$(comma)docs$(comma)dem$(comma)bench)
	@touch $@

comma := ,

demo: $(READY)
	$(BIN)/glaciertoolkit demo --out $(OUT) --overwrite

lab: $(READY)
	$(BIN)/jupyter lab notebooks

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict glaciertoolkit
	$(BIN)/lint-imports

test: check
	$(BIN)/pytest $(PYTEST_ARGS)

bench: $(BENCH_READY)
	@set -e; for script in startup tracking chain; do \
	  echo "== benchmarks/$$script.py"; $(PYTHON) "benchmarks/$$script.py"; \
	done
	@# Those of the browser and of large fields want an idle machine and some minutes each.
	@set -e; for script in corrections calibration zonal attribution trends explorer lab profile_inspector \
	  correction_lab; do \
	  echo "== benchmarks/$$script.py"; $(PYTHON) "benchmarks/$$script.py"; \
	done
	@# The bars are those of the full size: benchmarks/gf3.py without --size, 3 GB of disk.
	@echo "== benchmarks/gf3.py"; $(PYTHON) benchmarks/gf3.py --size 4096

docs: $(READY)
	cd docs && ../$(BIN)/sphinx-build -W --keep-going -q -D nb_execution_mode=force -b html . _build/html

clean:
	rm -rf $(VENV) docs/_build docs/generated docs/notebooks out build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
