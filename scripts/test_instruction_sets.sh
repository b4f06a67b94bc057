#!/usr/bin/env bash
# The numerical tests with instructions capped at SSE4, AVX2 and AVX-512 on one thread, and without a cap on two; and a
# table of the worst errors as shares of their bounds. Needs scripts/setup.sh first.
#
#   scripts/test_instruction_sets.sh [--full]      --full: all tests under each cap
set -euo pipefail
case ${1:-} in -h|--help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ -x "$root/.venv/bin/python" ] || die "no .venv with the tools; run scripts/setup.sh first"
cd "$root"
exec .venv/bin/python tools/instruction_sets.py "$@"
