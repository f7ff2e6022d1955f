# Every target sets itself up: .venv is made from pyproject.toml and remade when that changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Python keeps what it compiled at the first import: else every process of a test compiles its libraries again.
unexport PYTHONDONTWRITEBYTECODE
PROTOS := $(shell find protos -name '*.proto' | sort)
# The first images of the contract name no packages of Go, Java and C#, so they promise bytes and JSON only.
WIRE_RULES := {"version": "v2", "modules": [{"path": "protos"}], "breaking": {"use": ["WIRE_JSON"]}}

.PHONY: help demo test format lint types protos protos-check bench bench-scale bench-train bench-peers quality quality-table fuzz soak hostile locks audit sbom manifests package clean

help:  ## What there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	# What is imported is compiled at its first import; the rest, most of it, never.
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[train,dev]'
	touch $@

demo: $(VENV)/.ready  ## Train on MovieLens-100K, serve it, ask for recommendations
	$(BIN)/python -m demo

test: $(VENV)/.ready  ## The tests
	$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder

format: $(VENV)/.ready  ## Rewrite the code in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(VENV)/.ready  ## Formatting, lint, the protos' lint, spelling and English, changing nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/buf lint
	$(BIN)/codespell
	$(BIN)/python -m prose

types: $(VENV)/.ready  ## Strict types
	$(BIN)/mypy

protos: $(VENV)/.ready  ## Generate the stubs, unless the protos break the contract
	$(BIN)/buf breaking --against protos/contract.binpb
	$(BIN)/buf build --exclude-source-info --output protos/contract.binpb
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc --proto_path=protos \
		--python_out=. --grpc_python_out=. --mypy_out=. --mypy_grpc_out=. $(PROTOS)

protos-check: protos  ## Prove that the stubs are those of the protos, and that no committed contract is broken
	git diff --exit-code -- shortlist protos
	test -z "$$(git status --porcelain -- shortlist protos)"
	for commit in $$(git log --format=%H --diff-filter=AM -- protos/contract.binpb); do \
		git show $$commit:protos/contract.binpb >build/contract.binpb && \
		if grep -q rankingv1 build/contract.binpb; then rules=buf.yaml; else rules='$(WIRE_RULES)'; fi && \
		$(BIN)/buf breaking --config "$$rules" --against build/contract.binpb || exit 1; done

bench: $(VENV)/.ready  ## Serving beside a bare loop, start-up and memory (about 12 minutes)
	$(BIN)/python -m bench.serving.startup
	$(BIN)/python -m bench.serving.index
	$(BIN)/python -m bench.serving

bench-scale: $(VENV)/.ready  ## Ten thousand to ten million items
	$(BIN)/python -m bench.scale

bench-train: $(VENV)/.ready  ## Training: examples a second and memory
	$(BIN)/python -m bench.training

bench-peers: $(VENV)/.ready  ## Ray Serve and Triton with the same models, in environments of their own
	$(BIN)/python -m bench.peers

quality: $(VENV)/.ready  ## The quality of retrieval on one data set: make quality DATA=<folder>
	$(BIN)/python -m bench.quality $(DATA)

quality-table:  ## Write docs/quality.md from what make quality has measured
	$(BIN)/python -m bench.quality.table

fuzz: $(VENV)/.ready  ## 100,000 malformed and odd requests (about 15 minutes)
	FUZZ_EXAMPLES=9000 $(BIN)/python -m pytest tests/integration/test_fuzz.py

soak: $(VENV)/.ready  ## Twenty minutes of load, swaps and faults, then rolling restarts for 20,000 calls each
	$(BIN)/python -m bench.serving.soak
	ROLLING_CALLS=20000 $(BIN)/python -m pytest tests/integration/test_rolling.py

hostile: $(VENV)/.ready  ## Ten minutes of attacks beside honest load, with a verdict for each promise
	$(BIN)/python -m bench.hostile

MANIFEST_TOOLS := build/manifests-venv

$(MANIFEST_TOOLS)/.ready: deploy/check/requirements.txt
	$(PYTHON) -m venv $(MANIFEST_TOOLS)
	$(MANIFEST_TOOLS)/bin/pip install --quiet --no-compile --requirement $<
	touch $@

PACKAGE_TOOLS := build/packages-venv

# Installed by the pip of .venv, which halves the time.
$(PACKAGE_TOOLS)/.ready: deploy/check/package-tools.txt $(VENV)/.ready
	$(PYTHON) -m venv --without-pip $(PACKAGE_TOOLS)
	$(BIN)/pip --python $(PACKAGE_TOOLS) install --quiet --no-compile --requirement $<
	touch $@

locks: $(PACKAGE_TOOLS)/.ready  ## Lock the images' Python packages again, from the ranges of pyproject.toml
	$(BIN)/pip --python $(PACKAGE_TOOLS) install --quiet --no-compile 'uv>=0.13,<0.14'
	$(BIN)/python -m deploy.check.locks

audit: $(PACKAGE_TOOLS)/.ready  ## Known vulnerabilities of the locked packages
	$(BIN)/python -m deploy.check.audit

sbom: $(PACKAGE_TOOLS)/.ready  ## The bill of materials of each image, build/sbom
	$(BIN)/python -m deploy.check.sbom

manifests: $(VENV)/.ready $(MANIFEST_TOOLS)/.ready $(PACKAGE_TOOLS)/.ready  ## Manifests and images against schemas, linters and policies
	$(BIN)/python -m deploy.check

package: $(VENV)/.ready $(PACKAGE_TOOLS)/.ready  ## The sdist and the wheel, tried in an empty environment, build/dist
	$(BIN)/python -m deploy.check.distributions

clean:  ## Remove what make made
	rm -rf $(VENV) build *.egg-info
