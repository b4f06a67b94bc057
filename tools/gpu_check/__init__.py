"""Checks and measures the project on the NVIDIA GPU at hand: `scripts/gpu_check.sh --help`."""
