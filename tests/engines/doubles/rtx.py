"""Test doubles of what TensorRT for RTX (1.7) has beside TensorRT: runtime configuration and runtime cache.

Rules, of the docstrings of its Python bindings (1.7.1) and of "Working with Runtime Cache":
- IRuntimeCache.deserialize returns False, and leaves the cache as it was, where the content is damaged or of another
  version, GPU or driver; a CUDA context must be current.
- set_device_memory takes "256-byte aligned device memory".
- The bindings of set_runtime_cache do not keep the cache alive; it must outlive the context (samples, apiUsage).
"""

from __future__ import annotations

import json
import weakref
from enum import IntEnum
from typing import Any

from .device import PRIMARY, Device

ALIGNMENT = 256
_MAGIC = b"RTXCACHE"


class Strategy(IntEnum):
    """ExecutionContextAllocationStrategy."""

    STATIC = 0
    ON_PROFILE_CHANGE = 1
    USER_MANAGED = 2


def lives_in_context(thing: Any, device: Device) -> None:
    """Counts an object of TensorRT's. It frees device memory through the CUDA runtime when it goes, which without a
    current context makes the device's primary context anew (CUDA Runtime API reference, "Initialization")."""
    device.objects += 1
    weakref.finalize(thing, _gone, type(thing).__name__, device).atexit = False


def _gone(name: str, device: Device) -> None:
    device.objects -= 1
    if not device.stack or device.stack[-1] != PRIMARY or device.retained == 0:
        device.leaked.append(f"{name} without a context")


class RuntimeCache:
    """Its kernels are the names of what was compiled."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self.kernels: set[str] = set()
        lives_in_context(self, module.device)

    def serialize(self) -> bytes | None:
        self._module.device.require_context()
        if "serialize" in self._module.failures:
            return None
        return _MAGIC + json.dumps([self._module.__version__, sorted(self.kernels)]).encode()

    def deserialize(self, blob: bytes) -> bool:
        self._module.device.require_context()
        self._module.loaded_caches.append(bytes(blob))
        if not blob.startswith(_MAGIC) or "cache" in self._module.failures:
            return False
        version, kernels = json.loads(blob[len(_MAGIC) :])
        if version != self._module.__version__:
            return False
        self.kernels = set(kernels)
        return True


class RuntimeConfig:
    def __init__(self, engine: Any) -> None:
        self._module = engine.module
        self.strategy = Strategy.STATIC
        self._cache: Any = None
        lives_in_context(self, engine.module.device)

    def create_runtime_cache(self) -> RuntimeCache | None:
        return None if "runtime cache" in self._module.failures else RuntimeCache(self._module)

    def set_runtime_cache(self, cache: RuntimeCache) -> bool:
        self._cache = weakref.ref(cache)
        return "set cache" not in self._module.failures

    def set_execution_context_allocation_strategy(self, strategy: Strategy) -> None:
        self.strategy = strategy

    def compile(self, kernel: str) -> None:
        """Compiles a kernel unless the cache has it."""
        cache = None if self._cache is None else self._cache()
        if self._cache is not None and cache is None:
            raise AssertionError("the runtime cache is gone while its context is used")
        if cache is not None and kernel not in cache.kernels:
            cache.kernels.add(kernel)
            self._module.compiled.append(kernel)
