"""The CUDA kernels, compiled for the CPU: how they are built and called from Python, for the tests and the tools."""
