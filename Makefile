# One verb a job. `make` alone lists them.
#
#   PYTHON=python3   the interpreter that .venv is made from
#   VENV=.venv       where the virtual environment lies
#   MODEL=queue      for `make demo`: queue, forwarder or streamer
#   JOBS=2           processes that share the tests
#   ARGS=            passed on to pytest, the demo or the bench

PYTHON ?= python3
VENV ?= .venv
MODEL ?= queue
JOBS ?= 2
ARGS ?=
CC ?= cc

PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet
ENGINE := setup.py $(wildcard zmqcore/*.pyx zmqcore/*.pxd)
PROBES := $(wildcard tests/native/*.pyx tests/native/*.pxd)
VERSIONS := 3.10 3.11 3.12 3.13

# A stamp file says that a step is done; it is older than what the step was made from when it has to be done again.
READY := $(VENV)/.ready
BUILT := $(VENV)/.built
PROBED := $(VENV)/.probed

.PHONY: help demo test test-pyzmq foreign-pyzmq test-apps foreign-apps dev bench bench-here lint lint-fast docs sanitize sanitized test-all clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^## //p' Makefile

## make demo [MODEL=queue|forwarder|streamer]   build, then run a proxy between libzmq peers for some seconds
demo: $(BUILT) $(VENV)/.group-peers
	$(PY) demo/demo.py --model $(MODEL) $(ARGS)

## make test                                    build with the test probes and run the whole suite
test: $(PROBED) $(VENV)/.group-test $(VENV)/.interop
	$(PY) -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

## make test-pyzmq                              pyzmq's own suite on this engine, against the same on libzmq
# In a venv of its own: nothing of it may depend on what else is installed.
test-pyzmq:
	@$(MAKE) --no-print-directory foreign-pyzmq VENV=$(VENV)-pyzmq
foreign-pyzmq: $(BUILT) $(VENV)/.group-pyzmq
	$(PY) tests/foreign/pyzmq_suite.py $(ARGS)

## make test-apps                               aiozmq, zerorpc, a Jupyter kernel and locust on this engine and on libzmq
test-apps:
	@$(MAKE) --no-print-directory foreign-apps VENV=$(VENV)-apps
foreign-apps: $(BUILT) $(VENV)/.group-apps
	$(PY) tests/foreign/apps.py $(ARGS)

## make dev                                     .venv with all tools, the build in place, the git hooks
dev: $(VENV)/.group-dev $(PROBED) $(VENV)/.interop
	@if [ -e .git ]; then $(PY) -m pre_commit install; fi
	@echo "ready: . $(VENV)/bin/activate"

## make bench [BENCH=proxy]                     the figures and goals, beside libzmq and pyomq in the same run
# On the newest CPython that is found: pyomq needs a newer one than zmqcore. PYTHON= (with VENV=) chooses another.
BENCH ?= throughput latency idle proxy
bench:
	@python=$(PYTHON); venv=$(VENV); \
	if [ "$(origin PYTHON)" = file ]; then \
		for version in $(VERSIONS); do \
			for found in $$(ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version.*/bin/python 2>/dev/null) python$$version; do \
				if $$found -c pass 2>/dev/null; then python=$$found; venv=.venv-$$version; fi; \
			done; \
		done; \
	fi; \
	$(MAKE) --no-print-directory bench-here PYTHON=$$python VENV=$$venv
bench-here: $(BUILT) $(VENV)/.group-bench $(VENV)/.interop
	@failed=0; for bench in $(BENCH); do echo "== $$bench"; $(PY) bench/$$bench.py $(ARGS) || failed=1; done; exit $$failed

## make lint                                    lint-fast, types, stubs, and the source tests with the performance hints
lint: lint-fast $(BUILT) $(VENV)/.group-test
	$(PY) -m mypy
	$(PY) -m mypy.stubtest zmqcore._core zmqcore._core_asyncio zmqcore._core_backend zmqcore._core_backend_asyncio zmqcore._core_curve zmqcore._core_proxy zmqcore._errno zmqcore._frame zmqcore._pin --mypy-config-file pyproject.toml \
		--allowlist tests/typing/stubtest.txt --ignore-unused-allowlist
	$(PY) -m pytest -q tests/test_source.py

## make lint-fast                               ruff, cython-lint, codespell (the pre-commit hook)
lint-fast: $(VENV)/.group-lint
	$(PY) -m ruff check .
	PATH="$(abspath $(VENV))/bin:$$PATH" cython-lint zmqcore $(wildcard tests/native)
	$(VENV)/bin/codespell

## make docs                                    run every sample of README.md and docs/
docs: $(BUILT) $(VENV)/.group-test
	$(PY) -m pytest -q tests/test_docs.py $(ARGS)

