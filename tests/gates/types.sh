#!/usr/bin/env bash
# Types of the plugins, under the name by which Ansible imports them, and of the lab.
set -euo pipefail
cd "$(dirname "$0")/../.."
(cd .ansible/collections && mypy --config-file ../../pyproject.toml -p ansible_collections.onprem.dify.plugins)
MYPYPATH=tests mypy --config-file pyproject.toml -p lab
