#!/usr/bin/env bash
# Set up everything the tests need in .venv, build the native operators, and run the tests.
#
#   scripts/test.sh [PYTEST ARGUMENT]...
#
# One process a core and one more, since some wait for programs, files and the network; four at most. -n 0 runs all
# tests in this one.
set -euo pipefail
case ${1:-} in -h|--help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
"$root/scripts/setup.sh"

say "Tests"
cd "$root"
processes=$(($(nproc) + 1))
exec .venv/bin/python -m pytest -n $((processes < 4 ? processes : 4)) "$@"
