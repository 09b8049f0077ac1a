# `make` lists the targets. Everything runs from .venv, so nothing needs to be activated.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
export DO_NOT_TRACK := true
export MLFLOW_DISABLE_TELEMETRY := true
# Without .pyc files every stage would start almost three times slower.
unexport PYTHONDONTWRITEBYTECODE
PULLED := .mainline/pulled
# A project of your own may have no replay.
POINTERS := $(wildcard data.dvc replay.dvc)

.PHONY: help setup data run replay rollback test drill check lock bench remote clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: ## make .venv from requirements.lock (nothing to do while it fits)
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "mainline: $(PYTHON) is not on PATH; fix: install Python 3.11 to 3.13, or add PYTHON=<path>" >&2; exit 1; }
	@$(PYTHON) scripts/bootstrap.py

# Pulls only when a folder is missing or a .dvc file changed since: batches that you added yourself are left alone.
data: setup ## fetch the batches that data.dvc and replay.dvc name
	@if ! ( for name in $(POINTERS:.dvc=); do [ -d $$name ] || exit 1; done; cat /dev/null $(POINTERS) | cmp -s - $(PULLED) ); then \
	  $(BIN)/dvc pull $(POINTERS) \
	  || { echo "mainline: the batches were not fetched; fix: if data/ or replay/ holds files of your own, '.venv/bin/dvc add data' (or replay) takes them in, and 'dvc checkout --force' would delete them; otherwise run 'mainline remote --verify'" >&2; exit 1; }; \
	  mkdir -p .mainline && cat /dev/null $(POINTERS) > $(PULLED); \
	fi

# A gate that is not passed (exit code 1 of summary) must not hide the verdict, which says whether main's champion passes it.
run: data ## run the pipeline, and take what came out the whole way to the users: verdict, release, canary
	@$(BIN)/mainline repro
	@$(BIN)/mainline summary || [ $$? -eq 1 ]
	@$(BIN)/mainline deliver

replay: data ## play the month after: drift, issue, approval, retraining, verdict, release (ARGS='--approve "your name"')
	@$(BIN)/mainline replay --loop $(ARGS)

rollback: setup ## put the previous stable release back: make rollback ARGS='--why "…"'
	@$(BIN)/mainline rollback $(ARGS)

test: setup ## run the tests, in parts side by side (ARGS="-k name" for some)
	@$(BIN)/python scripts/run_tests.py $(ARGS)

drill: setup ## plant faults in real services behind a real canary, and run A/B tests with users; prints what was measured
	@$(BIN)/python -m pytest -q -p no:cacheprovider -m "drill or slow" tests/drill $(ARGS)

check: setup ## lint, formatting, types, the embedded data, the workflows
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python scripts/check_embedded.py
	@$(BIN)/actionlint
	@$(BIN)/zizmor --offline --quiet --config .github/zizmor.yml .github

lock: setup ## resolve pyproject.toml into requirements.lock (ARGS=--upgrade moves versions)
	@$(BIN)/python scripts/lock.py $(ARGS)

bench: data ## measure the pipeline, the comparison, a pull request's run, the service, batch scoring and the proxy
	@$(BIN)/python scripts/bench.py
	@$(BIN)/python scripts/bench_compare.py
	@$(BIN)/python scripts/bench_pull_request.py
	@$(BIN)/python scripts/bench_serve.py
	@$(BIN)/python scripts/bench_batch.py
	@$(BIN)/python scripts/bench_envoy.py

remote: setup ## move the data to storage of your own: make remote URL=s3://bucket/path
	@[ -n "$(URL)" ] || { echo "mainline: URL is missing; fix: make remote URL=s3://bucket/path (or gs://, azure://, ssh://, or a folder)" >&2; exit 1; }
	@$(BIN)/mainline remote "$(URL)" $(ARGS)

clean: ## remove what was generated; the data, .venv and experiment runs stay
	@rm -rf artifacts reports build dist .mypy_cache .pytest_cache .ruff_cache $(PULLED)
	@find src scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## clean, and remove .venv
	@rm -rf .venv src/*.egg-info
