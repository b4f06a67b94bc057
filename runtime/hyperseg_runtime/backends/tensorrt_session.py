"""Session of a TensorRT engine: one stream, page-locked buffers, no device allocation per frame, CUDA graph."""

from __future__ import annotations

import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from hyperseg_runtime.backends.cuda import Buffer, CudaGraph, PrimaryContext
from hyperseg_runtime.backends.protocol import (
    BackendName,
    BatchRange,
    Images,
    Outputs,
    SessionOptions,
    TimedOutputs,
    check_images,
    refuse_to_pickle,
)
from hyperseg_runtime.backends.tensorrt_engine import Engine
from hyperseg_runtime.backends.tensorrt_flavour import TensorRT
from hyperseg_runtime.errors import InputError, ModelError
from hyperseg_runtime.metadata import Metadata

_INPUT = "image"


class TensorRTSession:
    """A `Session`. Calls from several threads are serialised; the CUDA context is current only within a call."""

    def __init__(
        self,
        path: Path,
        metadata: Metadata,
        plan: bytes,
        *,
        gpu: str,
        tensorrt: TensorRT,
        cuda: Any,
        plugin_library: Path | None,
        options: SessionOptions,
        driver: Any = None,
    ) -> None:
        """`gpu` is its name, for `description`; `cuda` is pycuda.driver; `driver` replaces libcuda for CUDA graphs."""
        self._path = path
        self._metadata = metadata
        self._gpu = gpu
        self._tensorrt = tensorrt
        self._cuda = cuda
        self._driver = driver
        self._lock = threading.Lock()
        self._closed = False
        self._graph: CudaGraph | None = None
        self._shape: tuple[int, ...] | None = None
        self._resources = ExitStack()  # released in reverse, the primary context last
        context = PrimaryContext(cuda, options.device)
        self._resources.callback(context.release)
        self._context = context
        try:
            with context.current():
                self._open(plan, plugin_library, options.allow_host_code)
        except BaseException:
            self._release()
            raise

    def _open(self, plan: bytes, plugin_library: Path | None, allow_host_code: bool) -> None:
        self._engine = Engine(self._path, self._tensorrt, plan, plugin_library, allow_host_code=allow_host_code)
        self._own(self._engine.close)
        self._engine.check(self.metadata)
        self._stream = self._cuda.Stream()
        self._events = self._cuda.Event(), self._cuda.Event()
        self._buffers: dict[str, Buffer] = {}
        smallest, largest = self._engine.shape_range(_INPUT)
        self._batch_range = smallest[0], largest[0]
        self._engine.set_input_shape(_INPUT, largest)
        for tensor in self._engine.tensors:
            shape = largest if tensor.is_input else self._engine.output_shape(tensor.name)
            buffer = Buffer(self._cuda, tensor.dtype, shape)
            self._own(buffer.free)
            self._buffers[tensor.name] = buffer
            self._engine.set_address(tensor.name, buffer.address)
        self._set_shape(largest)
        if self._engine.static:
            self._record()

    def __reduce__(self) -> NoReturn:
        raise refuse_to_pickle(self)

    @property
    def backend(self) -> BackendName:
        return BackendName.TENSORRT

    @property
    def metadata(self) -> Metadata:
        return self._metadata

    @property
    def description(self) -> str:
        graph = ", CUDA graph" if self._graph is not None else ""
        return f"{self._tensorrt.name} on {self._gpu}, {self._metadata.precision.value}{graph}"

    @property
    def batch_range(self) -> BatchRange:
        return self._batch_range

    def layers(self) -> str:
        """The engine inspector's list of layers, as JSON."""
        with self._lock, self._context.current():
            return self._engine.layers()

    def run(self, images: Images) -> Outputs:
        return self._run(images, timed=False)[0]

    def run_timed(self, images: Images) -> TimedOutputs:
        return TimedOutputs(*self._run(images, timed=True))

    def close(self) -> None:
        with self._lock:
            self._release()

    def _run(self, images: Images, timed: bool) -> tuple[Outputs, float]:
        # What a dynamic engine's profile leaves out has an error of its own (_set_shape).
        spec = self.metadata.input
        check_images(spec, images, (1, None) if spec.dynamic_batch else self._batch_range)
        with self._lock:
            if self._closed:
                raise ModelError(f"{self._path}: the session is closed; open the engine again")
            with self._context.current():
                self._set_shape(images.shape)
                try:
                    return self._compute(images, timed)
                except self._cuda.Error as error:
                    failure = self._engine.failure(f"the GPU failed ({' '.join(str(error).split())})")
                except ModelError as error:
                    failure = error
            # After a failed run nothing on the device can be trusted.
            self._release()
            raise failure

    def _compute(self, images: Images, timed: bool) -> tuple[Outputs, float]:
        start, stop = self._events
        np.copyto(self._buffers[_INPUT].host(images.shape), images)
        self._buffers[_INPUT].upload(images.shape, self._stream)
        if timed:
            start.record(self._stream)
        self._enqueue()
        if timed:
            stop.record(self._stream)
        shapes = {tensor.name: self._engine.output_shape(tensor.name) for tensor in self._engine.outputs}
        for name, shape in shapes.items():
            self._buffers[name].download(shape, self._stream)
        self._stream.synchronize()
        results = {name: self._buffers[name].host(shape).copy() for name, shape in shapes.items()}
        seconds = start.time_till(stop) / 1e3 if timed else 0.0
        return Outputs(labels=results.get("labels"), logits=results.get("logits")), seconds

    def _enqueue(self) -> None:
        handle = self._stream.handle
        done = self._engine.enqueue(handle) if self._graph is None else self._graph.launch(handle)
        if not done:
            raise self._engine.failure("TensorRT did not execute it")

    def _set_shape(self, shape: tuple[int, ...]) -> None:
        if shape == self._shape:
            return
        least, most = self._engine.shape_range(_INPUT)
        if any(not low <= size <= high for low, size, high in zip(least, shape, most, strict=True)):
            raise InputError(
                f"the engine takes {_INPUT} from {list(least)} to {list(most)}, not {list(shape)}; "
                "build it with another --min and --max"
            )
        self._shape = None
        self._engine.set_input_shape(_INPUT, shape)
        self._shape = shape

    def _record(self) -> None:
        """Captures the engine's launches in a CUDA graph. TensorRT requires one ordinary run first."""
        self._enqueue()
        self._stream.synchronize()
        handle = self._stream.handle
        self._graph = CudaGraph.record(handle, lambda: self._engine.enqueue(handle), self._driver)
        if self._graph is not None:
            self._own(self._graph.destroy)

    def _own(self, release: Any) -> None:
        """Registers `release` to be called by `close`, with the context current."""

        def within_context() -> None:
            with suppress(self._cuda.Error), self._context.current():
                release()

        self._resources.callback(within_context)

    def _release(self) -> None:
        self._closed = True
        with suppress(self._cuda.Error):
            self._resources.close()
