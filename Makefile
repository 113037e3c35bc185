# `make demo` builds a small site of real machines; `make test` proves the project. Both set up what they need.
.DEFAULT_GOAL := help
.ONESHELL:
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONPATH := $(CURDIR)/tests
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

.PHONY: help setup demo test test-full gates unit benchmark benchmark-record docs build down clean

help: ## Show the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: ## Make .venv and install what the lab needs of the operating system
	@tests/setup.sh
	@tests/lab/lab requirements --install

demo: setup ## Bring up the lab, run site.yml on it, show the result
	@.venv/bin/python tests/demo.py

test: setup ## Run every test that CI runs (about 40 minutes)
	@.venv/bin/python tests/run.py

test-full: setup ## Run the long fault matrices and big topologies as well
	@.venv/bin/python tests/run.py --full

gates: setup ## Lint, types, documentation, sanity
	@.venv/bin/python tests/run.py gates

unit: setup ## Run the unit tests
	@.venv/bin/pytest tests/unit

benchmark: setup ## Measure runs at 1, 5 and 20 hosts, write docs/benchmarks.md (about 20 minutes)
	@.venv/bin/python tests/benchmarks/benchmark.py

benchmark-record: setup ## Record the evaluated tasks that the gate of CI compares with
	@.venv/bin/python tests/benchmarks/benchmark.py --record

docs: setup ## Write the generated parts of the documentation
	@.venv/bin/python tests/docs/generate.py

build: setup ## Build the collection's tarball
	@.venv/bin/ansible-galaxy collection build --force

down: ## Stop the lab
	@tests/lab/lab down

clean: ## Take everything away again: labs, caches, environments, reports
	@[ ! -x tests/lab/lab ] || tests/lab/lab clean
	@rm -rf .venv .ansible reports onprem-dify-*.tar.gz
