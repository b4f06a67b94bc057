"""A stream's work recorded once and launched as one: pycuda has no graphs, so the driver is asked directly."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

_LIBRARY = "libcuda.so.1"
_CAPTURE_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads' CUDA calls stay legal meanwhile


def load_driver() -> Any:
    """The NVIDIA driver's library."""
    return ctypes.CDLL(_LIBRARY)


class CudaGraph:
    """An executable graph. The context it was recorded in must be current for `launch` and `destroy`."""

    def __init__(self, driver: Any, graph: ctypes.c_void_p, executable: ctypes.c_void_p) -> None:
        self._driver = driver
        self._graph = graph
        self._executable = executable

    @staticmethod
    def record(stream: int, enqueue: Callable[[], bool], driver: Any = None) -> CudaGraph | None:
        """Records what `enqueue` puts on the stream (by its handle). None where the work cannot be recorded, in which
        case nothing has run and the stream is as before."""
        driver = driver or load_driver()
        handle = ctypes.c_void_p(stream)
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

    def launch(self, stream: int) -> bool:
        """Enqueues the recorded work. False where the driver refuses."""
        return bool(self._driver.cuGraphLaunch(self._executable, ctypes.c_void_p(stream)) == 0)

    def destroy(self) -> None:
        self._driver.cuGraphExecDestroy(self._executable)
        self._driver.cuGraphDestroy(self._graph)
