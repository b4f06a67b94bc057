"""State of a GPU in the doubles: the driver's contexts, memory, streams and graphs, on host memory.

Rules, of the CUDA Driver API reference (13.0), that the doubles keep:
- "Context Management": every thread has a stack of contexts of its own; cuCtxPushCurrent and cuCtxPopCurrent change it.
- "Primary Context Management": cuDevicePrimaryCtxRelease counts down and does not pop the context from any stack.
- cuCtxSetCurrent replaces the top of the stack, or pops it where the new context is NULL.
- "API synchronization behavior": copies are asynchronous from and to page-locked memory only.
- CUDA C++ Programming Guide (13.0), "Prohibited and Unhandled Operations" of stream capture: while a stream is captured
  that was made without CU_STREAM_NON_BLOCKING, the legacy default stream must not be used, in whichever thread.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PRIMARY = 0x1000
"""Handle of the primary context."""
FOREIGN = 0x2000
"""Handle of a context of somebody else in the process."""

NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING (cuda.h)."""

Work = Callable[[], None]


class Error(Exception):
    """pycuda.driver.Error."""


class LogicError(Error):
    """pycuda.driver.LogicError."""


class _Stack(list[int]):
    """The contexts that a thread has pushed; it ends with its thread."""

    __hash__ = object.__hash__


@dataclass
class StreamState:
    """Work waits until the stream is synchronised, so that premature reads get old values."""

    work: list[Work] = field(default_factory=list)
    capture: list[Work] | None = None
    blocking: bool = True
    """Whether it and the legacy default stream wait for each other."""

    def put(self, work: Work) -> None:
        (self.work if self.capture is None else self.capture).append(work)


class Device:
    """The GPU and its driver."""

    def __init__(self) -> None:
        self.retained = 0
        """References to the primary context."""
        self.memory: dict[int, NDArray[np.uint8]] = {}
        self.pinned: set[int] = set()
        self.streams: dict[int, StreamState] = {}
        self.events: dict[int, float | None] = {}
        """The time of each event; None before it has happened."""
        self.graphs: dict[int, list[Work]] = {}
        self.objects = 0
        """Of TensorRT, alive."""
        self.ticks = 0
        self.allocations = 0
        self.leaked: list[str] = []
        """What pycuda could not destroy when its last reference went."""
        self.fail_next: str | None = None
        self.fail_at: int | None = None
        """Counts down the calls that need a context; the one at 0 fails."""
        self._local = threading.local()
        self._stacks: weakref.WeakSet[_Stack] = weakref.WeakSet()
        self._addresses = itertools.count(0x7F0000000000, 1 << 24)
        self._handles = itertools.count(1)
        self._lock = threading.Lock()

    @property
    def stack(self) -> list[int]:
        """The contexts that this thread has pushed, the current one last."""
        if not hasattr(self._local, "stack"):
            self._local.stack = _Stack()
            with self._lock:
                self._stacks.add(self._local.stack)
        stack: _Stack = self._local.stack
        return stack

    @property
    def pushed(self) -> int:
        """Contexts on the stacks of all threads."""
        with self._lock:
            return sum(len(stack) for stack in self._stacks)

    def pop_current(self) -> int:
        if not self.stack:
            raise LogicError("cuCtxPopCurrent failed: invalid device context")
        return self.stack.pop()

    def retain(self) -> int:
        with self._lock:
            self.retained += 1
        return PRIMARY

    def release(self) -> None:
        with self._lock:
            if self.retained == 0:
                raise LogicError("cuDevicePrimaryCtxRelease failed: invalid device context")
            self.retained -= 1

    def require_context(self) -> None:
        """What every call on the context's resources begins with. Ours are never made in somebody else's context."""
        top = self.stack[-1] if self.stack else None
        if top != PRIMARY or self.retained == 0:
            raise LogicError("cuCtxGetDevice failed: invalid device context")
        if self.fail_at is not None:
            self.fail_at -= 1
            if self.fail_at < 0:
                self.fail_at, self.fail_next = None, "out of memory"
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

    def use_default_stream(self) -> None:
        """What another library does in some thread: CUDA_ERROR_STREAM_CAPTURE_IMPLICIT where that is not allowed."""
        if any(stream.blocking and stream.capture is not None for stream in self.streams.values()):
            raise LogicError("operation would make the legacy stream depend on a capturing blocking stream")

    def handle(self) -> int:
        return next(self._handles)

    def happen(self, event: int) -> None:
        with self._lock:
            self.ticks += 1
            self.events[event] = float(self.ticks)
