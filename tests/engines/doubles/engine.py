"""Test doubles of ICudaEngine, IExecutionContext and EngineInspector.

Rules, of NvInferRuntime.h (10.14.1, 11.1.0) where nothing else is said:
- setTensorAddress: "The pointer must have at least 256-byte alignment"; all inputs and outputs need one before
  enqueueV3.
- getTensorShape: -1 until setInputShape has been called for every dynamic input.
- enqueueV3: asynchronous; False where it was not enqueued. The first call after setInputShape updates internal state
  and cannot be captured (developer guide, "CUDA graphs").
- An execution context is for one thread at a time (developer guide, "Thread safety").
- IRuntime must outlive ICudaEngine, and that its contexts; Python's bindings keep runtime and engine alive.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import onnxruntime as ort
from hyperseg_runtime import libraries

from .rtx import ALIGNMENT, RuntimeConfig, Strategy, lives_in_context

SCRATCH = 1 << 12
"""Bytes of device memory that a context of an engine needs."""


@lru_cache(maxsize=16)
def _session(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    options.register_custom_ops_library(str(libraries.require(libraries.Library.ONNXRUNTIME)))
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Engine:
    device_memory_size_v2 = SCRATCH

    def __init__(self, module: Any, runtime: Any, header: dict[str, Any], model: bytes, logger: Any) -> None:
        from .tensorrt import KINDS

        self.module = module
        self.runtime = runtime
        self.header = header
        self.logger = logger
        self.session = _session(model)
        self._profile = header["profile"] or {}
        self._computed: dict[Any, list[int]] = {}
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        self.tensors = {item.name: item for item in (*inputs, *outputs)}
        self.input_names = {item.name for item in inputs}
        self.num_io_tensors = len(self.tensors)
        self.kinds = {name: KINDS[item.type] for name, item in self.tensors.items()}
        lives_in_context(self, module.device)

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_dtype(self, name: str) -> Any:
        return self.kinds[name][0]

    def get_tensor_format(self, name: str) -> Any:
        return self.module.TensorFormat(self.header["formats"].get(name, 0))

    def get_tensor_mode(self, name: str) -> Any:
        modes = self.module.TensorIOMode
        return modes.INPUT if name in self.input_names else modes.OUTPUT

    def get_tensor_shape(self, name: str) -> list[int]:
        return [size if isinstance(size, int) else -1 for size in self.tensors[name].shape]

    def _computed_shape(self, name: str, shapes: dict[str, tuple[int, ...]]) -> list[int]:
        """Of an output whose extents are computed from the inputs'. IExecutionContext::getTensorShape knows them once
        setInputShape has been called for all inputs; then an extent is -1 only if it "depends on values of execution
        tensors" (NvInferRuntime.h 10.14.1, 11.1.0), which ours do not."""
        key = name, tuple(shapes.items())
        if key not in self._computed:
            feeds = {given: np.zeros(shape, self.kinds[given][1]) for given, shape in shapes.items()}
            self._computed[key] = list(self.session.run([name], feeds)[0].shape)
        return self._computed[key]

    def get_tensor_profile_shape(self, name: str, index: int) -> list[list[int]]:
        assert index == 0
        shape = self.get_tensor_shape(name)
        return [list(each) for each in self._profile.get(name, (shape, shape, shape))]

    def create_runtime_config(self) -> RuntimeConfig | None:
        return None if "runtime config" in self.module.failures else RuntimeConfig(self)

    def create_execution_context(self, how: Any = Strategy.STATIC) -> ExecutionContext | None:
        if "context" in self.module.failures:
            self.logger.log(self.module.ILogger.ERROR, "out of memory")
            return None
        return ExecutionContext(self, how if isinstance(how, RuntimeConfig) else None, how)

    def create_engine_inspector(self) -> Any:
        return Inspector()


class Inspector:
    def get_engine_information(self, layout: int) -> str:
        assert layout == 1
        tensor = {"Name": "a", "Format/Datatype": "Row major linear FP16 format"}
        plugin = {"Name": "p", "LayerType": "PluginV3", "Inputs": [tensor], "Outputs": [{**tensor, "Name": "b"}]}
        reformat = {"Name": "Reformatting CopyNode for Input Tensor 0 to p", "LayerType": "Reformat",
                    "Inputs": [{**tensor, "Name": "in"}], "Outputs": [tensor]}  # fmt: skip
        return json.dumps({"Layers": [reformat, plugin], "Bindings": []})


