"""Deserialised TensorRT engine and its execution context. TensorRT fails by returning None: every result is checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg_runtime.backends.protocol import check_signature
from hyperseg_runtime.backends.rtx_context import RtxContext
from hyperseg_runtime.backends.tensorrt_flavour import Flavour, TensorRT
from hyperseg_runtime.errors import MetadataError, ModelError
from hyperseg_runtime.graph_end import LOW_LOGITS
from hyperseg_runtime.libraries import Library
from hyperseg_runtime.metadata import Metadata

Shape = tuple[int, ...]

_OPEN = -1
_ONNX_TYPES = {"uint8": "tensor(uint8)", "float32": "tensor(float)"}
_KEPT_MESSAGES = 20
_NAMESPACE = "hyperseg"


@dataclass(frozen=True)
class EngineTensor:
    """An input or output of an engine."""

    name: str
    is_input: bool
    dtype: np.dtype[Any]
    shape: Shape
    """-1 for dynamic dimensions."""


class Engine:
    """An engine in the current CUDA context, and one execution context of it, which one thread at a time may use
    (TensorRT's developer guide, "Thread safety"). `close` it while the CUDA context is current."""

    def __init__(
        self,
        path: Path,
        tensorrt: TensorRT,
        plan: bytes,
        plugin_library: Path | None,
        *,
        allow_host_code: bool = False,
    ) -> None:
        self._trt = tensorrt.module
        self._path = path
        self._flavour = tensorrt.flavour
        self._messages: list[str] = []
        self._logger = _make_logger(self._trt, self._messages)
        self._runtime: Any = None
        self._plugins: Any = None
        self._engine: Any = None
        self._context: Any = None
        self._rtx: RtxContext | None = None
        try:
            self._deserialize(plan, plugin_library, allow_host_code)
        except BaseException:
            self.close()  # else the runtime would live as long as the traceback, and beyond the CUDA context
            raise

    def _deserialize(self, plan: bytes, plugin_library: Path | None, allow_host_code: bool) -> None:
        self._runtime = self._made(self._trt.Runtime(self._logger), "runtime")
        self._runtime.engine_host_code_allowed = allow_host_code
        if plugin_library is not None:
            self._plugins = self._runtime.get_plugin_registry().load_library(str(plugin_library))
            if not _has_plugins(self._runtime.get_plugin_registry()):
                name = Library.TENSORRT.value  # the path is that of a copy in memory (`sealed_library`)
                raise self.failure(f"TensorRT did not load the plugin library {name}; pip install . again")
        self._engine = self._made(self._runtime.deserialize_cuda_engine(plan), "engine of the plan")
        self.tensors = tuple(self._tensor(self._trt, index) for index in range(self._engine.num_io_tensors))

    def create_context(self, cached: bytes | None = None) -> bool:
        """Makes the execution context. Raises ModelError.

        cached: kernels for it, which `runtime_cache` returned before (TensorRT for RTX). Returns whether they were
        accepted, True if there are none.
        """
        if self._flavour is not Flavour.RTX:
            self._context = self._made(self._engine.create_execution_context(), "execution context")
            return True
        self._rtx = RtxContext(self._trt, self._engine, self._made, cached)
        self._context = self._rtx.context
        return self._rtx.accepted

    @property
    def memory_bytes(self) -> int:
        """Device memory to be passed to `set_memory` before the first run; 0 where TensorRT allocates it itself."""
        return 0 if self._rtx is None else int(self._engine.device_memory_size_v2)

    def set_memory(self, address: int, size: int) -> None:
        """Device memory of at least `memory_bytes`, for as long as the context lives."""
        self._context.set_device_memory(address, size)

    def capturable(self, stream: int) -> bool:
        """Whether `enqueue` may be captured in a CUDA graph, once it has run with the present shapes: the shapes are
        fixed, and TensorRT for RTX agrees."""
        return self.static and (self._rtx is None or self._rtx.capturable(stream))

    def runtime_cache(self) -> bytes | None:
        """The kernels that TensorRT for RTX has compiled; None for TensorRT, which has none."""
        return None if self._rtx is None else self._rtx.serialize()

    @property
    def static(self) -> bool:
        """Whether all shapes are fixed."""
        return all(_OPEN not in tensor.shape for tensor in self.tensors)

    @property
    def inputs(self) -> tuple[EngineTensor, ...]:
        return tuple(tensor for tensor in self.tensors if tensor.is_input)

    @property
    def outputs(self) -> tuple[EngineTensor, ...]:
        return tuple(tensor for tensor in self.tensors if not tensor.is_input)

    def check(self, metadata: Metadata, low_logits: bool) -> None:
        """Raises MetadataError if the engine's tensors are not those that its sidecar declares.

        low_logits: whether LOW_LOGITS is among the outputs, in one of floats' types, [N, C, h, w].
        """
        found = tuple(tensor for tensor in self.outputs if low_logits and tensor.name == LOW_LOGITS)
        others = tuple(tensor for tensor in self.outputs if tensor not in found)
        check_signature(metadata, _signature(self.inputs), _signature(others), str(self._path))
        fits = [
            tensor.dtype in (np.float16, np.float32)
            and len(tensor.shape) == 4
            and tensor.shape[1] in (metadata.num_classes, _OPEN)
            for tensor in found
        ]
        if fits != [True] * low_logits:
            has = ", ".join(f"{tensor.dtype.name} {list(tensor.shape)}" for tensor in found) or "none"
            raise MetadataError(
                f"{self._path}: its sidecar declares {LOW_LOGITS} of {metadata.num_classes} classes, it has {has}; "
                "build it again"
            )

    def profile(self, name: str) -> tuple[Shape, Shape, Shape]:
        """Least, best and most shape of an input; of a static engine, three times the same."""
        least, best, most = self._engine.get_tensor_profile_shape(name, 0)
        return tuple(least), tuple(best), tuple(most)

    def set_input_shape(self, name: str, shape: Shape) -> None:
        """Raises ModelError if the engine does not accept the shape."""
        if not self._context.set_input_shape(name, shape):
            raise self.failure(f"it does not accept {name} of shape {list(shape)}")

    def output_shape(self, name: str) -> Shape:
        """The shape of an output for the current input shapes. Raises ModelError if they do not determine it."""
        shape = tuple(self._context.get_tensor_shape(name))
        if _OPEN in shape:
            raise self.failure(f"the shape of {name} is not known")
        return shape

    def set_address(self, name: str, address: int) -> None:
        if not self._context.set_tensor_address(name, address):
            raise self.failure(f"it does not accept an address for {name}")

    def enqueue(self, stream: int) -> bool:
        return bool(self._context.execute_async_v3(stream))

    def layers(self) -> str:
        """The engine inspector's description of the layers, as JSON."""
        inspector = self._made(self._engine.create_engine_inspector(), "engine inspector")
        return str(inspector.get_engine_information(self._trt.LayerInformationFormat.JSON))

    def failure(self, what: str) -> ModelError:
        """An error with the last messages of TensorRT's logger."""
        said = " ".join("; ".join(self._messages[-2:]).split())
        return ModelError(f"{self._path}: {what}{f' ({said:.400})' if said else ''}")

    def close_context(self) -> None:
        """Releases the context, which must not outlive the memory that it was given; `close` does it too."""
        self._context = None
        if self._rtx is not None:
            self._rtx.close()

    def close(self) -> None:
        """Releases TensorRT's objects: the context before the engine, the engine before the runtime
        (NvInferRuntime.h, IRuntime::deserializeCudaEngine)."""
        self.close_context()
        self._engine = None
        self._plugins = None
        self._runtime = None

    def _made(self, thing: Any, what: str) -> Any:
        if thing is None:
            raise self.failure(f"TensorRT created no {what}; build the engine again on this machine")
        return thing

    def _tensor(self, trt: Any, index: int) -> EngineTensor:
        name = self._engine.get_tensor_name(index)
        kind = self._engine.get_tensor_dtype(name)
        dtypes = {trt.uint8: np.uint8, trt.float32: np.float32, trt.float16: np.float16, trt.int32: np.int32}
        if kind not in dtypes:
            raise self.failure(f"tensor {name} has a type that the runtime does not support ({kind})")
        layout = self._engine.get_tensor_format(name)
        if layout != trt.TensorFormat.LINEAR:
            raise self.failure(f"tensor {name} has the format {layout}, not contiguous memory; build the engine again")
        return EngineTensor(
            name=name,
            is_input=self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT,
            dtype=np.dtype(dtypes[kind]),
            shape=tuple(self._engine.get_tensor_shape(name)),
        )


def _has_plugins(registry: Any) -> bool:
    """Whether the library registered our plugins. The handle that load_library returns does not tell."""
    return any(creator.plugin_namespace == _NAMESPACE for creator in registry.all_creators)


def _make_logger(trt: Any, messages: list[str]) -> Any:
    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                del messages[:-_KEPT_MESSAGES]
                messages.append(msg)

    return Logger()


def _signature(tensors: tuple[EngineTensor, ...]) -> Mapping[str, tuple[str, list[int | str | None]]]:
    return {
        tensor.name: (
            _ONNX_TYPES.get(tensor.dtype.name, f"tensor({tensor.dtype.name})"),
            [None if size == _OPEN else size for size in tensor.shape],
        )
        for tensor in tensors
    }
