"""Redirects PyTorch's operators on CPU tensors to the code path of CUDA tensors, with kernels compiled for the CPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from hyperseg.cuda_library import ENVIRONMENT_VARIABLE
from hyperseg.operators import cuda


@contextmanager
def kernels_for_cpu_tensors(folder: Path) -> Iterator[None]:
    """Within the context, `torch.ops.hyperseg.*` on CPU tensors call libhyperseg_cuda.so of `folder`."""
    before = os.environ.get(ENVIRONMENT_VARIABLE)
    os.environ[ENVIRONMENT_VARIABLE] = str(folder)
    cuda.library.cache_clear()
    # Scoped: PyTorch takes the registrations back when the object is destroyed.
    with torch.library._scoped_library("hyperseg", "IMPL") as library:
        for name in ("dpw_conv", "dpw_inverted_residual", "upsample_argmax"):
            library.impl(name, getattr(cuda, name), "CPU")
        try:
            yield
        finally:
            os.environ.pop(ENVIRONMENT_VARIABLE)
            if before is not None:
                os.environ[ENVIRONMENT_VARIABLE] = before
            cuda.library.cache_clear()
