"""Checks and measures the project on this machine's NVIDIA GPU: `scripts/gpu_check.sh --help`."""
