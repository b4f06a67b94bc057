"""Test double of pycuda.driver on host memory, with current contexts, allocations and deferred streams."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Error(Exception):
    """pycuda.driver.Error."""


class LogicError(Error):
    """pycuda.driver.LogicError."""


class Device:
    """State of the test double of the driver. Work on a stream is deferred until the stream is synchronised, so that
    premature reads get old values."""

    def __init__(self) -> None:
        self.memory: dict[int, NDArray[np.uint8]] = {}
        self.pinned: set[HostAllocation] = set()
        self.retained = 0
        self.events = 0
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.allocations = 0
        self.fail_next: str | None = None
        self._addresses = itertools.count(0x7F0000000000, 1 << 24)
        self._current = threading.local()
        self._handles = itertools.count(1)
        self.streams: dict[int, Stream] = {}

    @property
    def stack(self) -> list[Context]:
        if not hasattr(self._current, "stack"):
            self._current.stack = []
        stack: list[Context] = self._current.stack
        return stack

    def require_context(self) -> None:
        if not self.stack:
            raise LogicError("cuCtxGetDevice failed: invalid device context")
        if self.fail_next is not None:
            message, self.fail_next = self.fail_next, None
            raise LogicError(message)

    def allocate(self, size: int) -> int:
        self.require_context()
        self.allocations += 1
        address = next(self._addresses)
        self.memory[address] = np.full(size, 0xCD, np.uint8)
        return address

    def bytes_at(self, address: int) -> NDArray[np.uint8]:
        try:
            return self.memory[address]
        except KeyError:
            raise LogicError(f"an illegal memory access was encountered ({address:#x})") from None

    def handle(self) -> int:
        return next(self._handles)


class Context:
    def __init__(self, device: Device) -> None:
        self._device = device
        self._valid = True

    def push(self) -> None:
        if not self._valid:
            raise LogicError("cuCtxPushCurrent failed: context is destroyed")
        self._device.stack.append(self)

    def detach(self) -> None:
        if not self._valid:
            raise LogicError("context::detach failed: already detached")
        self._valid = False
        self._device.retained -= 1


class Allocation:
    def __init__(self, device: Device, size: int) -> None:
        self._device = device
        self._address = device.allocate(size)

    def __int__(self) -> int:
        return self._address

    def free(self) -> None:
        self._device.require_context()
        if self._device.memory.pop(self._address, None) is None:
            raise LogicError("cuMemFree failed: invalid argument")


class HostAllocation:
    """Page-locked memory: the `base` of an array that pagelocked_empty makes."""

    def __init__(self, device: Device) -> None:
        self._device = device
        device.pinned.add(self)

    def free(self) -> None:
        self._device.require_context()
        if self not in self._device.pinned:
            raise LogicError("cuMemFreeHost failed: invalid argument")
        self._device.pinned.remove(self)


class PinnedArray(np.ndarray[Any, Any]):
    owner: HostAllocation | None = None

    def __array_finalize__(self, origin: Any) -> None:
        self.owner = getattr(origin, "owner", None)

    @property
    def base(self) -> Any:
        return self.owner


class Stream:
    def __init__(self, device: Device) -> None:
        device.require_context()
        self._device = device
        self.handle = device.handle()
        self.work: list[Callable[[], None]] = []
        self.capture: list[Callable[[], None]] | None = None
        device.streams[self.handle] = self

    def put(self, work: Callable[[], None]) -> None:
        (self.work if self.capture is None else self.capture).append(work)

    def synchronize(self) -> None:
        self._device.require_context()
        if self.capture is not None:
            raise LogicError("operation not permitted when stream is capturing")
        work, self.work = self.work, []
        for step in work:
            step()


class Event:
    def __init__(self, device: Device) -> None:
        device.require_context()
        self._device = device
        self.time: float | None = None

    def record(self, stream: Stream) -> None:
        self._device.require_context()

        def happen() -> None:
            self._device.events += 1
            self.time = float(self._device.events)

        stream.put(happen)

    def time_till(self, other: Event) -> float:
        if self.time is None or other.time is None:
            raise LogicError("cuEventElapsedTime failed: device not ready")
        return other.time - self.time


class FakeCuda:
    """The module pycuda.driver."""

    Error = Error
    LogicError = LogicError

    def __init__(self, device: Device) -> None:
        self.device = device
        self.initialised = False

        class ContextClass:
            @staticmethod
            def pop() -> None:
                if not device.stack:
                    raise LogicError("cuCtxPopCurrent failed: invalid device context")
                device.stack.pop()

        self.Context = ContextClass

    def init(self) -> None:
        self.initialised = True

    def Device(self, index: int) -> Any:
        if not self.initialised:
            raise LogicError("cuDeviceGet failed: initialization error")
        if index != 0:
            raise LogicError("cuDeviceGet failed: invalid device ordinal")
        device = self.device

        class Handle:
            def retain_primary_context(self) -> Context:
                device.retained += 1
                return Context(device)

        return Handle()

    def Stream(self) -> Stream:
        return Stream(self.device)

    def Event(self) -> Event:
        return Event(self.device)

    def mem_alloc(self, size: int) -> Allocation:
        return Allocation(self.device, size)

    def pagelocked_empty(self, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
        self.device.require_context()
        self.device.allocations += 1
        array = np.full(shape, 0xAB, dtype).view(PinnedArray)
        array.owner = HostAllocation(self.device)
        return array

    def memcpy_htod_async(self, target: Allocation, source: NDArray[Any], stream: Stream) -> None:
        self._check(source)
        data = source.view(np.ndarray).reshape(-1).view(np.uint8)

        def copy() -> None:
            self.device.bytes_at(int(target))[: data.size] = data

        stream.put(copy)

    def memcpy_dtoh_async(self, target: NDArray[Any], source: Allocation, stream: Stream) -> None:
        self._check(target)
        data = target.view(np.ndarray).reshape(-1).view(np.uint8)

        def copy() -> None:
            data[:] = self.device.bytes_at(int(source))[: data.size]

        stream.put(copy)

    def _check(self, host: NDArray[Any]) -> None:
        self.device.require_context()
        if not isinstance(host, PinnedArray) or host.owner not in self.device.pinned:
            raise LogicError("an asynchronous copy from pageable memory is not asynchronous")
        if not host.flags.c_contiguous:
            raise LogicError("ndarray is not contiguous")
