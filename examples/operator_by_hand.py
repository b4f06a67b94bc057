"""Use an operator of the domain `hyperseg` in a custom ONNX graph, in ONNX Runtime.

python examples/operator_by_hand.py

Every patch of a 2 x 2 grid is multiplied by its own weight. Needs onnx.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from hyperseg_runtime.libraries import Library, require
from onnx import TensorProto, helper


def model() -> onnx.ModelProto:
    node = helper.make_node("DPWConv", ["X", "theta"], ["Y"], domain="hyperseg", kernel_shape=[1, 1])
    graph = helper.make_graph(
        [node],
        "by-hand",
        [
            helper.make_tensor_value_info("X", TensorProto.FLOAT, [1, 1, 4, 4]),
            helper.make_tensor_value_info("theta", TensorProto.FLOAT, [1, 1, 2, 2, 1]),  # [N, T, N_h, N_w, P/T]
        ],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [1, 1, 4, 4])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("hyperseg", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def main() -> None:
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(str(require(Library.ONNXRUNTIME)))
    session = onnxruntime.InferenceSession(model().SerializeToString(), options, providers=["CPUExecutionProvider"])

    x = np.ones((1, 1, 4, 4), np.float32)
    theta = np.array([1, 2, 3, 4], np.float32).reshape(1, 1, 2, 2, 1)
    (y,) = session.run(None, {"X": x, "theta": theta})
    print(y[0, 0])
    assert np.array_equal(y[0, 0], np.kron([[1, 2], [3, 4]], np.ones((2, 2))))


if __name__ == "__main__":
    main()
