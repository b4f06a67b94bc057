"""The parts of a HyperSeg network, told from where a node came from and what it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

OTHER = "other"
_DYNAMIC = ("DPWConv", "FusedMapperDPWConv", "MappedDPWConv", "DPWInvertedResidual", "DPWMetaBlock")
_MODULES = (
    ("backbone", "backbone"),
    ("context_head", "context head"),
    ("weight_mapper", "weight mappers"),
    ("decoder", "decoder"),
)
_END = ("UpsampleArgmax", "Resize", "ArgMax")


@dataclass(frozen=True)
class NodeRun:
    """One execution of one node."""

    name: str
    operator: str
    ms: float
    height: int | None
    """Of its first output, where that is [N, C, H, W]."""


def parts_of(run: Sequence[NodeRun], names: Mapping[str, str]) -> list[str]:
    """The part of each node of one run, in the order of execution.

    `names` leads from a value to the name of the exported node that makes it: ONNX Runtime names the convolutions that
    it rewrites after their output. Nodes that it adds (layout reorders) count for the node before them.
    """
    levels = sorted({node.height for node in run if node.operator in _DYNAMIC and node.height is not None})
    parts: list[str] = []
    for node in run:
        module = _module(node.name, names)
        if module is None:
            parts.append(parts[-1] if parts else OTHER)
        elif node.operator in _DYNAMIC and node.height is not None:
            parts.append(f"decoder level {levels.index(node.height)}")
        elif module == "decoder" and node.operator != "UpsampleArgmax":
            # What is left of the decoder in a graph with our operators makes the weights.
            parts.append("weight mappers" if levels else "decoder")
        elif module == OTHER:
            parts.append("upsampling and argmax" if node.operator in _END else "input and output")
        else:
            parts.append(module)
    return parts


def _module(name: str, names: Mapping[str, str]) -> str | None:
    """The part by the module in the node's name; None where ONNX Runtime made the node."""
    original = name if "/" in name else names.get(name.removesuffix("_nchwc"))
    if original is None or "/" not in original:
        return None
    return next((part for prefix, part in _MODULES if original.startswith(prefix)), OTHER)
