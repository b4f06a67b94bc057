#!/usr/bin/env bash
# Checks and measures the CUDA kernels on the GPU at hand; see --help. Takes the python3 that is there (PYTHON=…),
# installs nothing and fetches nothing.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHONPATH=$root/tools:$root/tests:$root/benchmarks:$root:$root/export:$root/runtime${PYTHONPATH:+:$PYTHONPATH} \
  exec "${PYTHON:-python3}" -m gpu_check "$@"
