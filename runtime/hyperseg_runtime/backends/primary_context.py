"""The device's primary context, and everything that a session has in it.

pycuda makes the contexts, streams, events and memory, within the rules of its source (2026.1, src/cpp/cuda.hpp):

- A context may be pushed in any thread, but only the thread that retained it can release it: elsewhere
  `context::detach` forgets it and its reference is lost. There, it pushes a context that is not current and leaves it
  pushed (`cuDevicePrimaryCtxRelease` pops nothing). So one thread retains, releases and then ends, and no other
  thread's stack is touched.
- Streams, events and memory can be destroyed in any thread, but only while their context is on top of pycuda's own
  stack (`scoped_context_activation`); elsewhere they are lost. So they are destroyed within `current`.
- `push` takes off the driver's stack what pycuda believes to be there, its own context, and `pop` puts that one back.
  So where another library has set another context since, it is put back through the driver.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from queue import SimpleQueue
from typing import Any


class PrimaryContext:
    """The device's primary context, which torch, CuPy and every library on the CUDA runtime share.

    Retained from construction to `release`. It is current only within a `current` block, in the thread that entered it,
    so that other CUDA code in the process finds its own context unchanged.
    """

    def __init__(self, cuda: Any, index: int, driver: Any) -> None:
        """`cuda` is pycuda.driver, `driver` libcuda."""
        cuda.init()
        self._cuda = cuda
        self._driver = driver
        self._owner = _OwnerThread()
        try:
            self._context = self._owner.call(lambda: cuda.Device(index).retain_primary_context())
        except BaseException:
            self._owner.end()
            raise

    @contextmanager
    def current(self) -> Iterator[None]:
        before = self._on_top()
        self._context.push()
        try:
            yield
        finally:
            self._cuda.Context.pop()
            if self._on_top() != before:
                self._driver.cuCtxSetCurrent(ctypes.c_void_p(before))

    def release(self) -> None:
        """Gives the reference back, from any thread. In a forked process, which has neither thread nor context, it does
        nothing."""
        if self._owner.runs:
            self._owner.call(self._context.detach)
            self._owner.end()

    def _on_top(self) -> int | None:
        """The context that is current in this thread, whoever set it."""
        context = ctypes.c_void_p()
        self._driver.cuCtxGetCurrent(ctypes.byref(context))
        return context.value


class ContextScope:
    """What a session has in a context.

    `close` destroys it in reverse order, with the context current, then releases the context: from any thread, and
    whatever fails.
    """

    def __init__(self, cuda: Any, context: PrimaryContext) -> None:
        self._cuda = cuda
        self._context = context
        self._resources = ExitStack()
        self._process = os.getpid()
        self.closed = False

    @property
    def inherited(self) -> bool:
        """Whether this is a forked process, which must leave the context and all in it alone: "any use of CUDA after a
        call to fork [...] has undefined behavior" (NVIDIA, CUDA C++ Guidelines for Robust and Safety-Critical
        Programming 3.0.1, rule CUDA 1.6)."""
        return os.getpid() != self._process

    def own(self, destroy: Callable[[], None]) -> None:
        """Registers what `close` calls. It must not refer to whoever closes the scope from a finalizer."""
        self._resources.callback(destroy)

    def close(self) -> None:
        """May be called again. Does nothing in a forked process."""
        if self.closed or self.inherited:
            return
        self.closed = True
        try:
            with suppress(self._cuda.Error), self._context.current():
                self._resources.close()  # goes on where one fails
        finally:
            self._context.release()


def close_forgotten(lock: threading.Lock, resources: ContextScope) -> None:
    """Frees the memory of a session that was never closed: when it is collected, or at the end of the process, where a
    daemon thread may be in the middle of a run."""
    if lock.acquire(blocking=False):
        try:
            resources.close()
        finally:
            lock.release()


class _OwnerThread:
    """A thread that waits for work until `end`."""

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=_serve, args=(self._work,), name="hyperseg-context", daemon=True)
        self._thread.start()

    @property
    def runs(self) -> bool:
        return self._thread.is_alive()

    def call(self, function: Callable[[], Any]) -> Any:
        """Calls it in the thread; returns or raises what it does."""
        outcome: Future[Any] = Future()
        self._work.put((function, outcome))
        return outcome.result()

    def end(self) -> None:
        self._work.put(None)
        self._thread.join()


def _serve(work: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None]) -> None:
    while True:
        item = work.get()
        if item is None:
            return
        function, outcome = item
        try:
            outcome.set_result(function())
        except BaseException as error:
            outcome.set_exception(error)
        del item, function, outcome  # else the last context would live as long as the next call takes
