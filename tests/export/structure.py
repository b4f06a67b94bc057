"""A graph without its names, for comparisons."""

from __future__ import annotations

import hashlib
from typing import Any

import onnx_ir as ir

_DEFAULTS = {"group": 1, "auto_pad": "NOTSET", "keepdims": 1, "noop_with_empty_axes": 0, "allowzero": 0}
_ONES = ("dilations", "strides")


def structure(model: ir.Model) -> list[bytes]:
    """For each output, a hash of its whole computation: operators, attributes and constants, without names."""
    known: dict[int, bytes] = {id(value): str(value.name).encode() for value in model.graph.inputs}

    def of(value: ir.Value | None) -> bytes:
        if value is None:
            return b"-"
        if id(value) not in known:
            constant = value.const_value
            assert constant is not None
            array = constant.numpy()
            known[id(value)] = _hash(array.dtype.name, array.shape, hashlib.sha256(array.tobytes()).digest())
        return known[id(value)]

    for node in model.graph:
        inputs = [of(value) for value in node.inputs]
        if node.op_type == "ReduceMean" and len(inputs) == 2:  # [-1, -2] of a map are [2, 3]
            axes = node.inputs[1].const_value  # type: ignore[union-attr]
            assert axes is not None
            inputs[1] = _hash(sorted(axis % 4 for axis in axes.numpy().tolist()))
        while inputs and inputs[-1] == b"-":
            inputs.pop()
        attributes = {name: _value(attribute) for name, attribute in node.attributes.items()}
        given = sorted((name, value) for name, value in attributes.items() if not _is_default(name, value))
        for index, output in enumerate(node.outputs):
            known[id(output)] = _hash(node.domain, node.op_type, given, inputs, index)
    return [of(value) for value in model.graph.outputs]


def _value(attribute: ir.Attr) -> Any:
    return list(attribute.value) if isinstance(attribute.value, (tuple, list)) else attribute.value


def _is_default(name: str, value: Any) -> bool:
    return _DEFAULTS.get(name) == value or (name in _ONES and set(value) == {1}) or (name == "pads" and not any(value))


def _hash(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()
