"""Test double of libcuda's functions for CUDA graphs."""

from __future__ import annotations

import ctypes
from typing import Any

from .cuda import Device, Stream


class FakeDriver:
    """The functions of libcuda for CUDA graphs."""

    def __init__(self, device: Device, refuses: bool = False) -> None:
        self._device = device
        self._refuses = refuses

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
            return 900  # CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
        executable._obj.value = self._device.handle()
        self._device.graphs[executable._obj.value] = self._device.graphs[graph.value or 0]
        return 0

    def cuGraphLaunch(self, executable: ctypes.c_void_p, stream: ctypes.c_void_p) -> int:
        self._device.require_context()
        for step in self._device.graphs[executable.value or 0]:
            self._stream(stream).put(step)
        return 0

    def cuGraphExecDestroy(self, executable: ctypes.c_void_p) -> int:
        self._device.require_context()
        del self._device.graphs[executable.value or 0]
        return 0

    def cuGraphDestroy(self, graph: ctypes.c_void_p) -> int:
        del self._device.graphs[graph.value or 0]
        return 0

    def _stream(self, stream: ctypes.c_void_p) -> Stream:
        return self._device.streams[stream.value or 0]
