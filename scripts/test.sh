#!/usr/bin/env bash
# Set up everything the tests need in .venv, build the native operators, and run the tests.
#
#   scripts/test.sh [PYTEST ARGUMENT]...
#
# One process a core, four at most; -n 0 runs them all in one.
set -euo pipefail
case ${1:-} in -h|--help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
"$root/scripts/setup.sh"

say "Tests"
cd "$root"
exec .venv/bin/python -m pytest -n auto --maxprocesses 4 "$@"
