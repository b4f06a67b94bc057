"""Runs a plan once, with inputs and outputs of any names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hyperseg_runtime.backends.cuda import load_driver
from hyperseg_runtime.backends.device_memory import Buffer, DeviceMemory
from hyperseg_runtime.backends.primary_context import ContextScope, PrimaryContext
from hyperseg_runtime.backends.stream import Stream
from hyperseg_runtime.backends.tensorrt_engine import Engine
from hyperseg_runtime.backends.tensorrt_flavour import TensorRT

from .vector_model import Tensors


def run_plan(
    plan: bytes,
    inputs: Tensors,
    *,
    tensorrt: TensorRT,
    cuda: Any,
    plugin_library: Path | None,
    driver: Any = None,
) -> Tensors:
    """`cuda` is pycuda.driver; `driver` replaces libcuda."""
    context = PrimaryContext(cuda, 0, driver or load_driver())
    scope = ContextScope(cuda, context)
    try:
        with context.current():
            engine = Engine(Path("vectors.engine"), tensorrt, plan, plugin_library)
            scope.own(engine.close)
            engine.create_context()
            if engine.memory_bytes > 0:
                memory = DeviceMemory(cuda, engine.memory_bytes)
                scope.own(memory.free)
                engine.set_memory(memory.address, memory.size)
            stream = Stream(cuda)
            scope.own(stream.destroy)
            buffers = {}
            for tensor in engine.tensors:
                buffers[tensor.name] = Buffer(cuda, tensor.dtype, tensor.shape)
                scope.own(buffers[tensor.name].free)
            for tensor in engine.tensors:
                engine.set_address(tensor.name, buffers[tensor.name].address)
                if tensor.is_input:
                    np.copyto(buffers[tensor.name].host(tensor.shape), inputs[tensor.name])
                    buffers[tensor.name].upload(tensor.shape, stream)
            assert engine.enqueue(stream.handle), engine.failure("TensorRT did not execute it")
            for tensor in engine.outputs:
                buffers[tensor.name].download(tensor.shape, stream)
            stream.synchronize()
            return {tensor.name: buffers[tensor.name].host(tensor.shape).copy() for tensor in engine.outputs}
    finally:
        scope.close()