## make sanitize [SANITIZER=thread]             the suite under ASan and UBSan; thread: what meets in threads under TSan
# In a copy of the tree, which keeps the sanitized modules apart from those of the other builds; tar keeps the times of the
# files, so that a second run rebuilds only what changed. libstdc++ is loaded early because libzmq throws, and the runtimes
# must know __cxa_throw before they start. What the options say:
#   address  Python never frees everything at exit, so leaks are not looked for. ZMQCORE_DEBUG: zc_check aborts. The quarantine,
#            memory that was freed, is kept below what the tests of bounds allow the process to grow by.
#   thread   The GIL orders what free-threaded builds do not, so it is not counted (tests/tsan.supp). Optimised: that is the
#            code that runs. setarch, where it may: some kernels place memory where TSan cannot have it. history_size: without
#            it one of the two stacks is often forgotten. Reports are for fd 2, which pytest would keep for itself, and for the
#            exit status, which it would lose if it shared the tests out.
SANITIZER ?= address,undefined
COMMA := ,
SANITIZED := build/sanitize-$(subst $(COMMA),-,$(SANITIZER))
SHIPPED := Makefile README.md CHANGELOG.md CONTRIBUTING.md LICENSE MANIFEST.in pyproject.toml setup.py \
	.pre-commit-config.yaml .github .ci zmqcore tests docs demo bench
ifeq ($(SANITIZER),thread)
TSAN_FLAGS := ignore_noninstrumented_modules=1:history_size=7:second_deadlock_stack=1:die_after_fork=0
SANITIZE_RUN := TSAN_OPTIONS=suppressions=$(CURDIR)/tests/tsan.supp:$(TSAN_FLAGS) \
	LD_PRELOAD="$$($(CC) -print-file-name=libtsan.so) $$($(CC) -print-file-name=libstdc++.so)" \
	$$(setarch -R echo setarch -R 2>/dev/null)
SANITIZE_TESTS ?= tests/api tests/faults tests/unit/test_link.py tests/unit/test_reactor.py tests/spec/test_zap.py \
	tests/interop/test_curve.py tests/interop/test_proxy_interop.py
SANITIZE_ARGS := -n 0 --capture=sys
else
SANITIZE_RUN := ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:quarantine_size_mb=16 \
	UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
	LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libstdc++.so)"
SANITIZE_TESTS ?=
SANITIZE_ARGS := -n $(JOBS) --dist loadgroup
endif
sanitize:
	@mkdir -p $(SANITIZED)
	@tar -cf - --exclude='*.so' --exclude=__pycache__ $(SHIPPED) | tar -xf - -C $(SANITIZED)
	ZMQCORE_SANITIZE=$(SANITIZER) ZMQCORE_DEBUG=$(if $(findstring thread,$(SANITIZER)),,1) \
		$(MAKE) -C $(SANITIZED) VENV=$(abspath .venv-sanitize-$(subst $(COMMA),-,$(SANITIZER))) sanitized
sanitized: $(PROBED) $(VENV)/.group-test
	PYTHONMALLOC=malloc $(SANITIZE_RUN) $(PY) -m pytest $(SANITIZE_ARGS) --timeout 300 $(SANITIZE_TESTS) $(ARGS)

## make test-all                                the suite on each CPython of 3.10 to 3.13 that is found
test-all:
	@ran=0; for version in $(VERSIONS); do \
		found=; \
		for python in $$(ls -d $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version.*/bin/python 2>/dev/null) python$$version; do \
			if $$python -c pass 2>/dev/null; then found=$$python; break; fi; \
		done; \
		if [ -z "$$found" ]; then echo "== Python $$version: not found"; continue; fi; \
		echo "== Python $$version: $$found"; ran=1; \
		$(MAKE) --no-print-directory test PYTHON=$$found VENV=.venv-$$version || exit 1; \
	done; [ $$ran = 1 ]

## make clean                                   remove everything that was made
clean:
	rm -rf .venv .venv-* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f zmqcore/*.so zmqcore/*.c zmqcore/*.html tests/native/*.so tests/native/*.c tests/native/*.html
	find zmqcore tests bench demo -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# --- how it is made ------------------------------------------------------------------------------------------------

# The .pth file makes the tree importable from anywhere; the compiled modules lie beside their sources, one set for
# each Python version, so that .venv-3.10 and its likes share a tree.
$(READY):
	@echo "==> making $(VENV) with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv $(VENV) || $(PYTHON) -m virtualenv -q $(VENV) || \
		{ rm -rf $(VENV); echo "cannot make a virtual environment: install python3-venv" >&2; exit 1; }
	@$(PIP) --upgrade 'pip>=25.1'
	@$(PY) -c "import pathlib, sysconfig; \
		pathlib.Path(sysconfig.get_path('purelib'), 'zmqcore-dev.pth').write_text('$(CURDIR)\n')"
	@touch $@

$(VENV)/.group-%: $(READY) pyproject.toml
	@echo "==> installing the $* requirements"
	@$(PIP) --group $*
	@touch $@

# Optional: no wheel for this machine, no tests against it.
$(VENV)/.interop: $(READY) pyproject.toml
	@$(PIP) --only-binary :all: --group interop || echo "==> pyomq has no wheel here: its tests are left out"
	@touch $@

$(BUILT): $(VENV)/.group-build $(ENGINE)
	@echo "==> building zmqcore"
	@$(PY) setup.py --quiet build_ext --inplace
	@touch $@

$(PROBED): $(VENV)/.group-build $(ENGINE) $(PROBES)
	@echo "==> building zmqcore and the probes of the tests"
	@ZMQCORE_PROBES=1 $(PY) setup.py --quiet build_ext --inplace
	@touch $(BUILT) $@
