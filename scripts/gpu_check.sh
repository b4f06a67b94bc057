#!/usr/bin/env bash
# Checks and measures the CUDA kernels on this machine's GPU; see --help. Uses python3 from PATH (or PYTHON=…), and
# installs and downloads nothing.
set -euo pipefail
exec "${PYTHON:-python3}" "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../tools/gpu_check/launch.py" "$@"
