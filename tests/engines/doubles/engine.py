"""Test doubles of ICudaEngine, IExecutionContext and EngineInspector."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnxruntime as ort
from hyperseg_runtime import libraries


def _session(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    options.register_custom_ops_library(str(libraries.require(libraries.Library.ONNXRUNTIME)))
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Engine:
    def __init__(self, module: Any, header: dict[str, Any], model: bytes, logger: Any) -> None:
        from .tensorrt import KINDS

        self.module = module
        self.logger = logger
        self.session = _session(model)
        self._profile = header["profile"] or {}
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        self.tensors = {item.name: item for item in (*inputs, *outputs)}
        self.input_names = {item.name for item in inputs}
        self.num_io_tensors = len(self.tensors)
        self.kinds = {name: KINDS[item.type] for name, item in self.tensors.items()}

    def get_tensor_name(self, index: int) -> str:
        return list(self.tensors)[index]

    def get_tensor_dtype(self, name: str) -> Any:
        return self.kinds[name][0]

    def get_tensor_mode(self, name: str) -> Any:
        modes = self.module.TensorIOMode
        return modes.INPUT if name in self.input_names else modes.OUTPUT

    def get_tensor_shape(self, name: str) -> list[int]:
        return [size if isinstance(size, int) else -1 for size in self.tensors[name].shape]

    def get_tensor_profile_shape(self, name: str, index: int) -> list[list[int]]:
        assert index == 0
        shape = self.get_tensor_shape(name)
        return [list(each) for each in self._profile.get(name, (shape, shape, shape))]

    def create_execution_context(self) -> ExecutionContext | None:
        if "context" in self.module.failures:
            self.logger.log(self.module.ILogger.ERROR, "out of memory")
            return None
        return ExecutionContext(self)

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
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._addresses: dict[str, int] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        if name not in self._engine.input_names:
            return False
        least, _, most = self._engine.get_tensor_profile_shape(name, 0)
        if len(shape) != len(least) or any(not a <= b <= c for a, b, c in zip(least, shape, most, strict=True)):
            self._error("IExecutionContext::setInputShape: Error Code 3: API Usage Error (out of the profile's range)")
            return False
        self._shapes[name] = tuple(shape)
        return True

    def get_tensor_shape(self, name: str) -> list[int]:
        if name in self._engine.input_names:
            return list(self._shapes.get(name, self._engine.get_tensor_shape(name)))
        declared = self._engine.tensors[name].shape
        known = {}
        for given, shape in self._shapes.items():
            known.update(zip(self._engine.tensors[given].shape, shape, strict=True))
        return [size if isinstance(size, int) else known.get(size, -1) for size in declared]

    def set_tensor_address(self, name: str, address: int) -> bool:
        if name not in self._engine.tensors or not isinstance(address, int) or address == 0:
            return False
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        engine, device = self._engine, self._engine.module.device
        if "execute" in engine.module.failures:
            self._error("IExecutionContext::enqueueV3: Error Code 1: Cuda Runtime (an illegal memory access)")
            return False
        if not device.stack or stream_handle not in device.streams:
            self._error("IExecutionContext::enqueueV3: Error Code 1: Cuda Runtime (invalid resource handle)")
            return False
        if set(self._addresses) != set(engine.tensors):
            self._error("IExecutionContext::enqueueV3: Error Code 3: API Usage Error (an address is missing)")
            return False
        shapes = {name: tuple(self.get_tensor_shape(name)) for name in engine.tensors}
        if any(-1 in shape for shape in shapes.values()):
            self._error("IExecutionContext::enqueueV3: Error Code 3: API Usage Error (an input shape is missing)")
            return False
        device.streams[stream_handle].put(lambda: self._compute(shapes))
        return True

    def _compute(self, shapes: dict[str, tuple[int, ...]]) -> None:
        engine, device = self._engine, self._engine.module.device
        feeds = {}
        for name in engine.input_names:
            dtype = np.dtype(engine.kinds[name][1])
            size = int(np.prod(shapes[name])) * dtype.itemsize
            feeds[name] = device.bytes_at(self._addresses[name])[:size].view(dtype).reshape(shapes[name])
        outputs = [name for name in engine.tensors if name not in engine.input_names]
        for name, value in zip(outputs, engine.session.run(outputs, feeds), strict=True):
            data = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
            device.bytes_at(self._addresses[name])[: data.size] = data

    def _error(self, text: str) -> None:
        self._engine.logger.log(self._engine.module.ILogger.ERROR, text)
