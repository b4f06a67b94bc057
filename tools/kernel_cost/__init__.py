"""Static analysis of the CUDA kernels, without a GPU: cost sheet, compiler resources, and mutation of the barriers."""
