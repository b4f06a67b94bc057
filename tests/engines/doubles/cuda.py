"""Test double of pycuda.driver (2026.1), with the rules of its src/cpp/cuda.hpp.

- `context_stack`: pycuda has a stack of its own in every thread, and keeps only its top on the driver's: `push` and
  `pop` take that top off and put the new one on.
- `context::detach`: of a context that is not current, in the thread that made it: pushes it, releases it and leaves it
  pushed; in any other thread: does nothing but forget it, so that its reference is lost.
- `explicit_context_dependent`: streams, events and memory are made in the context on top of pycuda's stack.
- `scoped_context_activation`: they are destroyed where that context is current, or in the thread that made the context;
  elsewhere they are lost ("could not be cleaned up"), also when their last reference goes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .device import NON_BLOCKING, Device, Error, LogicError

Function = TypeVar("Function", bound=Callable[..., Any])


def _native(function: Function) -> Function:
    """Gives errors the tracebacks that they have from pycuda's C++: none of the arguments is kept alive by them."""

    @wraps(function)
    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Error as error:
            failure = error.with_traceback(None)
        del arguments
        raise failure

    return call  # type: ignore[return-value]


class _CannotActivateError(Exception):
    """pycuda::cannot_activate_dead_context and cannot_activate_out_of_thread_context."""


class ContextStack:
    """pycuda's stack of contexts of each thread."""

    def __init__(self) -> None:
        self._local = threading.local()

    @property
    def contexts(self) -> list[Context]:
        if not hasattr(self._local, "contexts"):
            self._local.contexts = []
        contexts: list[Context] = self._local.contexts
        return contexts

    def current(self, apart_from: Context | None = None) -> Context | None:
        """context::current_context: forgets contexts that are no longer valid."""
        while self.contexts:
            if self.contexts[-1] is not apart_from and self.contexts[-1].valid:
                return self.contexts[-1]
            self.contexts.pop()
        return None


class Context:
    """A reference to the primary context."""

    def __init__(self, device: Device, stack: ContextStack) -> None:
        self.valid = True
        self.thread = threading.get_ident()
        self._device = device
        self._stack = stack
        self._handle = device.retain()

    def push(self) -> None:
        if self._stack.contexts:
            self._device.pop_current()
        self._device.stack.append(self._handle)
        self._stack.contexts.append(self)

    def put_back(self) -> None:
        self._device.stack.append(self._handle)

    def detach(self) -> None:
        if not self.valid:
            raise LogicError("context::detach failed: cannot detach from invalid context")
        active = self._stack.current() is self
        if not active and self.thread == threading.get_ident():
            self._device.stack.append(self._handle)
        if active or self.thread == threading.get_ident():
            self._device.release()
        self.valid = False
        if active:
            below = self._stack.current(apart_from=self)
            if below is not None:
                below.put_back()

    def __del__(self) -> None:
        if self.valid:
            with suppress(LogicError):
                self.detach()

    @contextmanager
    def activation(self) -> Iterator[None]:
        """scoped_context_activation."""
        if not self.valid:
            raise _CannotActivateError
        switched = self._stack.current() is not self
        if switched and threading.get_ident() != self.thread:
            raise _CannotActivateError
        if switched:
            self.push()
        try:
            yield
        finally:
            if switched:
                pop(self._device, self._stack)


def pop(device: Device, stack: ContextStack) -> None:
    """Context.pop."""
    if not stack.contexts:
        raise LogicError("context::pop failed: cannot pop non-current context")
    device.pop_current()
    if stack.current() is None:
        raise LogicError("m_stack::pop failed: cannot pop context from empty stack")
    stack.contexts.pop()
    below = stack.current()
    if below is not None:
        below.put_back()


class _Dependent:
    """Something that lives in the context on top of pycuda's stack."""

    def __init__(self, cuda: FakeCuda) -> None:
        context = cuda.stack.current()
        if context is None:
            raise LogicError("explicit_context_dependent failed: no currently active context?")
        self._device = cuda.device
        self._context: Context | None = context

    def _destroy(self) -> None:
        raise NotImplementedError

    def free(self) -> None:
        context, self._context = self._context, None
        if context is None:
            raise LogicError(f"{type(self).__name__}::free failed: invalid resource handle")
        try:
            with context.activation():
                self._destroy()
        except _CannotActivateError:
            self._device.leaked.append(type(self).__name__)

    def __del__(self) -> None:
        if getattr(self, "_context", None) is not None:
            with suppress(LogicError):
                self.free()


