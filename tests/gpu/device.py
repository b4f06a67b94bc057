"""Runs a plan once, with inputs and outputs of any names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hyperseg_runtime.backends.cuda import Buffer, PrimaryContext
from hyperseg_runtime.backends.tensorrt_engine import Engine
from hyperseg_runtime.backends.tensorrt_flavour import TensorRT

from .vector_model import Tensors


def run_plan(plan: bytes, inputs: Tensors, *, tensorrt: TensorRT, cuda: Any, plugin_library: Path | None) -> Tensors:
    context = PrimaryContext(cuda, 0)
    try:
        with context.current():
            engine = Engine(Path("vectors.engine"), tensorrt, plan, plugin_library)
            buffers = {tensor.name: Buffer(cuda, tensor.dtype, tensor.shape) for tensor in engine.tensors}
            stream = cuda.Stream()
            for tensor in engine.tensors:
                engine.set_address(tensor.name, buffers[tensor.name].address)
                if tensor.is_input:
                    np.copyto(buffers[tensor.name].host(tensor.shape), inputs[tensor.name])
                    buffers[tensor.name].upload(tensor.shape, stream)
            assert engine.enqueue(stream.handle), engine.failure("TensorRT did not execute it")
            for tensor in engine.outputs:
                buffers[tensor.name].download(tensor.shape, stream)
            stream.synchronize()
            results = {tensor.name: buffers[tensor.name].host(tensor.shape).copy() for tensor in engine.outputs}
            for buffer in buffers.values():
                buffer.free()
            engine.close()
            return results
    finally:
        context.release()
