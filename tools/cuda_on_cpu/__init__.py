"""Builds the CUDA kernels for the CPU and calls them from Python, for the tests and the tools."""
