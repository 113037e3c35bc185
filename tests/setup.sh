#!/usr/bin/env bash
# Makes what the other commands run with: .venv (Ansible and the test tools) and .ansible/collections (this collection and those it uses).
# Does nothing where both are up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
made_from=(requirements.txt collections.txt galaxy.yml tests/requirements.txt tests/setup.sh tests/unpack_collections.py)
wanted=$(cat "${made_from[@]}" <("$python" --version) | sha256sum | cut -c1-16)
if [ "$(cat .venv/requirements.sha256 2>/dev/null)" = "$wanted" ]; then
  exit 0
fi

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "Python 3.11 or newer is needed as \`$python\`; set PYTHON to one." >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
  echo "==> Installing Python's venv module"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y python3-venv >/dev/null
fi

echo "==> Making the virtual environment"
rm -rf .venv .ansible/collections
"$python" -m venv .venv
.venv/bin/pip install --quiet --requirement tests/requirements.txt

echo "==> Unpacking the collections"
mkdir -p .ansible/collections/ansible_collections/onprem
wheel=$(mktemp -d)
trap 'rm -rf "$wheel"' EXIT
.venv/bin/pip download --quiet --no-deps --dest "$wheel" --requirement collections.txt
.venv/bin/python tests/unpack_collections.py "$wheel"/ansible-*.whl galaxy.yml .ansible/collections
ln -sfn ../../../.. .ansible/collections/ansible_collections/onprem/dify

echo "$wanted" > .venv/requirements.sha256
