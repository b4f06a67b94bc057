"""Test double of the functions of libcuda (CUDA Driver API reference, 13.0) that the runtime calls itself."""

from __future__ import annotations

import ctypes
from typing import Any

from .device import Device, StreamState

_INVALID_CONTEXT = 201  # CUDA_ERROR_INVALID_CONTEXT
_CAPTURE_UNSUPPORTED = 900  # CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED


class FakeDriver:
    """Contexts and CUDA graphs."""

    def __init__(self, device: Device, refuses: bool = False, version: int = 13000) -> None:
        self._device = device
        self._refuses = refuses
        self.version = version

    def cuDriverGetVersion(self, version: Any) -> int:
        version._obj.value = self.version
        return 0

    def cuCtxGetCurrent(self, context: Any) -> int:
        stack = self._device.stack
        context._obj.value = stack[-1] if stack else None
        return 0

    def cuCtxSetCurrent(self, context: ctypes.c_void_p) -> int:
        stack = self._device.stack
        if stack:
            stack.pop()
        if context.value is not None:
            stack.append(context.value)
        return 0

    def cuStreamBeginCapture_v2(self, stream: ctypes.c_void_p, mode: int) -> int:
        assert mode == 1
        self._stream(stream).capture = []
        return 0

    def cuStreamEndCapture(self, stream: ctypes.c_void_p, graph: Any) -> int:
        handle = self._device.handle()
        recorded = self._stream(stream).capture
        assert recorded is not None
        self._device.graphs[handle] = recorded
        self._stream(stream).capture = None
        graph._obj.value = handle
        return 0

    def cuGraphInstantiateWithFlags(self, executable: Any, graph: ctypes.c_void_p, flags: Any) -> int:
        assert isinstance(flags, ctypes.c_ulonglong)
        if self._refuses:
            return _CAPTURE_UNSUPPORTED
        executable._obj.value = self._device.handle()
        self._device.graphs[executable._obj.value] = self._device.graphs[graph.value or 0]
        return 0

    def cuGraphLaunch(self, executable: ctypes.c_void_p, stream: ctypes.c_void_p) -> int:
        if not self._device.stack:
            return _INVALID_CONTEXT
        for step in self._device.graphs[executable.value or 0]:
            self._stream(stream).put(step)
        return 0

    def cuGraphExecDestroy(self, executable: ctypes.c_void_p) -> int:
        del self._device.graphs[executable.value or 0]
        return 0

    def cuGraphDestroy(self, graph: ctypes.c_void_p) -> int:
        del self._device.graphs[graph.value or 0]
        return 0

    def _stream(self, stream: ctypes.c_void_p) -> StreamState:
        return self._device.streams[stream.value or 0]
