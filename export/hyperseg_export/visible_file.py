"""An exported file in ONNX Runtime, with the maps between the parts of the network made outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperseg_export.errors import ExportError
from hyperseg_export.reference_session import open_reference
from hyperseg_export.tracing import INPUT_NAME

Outputs: TypeAlias = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Maps:
    """What lies between the parts of a network: features F_1..F_5, signal φ, and the logits of the finest level."""

    image: Tensor
    features: list[Tensor]
    signal: Tensor
    low: Tensor


class VisibleFile:
    """A session of the file.

    Args:
        path: the file.
        outputs: names of its outputs.
        parts: whether it can be taken apart; one in eight bits has other maps.
        progress: told what cannot be run as it is.
    """

    def __init__(self, path: Path, outputs: list[str], parts: bool, progress: Callable[[str], None]) -> None:
        model = onnx.load(path)
        self._borders = _Borders.of(model.graph, parts)
        self._names = list(dict.fromkeys([*outputs, *self._borders.names]))
        _show(model.graph, self._names)
        self._session = open_reference(model, progress)

    def run(self, feed: NDArray[Any]) -> Outputs:
        """All outputs by name."""
        return dict(zip(self._names, self._session.run(self._names, {INPUT_NAME: feed}), strict=True))

    def low(self, outputs: Outputs) -> Tensor:
        """The logits of the finest level, float32."""
        return torch.from_numpy(outputs[self._borders.low].astype(np.float32))

    def maps(self, outputs: Outputs, image: Tensor) -> Maps:
        """The maps between the parts, float32. A level that reads the image gets the file's own."""
        tensors = {name: torch.from_numpy(outputs[name].astype(np.float32)) for name in self._borders.names}
        features = sorted((tensors[name] for name in self._borders.features), key=lambda each: -each.shape[2])
        (signal,) = self._borders.signals
        own = tensors[self._borders.images[0]] if self._borders.images else image
        return Maps(own, features, tensors[signal], tensors[self._borders.low])


@dataclass(frozen=True)
class _Borders:
    """Names of the maps that one part of the network makes and another reads."""

    features: tuple[str, ...]
    signals: tuple[str, ...]
    images: tuple[str, ...]
    low: str

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.features, *self.signals, *self.images, self.low)

    @staticmethod
    def of(graph: onnx.GraphProto, parts: bool) -> _Borders:
        """By the names of the nodes, which begin with the part that they belong to. Raises ExportError."""
        values = (*graph.value_info, *graph.output)
        maps = {value.name for value in values if len(value.type.tensor_type.shape.dim) == 4}
        makers = {name: _part(node) for node in graph.node for name in node.output if name in maps}
        crossing: dict[tuple[str, str], list[str]] = {}
        for node in graph.node:
            for name in node.input:
                if name in makers and name not in crossing.setdefault((makers[name], _part(node)), []):
                    crossing[makers[name], _part(node)].append(name)
        low = crossing.get(("decoder", "deployment"), [])
        low += [value.name for value in graph.output if makers.get(value.name) == "decoder"]
        sources = ("backbone", "context_head", "deployment")
        features, signals, images = (tuple(crossing.get((part, "decoder"), ())) if parts else () for part in sources)
        if not low or (parts and (not features or len(signals) != 1 or len(images) > 1)):
            raise ExportError(
                "the exported graph does not show where its encoder ends and its decoder begins, so it cannot be "
                "compared part by part; --no-verify skips the comparison"
            )
        return _Borders(features, signals, images, low[0])


def _part(node: onnx.NodeProto) -> str:
    """`backbone` of `backbone.blocks.3.project/Conv`."""
    return node.name.partition("/")[0].partition(".")[0]


def _show(graph: onnx.GraphProto, names: list[str]) -> None:
    """Makes values outputs of the graph."""
    shown = {value.name for value in graph.output}
    known = {value.name: value for value in graph.value_info}
    graph.output.extend(known[name] for name in names if name not in shown)
