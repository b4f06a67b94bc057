"""A CUDA stream, the time of what it does, and graphs captured from it.

They are used and destroyed while their context is current. pycuda destroys a stream or an event with its last
reference, so that the classes here keep the only one: an exception's traceback would keep a local variable alive beyond
the context.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

# Of cuda.h
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING
_CAPTURE_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads' CUDA calls stay legal meanwhile


class Stream:
    """A stream of our own: TensorRT synchronises the device at each run on the default stream.

    It and the legacy default stream do not wait for each other. PyTorch works there by default, and its calls would be
    errors, in any thread, while a stream that waits is captured (CUDA C++ Programming Guide, "Prohibited and Unhandled
    Operations" of stream capture).
    """

    def __init__(self, cuda: Any) -> None:
        """`cuda` is pycuda.driver."""
        self.handle_object: Any = cuda.Stream(_NON_BLOCKING)
        """pycuda's."""

    @property
    def handle(self) -> int:
        """CUstream."""
        return int(self.handle_object.handle)

    def synchronize(self) -> None:
        self.handle_object.synchronize()

    def destroy(self) -> None:
        self.handle_object = None


class Stopwatch:
    """Measures the time between two points of a stream on the device."""

    def __init__(self, cuda: Any) -> None:
        """`cuda` is pycuda.driver."""
        self._start: Any = cuda.Event()
        try:
            self._stop: Any = cuda.Event()
        except BaseException:
            self._start = None
            raise

    def start(self, stream: Stream) -> None:
        self._start.record(stream.handle_object)

    def stop(self, stream: Stream) -> None:
        self._stop.record(stream.handle_object)

    @property
    def seconds(self) -> float:
        """Between `start` and `stop`; the stream must be synchronised."""
        return float(self._start.time_till(self._stop)) / 1e3

    def destroy(self) -> None:
        self._start = self._stop = None


class CudaGraph:
    """An executable CUDA graph, captured from a stream; pycuda has none, so libcuda is called directly.

    The context that it was captured in must be current for `launch` and `destroy`.
    """

    def __init__(self, driver: Any, graph: ctypes.c_void_p, executable: ctypes.c_void_p) -> None:
        self._driver = driver
        self._graph = graph
        self._executable = executable

    @staticmethod
    def record(stream: Stream, enqueue: Callable[[], bool], driver: Any) -> CudaGraph | None:
        """Captures the work that `enqueue` puts on the stream. None if it cannot be captured: then nothing has run and
        the stream is as before. `driver` is libcuda."""
        handle = ctypes.c_void_p(stream.handle)
        if driver.cuStreamBeginCapture_v2(handle, _CAPTURE_THREAD_LOCAL) != 0:
            return None
        graph, executable = ctypes.c_void_p(), ctypes.c_void_p()
        enqueued = False
        try:
            enqueued = enqueue()
        finally:
            ended = driver.cuStreamEndCapture(handle, ctypes.byref(graph)) == 0
        if not ended or not graph:
            return None
        flags = ctypes.c_ulonglong(0)
        if not enqueued or driver.cuGraphInstantiateWithFlags(ctypes.byref(executable), graph, flags) != 0:
            driver.cuGraphDestroy(graph)
            return None
        return CudaGraph(driver, graph, executable)

    def launch(self, stream: Stream) -> bool:
        """Enqueues the recorded work. False if the driver refuses."""
        return bool(self._driver.cuGraphLaunch(self._executable, ctypes.c_void_p(stream.handle)) == 0)

    def destroy(self) -> None:
        self._driver.cuGraphExecDestroy(self._executable)
        self._driver.cuGraphDestroy(self._graph)