class Allocation(_Dependent):
    def __init__(self, cuda: FakeCuda, size: int) -> None:
        self._address = cuda.device.allocate(size)
        super().__init__(cuda)

    def __int__(self) -> int:
        return self._address

    def _destroy(self) -> None:
        self._device.require_context()
        if self._device.memory.pop(self._address, None) is None:
            raise LogicError("cuMemFree failed: invalid argument")


class HostAllocation(_Dependent):
    """Page-locked memory: the `base` of an array that pagelocked_empty makes."""

    def __init__(self, cuda: FakeCuda) -> None:
        cuda.device.require_context()
        super().__init__(cuda)
        self._device.allocations += 1
        self.handle = self._device.handle()
        self._device.pinned.add(self.handle)

    def _destroy(self) -> None:
        self._device.require_context()
        self._device.pinned.remove(self.handle)


class PinnedArray(np.ndarray[Any, Any]):
    owner: HostAllocation | None = None

    def __array_finalize__(self, origin: Any) -> None:
        self.owner = getattr(origin, "owner", None)

    @property
    def base(self) -> Any:
        return self.owner


class Stream(_Dependent):
    def __init__(self, cuda: FakeCuda, flags: int) -> None:
        from .device import StreamState

        cuda.device.require_context()
        super().__init__(cuda)
        self.handle = self._device.handle()
        self._device.streams[self.handle] = StreamState(blocking=flags & NON_BLOCKING == 0)

    def _destroy(self) -> None:
        del self._device.streams[self.handle]

    @_native
    def synchronize(self) -> None:
        self._device.require_context()
        state = self._device.streams[self.handle]
        if state.capture is not None:
            raise LogicError("operation not permitted when stream is capturing")
        work, state.work = state.work, []
        for step in work:
            step()


class Event(_Dependent):
    def __init__(self, cuda: FakeCuda) -> None:
        cuda.device.require_context()
        super().__init__(cuda)
        self.handle = self._device.handle()
        self._device.events[self.handle] = None

    def _destroy(self) -> None:
        del self._device.events[self.handle]

    @_native
    def record(self, stream: Stream) -> None:
        self._device.require_context()
        device, handle = self._device, self.handle
        device.streams[stream.handle].put(lambda: device.happen(handle))

    @_native
    def time_till(self, other: Event) -> float:
        start, stop = self._device.events[self.handle], self._device.events[other.handle]
        if start is None or stop is None:
            raise LogicError("cuEventElapsedTime failed: device not ready")
        return stop - start


class FakeCuda:
    """The module pycuda.driver."""

    Error = Error
    LogicError = LogicError

    def __init__(self, device: Device) -> None:
        self.device = device
        self.stack = stack = ContextStack()
        self.initialised = False

        class ContextClass:
            @staticmethod
            def pop() -> None:
                pop(device, stack)

        self.Context = ContextClass

    def init(self) -> None:
        self.initialised = True

    def Device(self, index: int) -> Any:
        if not self.initialised:
            raise LogicError("cuDeviceGet failed: initialization error")
        if index != 0:
            raise LogicError("cuDeviceGet failed: invalid device ordinal")
        device, stack = self.device, self.stack

        class Handle:
            def retain_primary_context(self) -> Context:
                return Context(device, stack)

        return Handle()

    def Stream(self, flags: int = 0) -> Stream:
        return Stream(self, flags)

    def Event(self) -> Event:
        return Event(self)

    def mem_alloc(self, size: int) -> Allocation:
        return Allocation(self, size)

    def pagelocked_empty(self, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
        owner = HostAllocation(self)
        array = np.full(shape, 0xAB, dtype).view(PinnedArray)
        array.owner = owner
        return array

    @_native
    def memcpy_htod_async(self, target: Allocation, source: NDArray[Any], stream: Stream) -> None:
        self._check(source)
        data = source.view(np.ndarray).reshape(-1).view(np.uint8)
        address = int(target)

        def copy() -> None:
            self.device.bytes_at(address)[: data.size] = data

        self.device.streams[stream.handle].put(copy)

    @_native
    def memcpy_dtoh_async(self, target: NDArray[Any], source: Allocation, stream: Stream) -> None:
        self._check(target)
        data = target.view(np.ndarray).reshape(-1).view(np.uint8)
        address = int(source)

        def copy() -> None:
            data[:] = self.device.bytes_at(address)[: data.size]

        self.device.streams[stream.handle].put(copy)

    def _check(self, host: NDArray[Any]) -> None:
        self.device.require_context()
        pinned = isinstance(host, PinnedArray) and host.owner is not None and host.owner.handle in self.device.pinned
        if not pinned:
            raise LogicError("an asynchronous copy from pageable memory is not asynchronous")
        if not host.flags.c_contiguous:
            raise LogicError("ndarray is not contiguous")
