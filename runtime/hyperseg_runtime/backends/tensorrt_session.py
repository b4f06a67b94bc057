"""Session of a TensorRT engine: one stream, page-locked buffers, no device allocation per frame, CUDA graph."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np

from hyperseg_runtime.backends import cuda as nvidia
from hyperseg_runtime.backends.device_labels import DeviceLabels, DeviceLogits, on_the_cpu
from hyperseg_runtime.backends.device_memory import Buffer, DeviceMemory
from hyperseg_runtime.backends.frame_labels import check_placements, labels_on_host
from hyperseg_runtime.backends.primary_context import ContextScope, PrimaryContext, close_forgotten
from hyperseg_runtime.backends.protocol import (
    BackendName,
    BatchRange,
    Images,
    Note,
    Outputs,
    SessionOptions,
    TimedOutputs,
    check_images,
    ignore,
    refuse_to_pickle,
)
from hyperseg_runtime.backends.rtx_cache import CacheKey, RuntimeCacheFile
from hyperseg_runtime.backends.stream import CudaGraph, Stopwatch, Stream
from hyperseg_runtime.backends.tensorrt_engine import Engine, Shape
from hyperseg_runtime.backends.tensorrt_flavour import Flavour, TensorRT
from hyperseg_runtime.errors import InputError, ModelError
from hyperseg_runtime.graph_end import LOW_LOGITS
from hyperseg_runtime.metadata import Metadata
from hyperseg_runtime.native_labels import CudaLabels
from hyperseg_runtime.preprocess import Labels
from hyperseg_runtime.upsampling import LowLogits, Placement, check_placement

Result = TypeVar("Result")

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
        cache_for: str | None = None,
        low_logits: bool = False,
        kernels: CudaLabels | None = None,
        note: Note = ignore,
    ) -> None:
        """`gpu` is its name, for `description`; `cuda` is pycuda.driver; `driver` replaces libcuda.

        cache_for: SHA-256 of the plan, to keep what TensorRT for RTX compiles for it on the disk (see `rtx_cache`).
        low_logits: whether LOW_LOGITS is among the engine's outputs (`graph_end`).
        kernels: for labels of frames; None: they are computed on the CPU.
        note: see `RuntimeCacheFile`; it also receives a sentence where the kernels are not for this GPU.
        """
        self._path = path
        self._metadata = metadata
        self._gpu = gpu
        self._tensorrt = tensorrt
        self._cuda = cuda
        self._driver = driver or nvidia.load_driver()
        self._lock = threading.Lock()
        self._entered: set[int] = set()
        """The threads that have the lock or wait for it."""
        self._ends = False
        self._graph: CudaGraph | None = None
        self._shape: Shape | None = None
        self._ran = False
        self._low_logits = low_logits
        self._threads = options.threads
        self._note = note
        self._labels = None if kernels is None else DeviceLabels(cuda, kernels)
        self._context = PrimaryContext(cuda, options.device, self._driver)
        self._resources = ContextScope(cuda, self._context)
        weakref.finalize(self, close_forgotten, self._lock, self._resources)
        try:
            self._cache = None
            if cache_for is not None and tensorrt.flavour is Flavour.RTX:
                key = CacheKey.of(cache_for, tensorrt.version, gpu, self._driver)
                self._cache = RuntimeCacheFile(path, key, note)
            with self._context.current():
                self._open(plan, plugin_library, options.allow_host_code)
        except BaseException:
            self._resources.close()
            raise

    def _open(self, plan: bytes, plugin_library: Path | None, allow_host_code: bool) -> None:
        own = self._resources.own
        self._engine = Engine(self._path, self._tensorrt, plan, plugin_library, allow_host_code=allow_host_code)
        own(self._engine.close)
        self._engine.check(self.metadata, self._low_logits)
        if not self._engine.create_context(None if self._cache is None else self._cache.read()):
            assert self._cache is not None
            self._cache.reject()
        if self._engine.memory_bytes > 0:
            memory = DeviceMemory(self._cuda, self._engine.memory_bytes)
            own(memory.free)
            self._engine.set_memory(memory.address, memory.size)
        self._stream = Stream(self._cuda)
        own(self._stream.destroy)
        self._stopwatch = Stopwatch(self._cuda)
        own(self._stopwatch.destroy)
        self._buffers: dict[str, Buffer] = {}
        smallest, _, largest = self._engine.profile(_INPUT)
        self._batch_range = smallest[0], largest[0]
        self._engine.set_input_shape(_INPUT, largest)
        for tensor in self._engine.tensors:
            shape = largest if tensor.is_input else self._engine.output_shape(tensor.name)
            buffer = Buffer(self._cuda, tensor.dtype, shape)
            own(buffer.free)
            self._buffers[tensor.name] = buffer
            self._engine.set_address(tensor.name, buffer.address)
        if self._labels is not None:
            own(self._labels.free)
        own(self._engine.close_context)
        own(self._stream.synchronize)  # first of all: memory in use must not be freed
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

    @property
    def input_shapes(self) -> tuple[Shape, Shape, Shape]:
        """The least, best and most shape of `image` that the engine was built for."""
        return self._engine.profile(_INPUT)

    def layers(self) -> str:
        """The engine inspector's list of layers, as JSON."""
        with self._exclusive(), self._context.current():
            return self._engine.layers()

    @property
    def gives_low_logits(self) -> bool:
        return self._low_logits

    def run(self, images: Images) -> Outputs:
        return self._run(images, lambda: self._computed(images))

    def run_timed(self, images: Images) -> TimedOutputs:
        return self._run(images, lambda: self._timed(images))

    def run_low(self, images: Images) -> LowLogits:
        self._require_low_logits()
        return self._run(images, lambda: self._low(images))

    def run_labels(self, images: Images, placements: Sequence[Placement]) -> list[Labels]:
        check_placements(images, placements)
        self._require_low_logits()
        found = self._run(images, lambda: self._framed(images, placements), placements)
        return found if isinstance(found, list) else labels_on_host(found, placements, self._threads)

    def close(self) -> None:
        """Frees everything. In a signal handler amid a call of the same thread, that call does it when it ends."""
        if self._resources.inherited:
            return
        self._ends = True
        if threading.get_ident() in self._entered:
            return
        with self._exclusive():
            try:
                if self._ran and not self._resources.closed:
                    with self._context.current():
                        self._keep_cache()  # engines with a profile compile for more shapes as they come
            finally:
                self._resources.close()

    def _require_low_logits(self) -> None:
        if not self._low_logits:
            raise ModelError(f"{self._path}: the engine gives labels alone; build it again")

    def _run(self, images: Images, compute: Callable[[], Result], placements: Sequence[Placement] = ()) -> Result:
        # What a dynamic engine's profile leaves out has an error of its own (_set_shape).
        spec = self.metadata.input
        check_images(spec, images, (1, None) if spec.dynamic_batch else self._batch_range)
        with self._exclusive():
            if self._ends or self._resources.closed:
                raise ModelError(f"{self._path}: the session is closed; open the engine again")
            with self._context.current():
                self._set_shape(images.shape)
                if placements:
                    *_, height, width = self._engine.output_shape(LOW_LOGITS)
                    for placement in placements:
                        check_placement(placement, (height, width))
                    if self._labels is not None:
                        self._labels.reserve(placements)
                try:
                    results = compute()
                    if not self._ran:
                        self._ran = True
                        self._keep_cache()
                    return results
                except self._cuda.Error as error:
                    failure = self._engine.failure(f"the GPU failed ({' '.join(str(error).split())})")
                except ModelError as error:
                    failure = error
            # After a failed run nothing on the device can be trusted.
            self._resources.close()
            raise failure

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """One call at a time. Raises ModelError where that could not end: in the middle of a call of the same thread (a
        signal handler), and in a forked process, which has neither the CUDA context nor the thread with the lock."""
        if self._resources.inherited:
            raise ModelError(f"{self._path}: the session was opened in another process; open the engine in this one")
        thread = threading.get_ident()
        if thread in self._entered:
            raise ModelError(
                f"{self._path}: a signal handler ran the session in the middle of a call; it may only close it"
            )
        try:
            self._entered.add(thread)
            with self._lock:
                yield
        finally:
            self._entered.discard(thread)
            if self._ends and not self._resources.closed:
                self.close()

    def _computed(self, images: Images) -> Outputs:
        self._upload(images)
        self._enqueue()
        return self._outputs()

    def _timed(self, images: Images) -> TimedOutputs:
        self._upload(images)
        self._stopwatch.start(self._stream)
        self._enqueue()
        self._stopwatch.stop(self._stream)
        outputs = self._outputs()
        return TimedOutputs(outputs, self._stopwatch.seconds)

    def _low(self, images: Images) -> LowLogits:
        self._upload(images)
        self._enqueue()
        found: LowLogits = self._downloaded((LOW_LOGITS,))[LOW_LOGITS]
        return found

    def _framed(self, images: Images, placements: Sequence[Placement]) -> list[Labels] | LowLogits:
        """The labels; the logits where the caller has to compute them, while other threads may run the engine."""
        if self._labels is None:
            return self._low(images)
        self._upload(images)
        self._enqueue()
        buffer, shape = self._buffers[LOW_LOGITS], self._engine.output_shape(LOW_LOGITS)
        logits = DeviceLogits(buffer.address, buffer.dtype, shape)
        refusal = self._labels.enqueue(logits, placements, self._stream)
        if refusal is None:
            self._stream.synchronize()
            return self._labels.results(placements)
        found: LowLogits = self._downloaded((LOW_LOGITS,))[LOW_LOGITS]
        self._labels.free()
        self._labels = None
        self._note(on_the_cpu(self._path, refusal))
        return found

    def _upload(self, images: Images) -> None:
        np.copyto(self._buffers[_INPUT].host(images.shape), images)
        self._buffers[_INPUT].upload(images.shape, self._stream)

    def _outputs(self) -> Outputs:
        names = tuple(tensor.name for tensor in self._engine.outputs if tensor.name != LOW_LOGITS)
        results = self._downloaded(names)
        return Outputs(labels=results.get("labels"), logits=results.get("logits"))

    def _downloaded(self, names: Sequence[str]) -> dict[str, Any]:
        """Copies of these outputs, once they are computed."""
        shapes = {name: self._engine.output_shape(name) for name in names}
        for name, shape in shapes.items():
            self._buffers[name].download(shape, self._stream)
        self._stream.synchronize()
        return {name: self._buffers[name].host(shape).copy() for name, shape in shapes.items()}

    def _enqueue(self) -> None:
        engine, graph, stream = self._engine, self._graph, self._stream
        done = engine.enqueue(stream.handle) if graph is None else graph.launch(stream)
        if not done:
            raise self._engine.failure("TensorRT did not execute it")

    def _set_shape(self, shape: Shape) -> None:
        if shape == self._shape:
            return
        least, _, most = self._engine.profile(_INPUT)
        if any(not low <= size <= high for low, size, high in zip(least, shape, most, strict=True)):
            raise InputError(
                f"the engine takes {_INPUT} from {list(least)} to {list(most)}, not {list(shape)}; "
                "build it with another --min and --max"
            )
        self._shape = None
        self._engine.set_input_shape(_INPUT, shape)
        self._shape = shape

    def _record(self) -> None:
        """Captures the engine's launches in a CUDA graph. TensorRT requires one ordinary run first, which brings its
        state up to date with the shapes (TensorRT's developer guide, "CUDA graphs")."""
        self._enqueue()
        self._stream.synchronize()
        if not self._engine.capturable(self._stream.handle):
            return
        engine, stream = self._engine, self._stream
        self._graph = CudaGraph.record(stream, lambda: engine.enqueue(stream.handle), self._driver)
        if self._graph is not None:
            self._resources.own(self._graph.destroy)

    def _keep_cache(self) -> None:
        """Writes the kernels that TensorRT for RTX has compiled. Only a session that has computed something does."""
        content = None if self._cache is None else self._engine.runtime_cache()
        if self._cache is not None and content is not None:
            self._cache.write(content)
