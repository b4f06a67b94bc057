"""Errors of the CPU operators: they name the node, the operator and the wrong values."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from native.graphs import one_node_model, run, session

# onnxruntime's exceptions have no common base.
ORT_ERRORS = tuple(
    error
    for error in vars(onnxruntime.capi.onnxruntime_pybind11_state).values()
    if isinstance(error, type) and issubclass(error, Exception)
)


def _zeros(*shape: int, dtype: str = "float32") -> np.ndarray[Any, Any]:
    return np.zeros(shape, dtype)


def _conv(**changed: Any) -> dict[str, Any]:
    return {"X": _zeros(1, 4, 8, 8), "theta": _zeros(1, 1, 4, 4, 16), "bias": _zeros(4), "previous": None, **changed}


def _mapped(**changed: Any) -> dict[str, Any]:
    inputs = {"X": _zeros(1, 4, 8, 8), "signal": _zeros(1, 6, 4, 4), "mapper": _zeros(2, 3, 8)}
    return {**inputs, "bias": _zeros(4), "previous": None, **changed}


def _residual(**changed: Any) -> dict[str, Any]:
    inputs = {"X": _zeros(1, 4, 8, 8), "theta": _zeros(1, 1, 4, 4, 60)}
    return {**inputs, "bias1": _zeros(4), "bias2": _zeros(4), "bias3": _zeros(2), "previous": None, **changed}


def _encoder(**changed: Any) -> dict[str, Any]:
    inputs = {"X": _zeros(1, 4, 8, 8), "expand_weight": _zeros(8, 4, 1, 1), "expand_bias": _zeros(8)}
    inputs |= {"depthwise_weight": _zeros(8, 1, 3, 3), "depthwise_bias": _zeros(8)}
    inputs |= {"reduce_weight": _zeros(2, 8, 1, 1), "reduce_bias": _zeros(2)}
    inputs |= {"gate_weight": _zeros(8, 2, 1, 1), "gate_bias": _zeros(8)}
    return {**inputs, "project_weight": _zeros(6, 8, 1, 1), "project_bias": _zeros(6), **changed}


CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "height": (
        "DPWConv",
        _conv(X=_zeros(1, 4, 6, 8)),
        {},
        "height 6 of X is not a multiple of the patch grid's 4 rows",
    ),
    "width": (
        "DPWConv",
        _conv(X=_zeros(1, 4, 8, 9)),
        {},
        "width 9 of X is not a multiple of the patch grid's 4 columns",
    ),
    "rank": ("DPWConv", _conv(X=_zeros(1, 4, 8)), {}, r"X has shape \[1, 4, 8\]; expected 4 axes"),
    "empty": ("DPWConv", _conv(theta=_zeros(1, 1, 4, 4, 0)), {}, r"theta has shape \[1, 1, 4, 4, 0\]"),
    "batch": ("DPWConv", _conv(theta=_zeros(2, 1, 4, 4, 16)), {}, "theta has batch 2, X has 1"),
    "few-weights": ("DPWConv", _conv(theta=_zeros(1, 3, 4, 4, 5)), {}, r"holds 15 weights a patch \(T=3, L=5\).* 16 "),
    "offset": ("DPWConv", _conv(), {"offset": 1}, "offset 1 and 16 weights"),
    "negative-offset": ("DPWConv", _conv(), {"offset": -1}, "offset is -1"),
    "huge-offset": ("DPWConv", _conv(), {"offset": 2**40}, "offset is 1099511627776"),
    "group": ("DPWConv", _conv(), {"group": 3}, "4 input channels do not divide into 3 groups"),
    "out-group": ("DPWConv", _conv(bias=_zeros(3)), {"group": 2}, "3 output channels do not divide into 2 groups"),
    "activation": ("DPWConv", _conv(), {"activation": "gelu"}, 'activation is "gelu"; use'),
    "attribute-type": ("DPWConv", _conv(), {"activation": 3}, "activation has the wrong type"),
    "even-kernel": ("DPWConv", _conv(), {"kernel_shape": [2, 2]}, r"kernel_shape is \[2, 2\]"),
    "kernel-rank": ("DPWConv", _conv(), {"kernel_shape": [3]}, "kernel_shape has 1 values"),
    "padding": (
        "DPWConv",
        _conv(X=_zeros(1, 4, 1, 8), theta=_zeros(1, 1, 1, 4, 144)),
        {"kernel_shape": [3, 3]},
        "height 1 of X is too small for reflect padding by 1",
    ),
    "previous": (
        "DPWConv",
        _conv(previous=_zeros(1, 2, 8, 4)),
        {},
        r"previous has shape \[1, 2, 8, 4\]; with X \[1, 4, 8, 8\]",
    ),
    "mapped-kernel": (
        "FusedMapperDPWConv",
        _mapped(),
        {"kernel_shape": [3, 3]},
        r"kernel_shape is \[3, 3\] and group 1; only",
    ),
    "mapped-signal": (
        "FusedMapperDPWConv",
        _mapped(signal=_zeros(1, 5, 4, 4)),
        {},
        r"signal has 5 channels; mapper \[2, 3, 8\]",
    ),
    "mapped-weights": (
        "FusedMapperDPWConv",
        _mapped(bias=_zeros(5)),
        {},
        r"theta holds 16 weights a patch \(T=2, L=8\)",
    ),
    "mapped-height": ("FusedMapperDPWConv", _mapped(X=_zeros(1, 4, 6, 8)), {}, "height 6 of X is not a multiple"),
    "hidden": ("DPWInvertedResidual", _residual(bias2=_zeros(5)), {}, "bias2 has 5 values, bias1 has 4"),
    "residual-weights": ("DPWInvertedResidual", _residual(bias3=_zeros(3)), {}, r"64 weights \(4\*4 \+ 9\*4 \+ 3\*4\)"),
    "residual-kernel": ("DPWInvertedResidual", _residual(), {"kernel_shape": [5, 5]}, r"only \[3, 3\] is defined"),
    "encoder-kernel": ("MBConv", _encoder(), {"kernel_shape": [7, 7]}, r"kernel_shape is \[7, 7\]; use"),
    "encoder-strides": ("MBConv", _encoder(), {"strides": [1, 2]}, r"strides are \[1, 2\]"),
    "encoder-pads": ("MBConv", _encoder(), {"pads": [1, 1, 1]}, "pads has 3 values; expected 4"),
    "encoder-weight": (
        "MBConv",
        _encoder(gate_weight=_zeros(8, 3, 1, 1)),
        {},
        r"gate_weight has shape \[8, 3, 1, 1\]; expected \[8, 2, 1, 1\]",
    ),
    "encoder-hidden": (
        "MBConv",
        _encoder(expand_weight=None, expand_bias=None),
        {},
        "without expand_weight the 4 channels of X must be the hidden ones, not 8",
    ),
    "encoder-residual": ("MBConv", _encoder(), {"residual": 1}, "residual needs an output of X's shape"),
    "scale": ("UpsampleArgmax", {"X": _zeros(1, 4, 8, 8)}, {"scale": 0}, "scale is 0; it must be at least 1"),
}


@pytest.mark.parametrize("name", CASES)
def test_names_operator_node_and_values(name: str, library: Path) -> None:
    operator, inputs, attributes, message = CASES[name]
    output = onnx.TensorProto.INT32 if operator == "UpsampleArgmax" else onnx.TensorProto.FLOAT
    model = one_node_model(operator, inputs, attributes, output, name="blocks.3/conv")
    with pytest.raises(ORT_ERRORS, match=message) as caught:
        run(session(model, library), inputs)
    assert f"node 'blocks.3/conv': {operator}: " in str(caught.value)


@pytest.mark.parametrize("changed", ["X", "theta", "bias"])
def test_mixed_types_are_refused_or_cast(changed: str, library: Path) -> None:
    """onnxruntime 1.17 casts other types, newer ones refuse the graph; none reads past a buffer's end."""
    inputs: dict[str, Any] = {key: None if value is None else value + 1 for key, value in _conv().items()}
    inputs[changed] = inputs[changed].astype("float16")
    model = one_node_model("DPWConv", inputs, {}, onnx.TensorProto.FLOAT)
    try:
        outputs = run(session(model, library), inputs)
    except ORT_ERRORS as error:
        assert "the_node" in str(error)
    else:
        np.testing.assert_array_equal(outputs[0], 5.0)


def test_a_session_survives_an_error(library: Path) -> None:
    inputs = _conv()
    loaded = session(one_node_model("DPWConv", inputs, {}), library)
    with pytest.raises(ORT_ERRORS, match="theta has batch 2"):
        run(loaded, {**inputs, "theta": _zeros(2, 1, 4, 4, 16)})
    assert run(loaded, inputs)[0].shape == (1, 4, 8, 8)
