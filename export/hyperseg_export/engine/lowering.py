"""The graph as TensorRT takes it: what differs between ONNX Runtime and TensorRT is evened out here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperseg_export.operators import DOMAIN

if TYPE_CHECKING:
    from onnx import ModelProto

PLUGINS = ("DPWConv", "DPWInvertedResidual", "UpsampleArgmax")
"""The operators that have a TensorRT plugin. Others of ours exist for the CPU only and are lowered below."""


def lower(model: ModelProto) -> None:
    """Rewrites `model` in place so that TensorRT's parser takes it."""
    _drop_absent_inputs(model)


def _drop_absent_inputs(model: ModelProto) -> None:
    """TensorRT's parser passes an optional input that is left out (an empty name) on as a null tensor and fails. The
    plugins tell their optional inputs apart by rank, so the gaps can be closed."""
    for node in model.graph.node:
        if node.domain == DOMAIN and "" in node.input:
            present = [name for name in node.input if name]
            del node.input[:]
            node.input.extend(present)
