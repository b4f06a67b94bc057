#!/usr/bin/env bash
# Set up everything the tests need in .venv, build the native operators, and run the tests.
#
#   scripts/test.sh [PYTEST ARGUMENT]...
#
# One process a core, four at most; -n 0 runs them all in one. With `-m gpu`, on a machine with an NVIDIA GPU, what
# those tests need is installed into .venv-gpu, as far as that is possible; elsewhere they are skipped.
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
exec $venv/bin/python -m pytest -n auto --maxprocesses 4 "$@"
