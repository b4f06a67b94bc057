#!/usr/bin/env bash
# Set up everything the tests need in .venv, build the native operators, and run the tests.
#
#   scripts/test.sh [PYTEST ARGUMENT]...
#
# One process per core, at most four; -n 0 runs all in one. With `-m gpu`, on a machine with an NVIDIA GPU, their
# dependencies are installed into .venv-gpu, as far as possible; elsewhere they are skipped.
set -euo pipefail
case ${1:-} in -h|--help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
. "$root/scripts/gpu_packages.sh"

venv=.venv
case " $* " in *" -m gpu "*)
  if gpu_of_this_machine > /dev/null; then venv=.venv-gpu; fi
esac
if [ $venv = .venv ]; then "$root/scripts/setup.sh"; else "$root/scripts/setup.sh" --gpu; fi

say "Tests"
cd "$root"
exec $venv/bin/python -m pytest -n auto --maxprocesses 4 -o faulthandler_timeout=600 "$@"