class ExecutionContext:
    def __init__(self, engine: Engine, config: RuntimeConfig | None, strategy: Any) -> None:
        self._engine = engine
        self._config = config
        self._user_managed = (strategy if config is None else config.strategy) is Strategy.USER_MANAGED
        self._memory: tuple[int, int] | None = None
        self._addresses: dict[str, int] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._stale = True
        """Whether enqueueV3 has internal state to update."""
        self._busy = threading.Lock()
        lives_in_context(self, engine.module.device)
        if config is not None:
            config.compile("engine")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise AssertionError("two threads use one execution context")
        try:
            yield
        finally:
            self._busy.release()

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        with self._alone():
            if name not in self._engine.input_names:
                return False
            least, _, most = self._engine.get_tensor_profile_shape(name, 0)
            if len(shape) != len(least) or any(not a <= b <= c for a, b, c in zip(least, shape, most, strict=True)):
                return self._refuse("setInputShape: Error Code 3: API Usage Error (out of the profile's range)")
            self._shapes[name] = tuple(shape)
            self._stale = True
            return True

    def get_tensor_shape(self, name: str) -> list[int]:
        if name in self._engine.input_names:
            return list(self._shapes.get(name, self._engine.get_tensor_shape(name)))
        declared = self._engine.tensors[name].shape
        known = {}
        for given, shape in self._shapes.items():
            known.update(zip(self._engine.tensors[given].shape, shape, strict=True))
        found = [size if isinstance(size, int) else known.get(size, -1) for size in declared]
        return self._engine._computed_shape(name, self._shapes) if -1 in found and self._shapes else found

    def set_tensor_address(self, name: str, address: int) -> bool:
        if name not in self._engine.tensors or not isinstance(address, int) or address == 0 or address % ALIGNMENT:
            return False
        self._addresses[name] = address
        return True

    def set_device_memory(self, memory: int, size: int) -> None:
        """Of a context whose strategy is USER_MANAGED; at least `device_memory_size_v2` bytes."""
        assert memory % ALIGNMENT == 0, "device memory is not aligned"
        self._memory = memory, size

    def is_stream_capturable(self, stream: int) -> bool:
        """Release notes of TensorRT for RTX 1.2: it takes memory of the application's, and an engine built for it."""
        assert stream in self._engine.module.device.streams
        return self._capturable

    @property
    def _capturable(self) -> bool:
        return bool(self._engine.header["user_allocation"]) and self._has_memory

    @property
    def _has_memory(self) -> bool:
        return self._user_managed and self._memory is not None and self._memory[1] >= SCRATCH

    def execute_async_v3(self, stream_handle: int) -> bool:
        with self._alone():
            time.sleep(0.0005)  # other threads' turn, else they would hardly ever be found in here
            return self._execute(stream_handle)

    def _execute(self, stream_handle: int) -> bool:
        engine, device = self._engine, self._engine.module.device
        shapes = {name: tuple(self.get_tensor_shape(name)) for name in engine.tensors}
        problem = self._problem(stream_handle, shapes)
        if problem is not None:
            return self._refuse(f"enqueueV3: Error Code {problem}")
        self._stale = False
        if self._config is not None:
            self._config.compile(json.dumps(shapes))
        device.streams[stream_handle].put(lambda: self._compute(shapes))
        return True

    def _problem(self, stream_handle: int, shapes: dict[str, tuple[int, ...]]) -> str | None:
        engine, device = self._engine, self._engine.module.device
        if "execute" in engine.module.failures:
            return "1: Cuda Runtime (an illegal memory access)"
        if not device.stack or stream_handle not in device.streams:
            return "1: Cuda Runtime (invalid resource handle)"
        captured = device.streams[stream_handle].capture is not None
        if captured and self._config is not None and not self._capturable:
            raise AssertionError("a stream is captured although isStreamCapturable says that it cannot be")
        problems = {
            "3: API Usage Error (an address is missing)": set(self._addresses) != set(engine.tensors),
            "3: API Usage Error (no device memory, or too little)": self._user_managed and not self._has_memory,
            "3: API Usage Error (an input shape is missing)": any(-1 in shape for shape in shapes.values()),
            "1: Cuda Runtime (operation not permitted when stream is capturing)": captured and self._stale,
        }
        return next((text for text, applies in problems.items() if applies), None)

    def _compute(self, shapes: dict[str, tuple[int, ...]]) -> None:
        engine, device = self._engine, self._engine.module.device
        if self._user_managed:
            assert self._memory is not None
            device.bytes_at(self._memory[0])[:] = 0
        feeds = {}
        for name in engine.input_names:
            dtype = np.dtype(engine.kinds[name][1])
            size = int(np.prod(shapes[name])) * dtype.itemsize
            feeds[name] = device.bytes_at(self._addresses[name])[:size].view(dtype).reshape(shapes[name])
        outputs = [name for name in engine.tensors if name not in engine.input_names]
        for name, value in zip(outputs, engine.session.run(outputs, feeds), strict=True):
            data = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
            device.bytes_at(self._addresses[name])[: data.size] = data

    def _refuse(self, text: str) -> bool:
        self._engine.logger.log(self._engine.module.ILogger.ERROR, f"IExecutionContext::{text}")
        return False
