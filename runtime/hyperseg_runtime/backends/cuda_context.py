"""The device's primary context: the one that torch, CuPy and every library on the CUDA runtime share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class PrimaryContext:
    """Retained from here to `release`. Made current for the length of a block only, in whichever thread enters it, so
    that other CUDA code in the process finds its own context as it left it."""

    def __init__(self, cuda: Any, index: int) -> None:
        """`cuda` is pycuda.driver."""
        cuda.init()
        self._cuda = cuda
        self._context = cuda.Device(index).retain_primary_context()

    @contextmanager
    def current(self) -> Iterator[None]:
        self._context.push()
        try:
            yield
        finally:
            self._cuda.Context.pop()

    def release(self) -> None:
        self._context.detach()
