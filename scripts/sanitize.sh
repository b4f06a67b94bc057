#!/usr/bin/env bash
# The C++ tests under AddressSanitizer with UndefinedBehaviorSanitizer, then under ThreadSanitizer, warnings as errors.
# Needs scripts/setup.sh first.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
[ -x "$root/.venv/bin/cmake" ] || die "no .venv with the tools; run scripts/setup.sh first"
export PATH="$root/.venv/bin:$PATH"

for sanitizer in address,undefined thread; do
  say "C++ tests with -fsanitize=$sanitizer"
  build=$root/build/sanitize-${sanitizer%%,*}
  cmake -S "$root" -B "$build" -G Ninja -DHYPERSEG_TESTS=ON -DHYPERSEG_WERROR=ON -DHYPERSEG_CUDA=OFF \
    -DHYPERSEG_SANITIZE="$sanitizer" > "$build.log" 2>&1 || { tail -n 25 "$build.log" >&2; die "CMake failed"; }
  cmake --build "$build"
  ctest --test-dir "$build" --output-on-failure --no-tests=error
done
