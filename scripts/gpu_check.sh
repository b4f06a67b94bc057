#!/usr/bin/env bash
# Checks and measures the CUDA kernels on the GPU at hand; see --help. Takes the python3 that is there (PYTHON=…),
# installs nothing and fetches nothing.
set -euo pipefail
exec "${PYTHON:-python3}" "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../tools/gpu_check/launch.py" "$@"
