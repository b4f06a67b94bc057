#!/usr/bin/env bash
# The runtime's tests with the oldest versions that the package allows (requirements/lowest.txt), without PyTorch.
# Needs scripts/setup.sh first, for the native operators.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
venv=$root/.venv-lowest
make_venv "$venv"

stamp=$(fingerprint requirements pyproject.toml)
if ! unchanged "$venv/.installed" "$stamp"; then
  say "Installing the oldest versions into $venv"
  "$venv/bin/python" -m pip install -q -r "$root/requirements/lowest.txt"
  SKBUILD_WHEEL_CMAKE=false "$venv/bin/python" -m pip install -q --no-deps -e "$root"
  printf '%s' "$stamp" > "$venv/.installed"
fi

say "The runtime's tests with the oldest versions"
cd "$root"
"$venv/bin/python" -m pytest -n auto --maxprocesses 4 -q tests/runtime tests/packaging/test_imports.py "$@"
