"""Execution context of TensorRT for RTX: device memory of our own, and the runtime cache.

TensorRT for RTX compiles an engine's kernels when its context is made and when it first runs; the runtime cache keeps
them. A stream may be captured only where the context says so (IExecutionContext::isStreamCapturable), which needs
memory that the application allocates (release notes of 1.2; BuilderFlag::kREQUIRE_USER_ALLOCATION).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Made = Callable[[Any, str], Any]
"""Returns its first argument; raises if it is None."""


class RtxContext:
    """An IExecutionContext and what must outlive it: Python's bindings do not keep cache and configuration alive."""

    _config: Any
    _cache: Any
    context: Any

    def __init__(self, trt: Any, engine: Any, made: Made, cached: bytes | None) -> None:
        """`cached` is the content of an earlier cache of this engine. A CUDA context must be current."""
        self._config = self._cache = self.context = None
        try:
            self._config = made(engine.create_runtime_config(), "runtime configuration")
            self._config.set_execution_context_allocation_strategy(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
            self._cache = made(self._config.create_runtime_cache(), "runtime cache")
            self.accepted = cached is None or bool(self._cache.deserialize(cached))
            """Whether TensorRT took `cached`; a cache that it refuses is as empty as before."""
            if not self._config.set_runtime_cache(self._cache):
                made(None, "runtime configuration with a runtime cache")
            self.context = made(engine.create_execution_context(self._config), "execution context")
        except BaseException:
            self.close()
            del engine  # else these would live as long as the traceback, and beyond the CUDA context
            raise

    def capturable(self, stream: int) -> bool:
        """Whether a run on the stream may be captured. Releases before 1.2 cannot tell."""
        tells = getattr(self.context, "is_stream_capturable", None)
        return tells is not None and bool(tells(stream))

    def serialize(self) -> bytes | None:
        """The runtime cache with all kernels so far; None if TensorRT refuses."""
        content = self._cache.serialize()
        return None if content is None else bytes(content)

    def close(self) -> None:
        self.context = None
        self._config = None
        self._cache = None
