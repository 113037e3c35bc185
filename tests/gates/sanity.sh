#!/usr/bin/env bash
# Builds the collection's tarball, installs it as a site would, and runs ansible-test sanity on what was installed.
set -euo pipefail
cd "$(dirname "$0")/../.."

# The pip version that this ansible-test wants is part of the name under which it looks for its bootstrap script.
cache=~/.ansible/test/cache
wanted=$(python -c 'import inspect, re, ansible_test._internal.python_requirements as r; print(re.search(r"pip=.([0-9.]+)", inspect.getsource(r))[1])')
mkdir -p "$cache"
[ -e "$cache/get_pip_${wanted//./_}.py" ] || cp tests/gates/get_pip.py "$cache/get_pip_${wanted//./_}.py"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ansible-galaxy collection build --output-path "$work" >/dev/null 2>&1
mkdir "$work/collections"
ansible-galaxy collection install --force --no-deps --collections-path "$work/collections" "$work"/onprem-dify-*.tar.gz >/dev/null 2>&1
cd "$work/collections/ansible_collections/onprem/dify"
exec ansible-test sanity --local --requirements --python "$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')" --color no "$@"
