#!/usr/bin/env bash
# Format and lint: ruff, mypy --strict, import-linter, clang-format. Needs scripts/setup.sh (or scripts/test.sh) first.
#
#   scripts/lint.sh          check only
#   scripts/lint.sh --fix    format, and fix what ruff can fix
set -uo pipefail
case ${1:-} in -h|--help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"
[ -x .venv/bin/ruff ] || die "no .venv with the tools; run scripts/setup.sh first"
export PATH="$root/.venv/bin:$PATH"

cpp_sources() { git ls-files -z '*.cpp' '*.h' '*.hpp' '*.cu' '*.cuh'; }

if [ "${1:-}" = --fix ]; then
  ruff check --fix .
  ruff format .
  cpp_sources | xargs -0r clang-format -i
  exit
fi

failed=()
check() {  # check NAME COMMAND...
  local name=$1; shift
  say "$name"
  "$@" || failed+=("$name")
}
check_cpp_format() { cpp_sources | xargs -0r clang-format --dry-run -Werror; }

check "ruff check" ruff check .
check "ruff format" ruff format --check .
check "mypy --strict" mypy
check "import-linter" lint-imports
check "clang-format" check_cpp_format

if [ ${#failed[@]} -gt 0 ]; then
  printf '\nlint: failed: %s\n' "${failed[*]}" >&2
  exit 1
fi
printf '\nlint: all checks passed\n'
