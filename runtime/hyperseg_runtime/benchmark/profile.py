"""Profile of a network by operator and by part, from ONNX Runtime's own profiler."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from hyperseg_runtime.backends.onnxruntime import open_session
from hyperseg_runtime.backends.protocol import BackendName, Images, SessionOptions
from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.model_kinds import is_engine
from hyperseg_runtime.onnx_file import read_node_names
from hyperseg_runtime.preprocess import Size, prepare
from hyperseg_runtime.resolution import network_size

_KERNEL = "_kernel_time"


@dataclass(frozen=True)
class Share:
    """One operator's or one part's time in one run."""

    name: str
    ms: float
    calls: float


@dataclass(frozen=True)
class Profile:
    """Mean times of one run, longest first."""

    model: str
    runs: int
    operators: tuple[Share, ...]
    parts: tuple[Share, ...]
    size: Size = (0, 0)
    """The network's resolution."""
    batch: int = 1
    backend: str = ""

    @property
    def total_ms(self) -> float:
        return sum(share.ms for share in self.operators)

    def to_dict(self) -> dict[str, object]:
        def rows(shares: Iterable[Share]) -> list[dict[str, object]]:
            return [{"name": one.name, "ms": one.ms, "calls": one.calls} for one in shares]

        return {
            "model": self.model,
            "runs": self.runs,
            "resolution": "{}x{}".format(*self.size),
            "batch": self.batch,
            "backend": self.backend,
            "total_ms": self.total_ms,
            "operators": rows(self.operators),
            "parts": rows(self.parts),
        }


def profile_model(
    model: Path,
    name: str | None = None,
    *,
    threads: int | None = None,
    resolution: Size | None = None,
    repetitions: int = 20,
    warm_up: int = 3,
) -> Profile:
    """Runs an ONNX file on the CPU under ONNX Runtime's profiler. The profiler itself costs a few percent.

    name: of the model in the result; None: its path. Raises HyperSegError.
    """
    if is_engine(model):
        raise ModelError(f"{model} is an engine; --profile reads ONNX Runtime's profile, give the ONNX file")
    with tempfile.TemporaryDirectory(prefix="hyperseg-") as folder:
        options = SessionOptions(threads=threads, profile=Path(folder) / "profile")
        session = open_session(model, BackendName.ONNXRUNTIME, options)
        try:
            size = network_size(session.metadata, resolution)
            frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
            batch = session.batch_range[0]
            images = cast(Images, np.repeat(prepare(frame, session.metadata.input, size), batch, axis=0))
            for _ in range(warm_up + repetitions):
                session.run(images)
            events = json.loads(session.end_profile().read_text(encoding="utf-8"))
            backend = session.description
        finally:
            session.close()
    found = summarise(name or str(model), runs_of(events)[warm_up:], read_node_names(model))
    return replace(found, size=size, batch=batch, backend=backend)


def runs_of(events: Iterable[Mapping[str, Any]]) -> list[list[NodeRun]]:
    """ONNX Runtime's events ("NODE_kernel_time", microseconds) as runs: each starts with the first node."""
    runs: list[list[NodeRun]] = []
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") != "Node" or not name.endswith(_KERNEL):
            continue
        shapes = [shape for output in event["args"].get("output_type_shape", []) for shape in output.values()]
        height = shapes[0][2] if shapes and len(shapes[0]) == 4 else None
        node = NodeRun(name.removesuffix(_KERNEL), str(event["args"]["op_name"]), float(event["dur"]) / 1e3, height)
        if not runs or node.name == runs[-1][0].name:
            runs.append([])
        runs[-1].append(node)
    return runs


def summarise(model: str, runs: Sequence[Sequence[NodeRun]], names: Mapping[str, str]) -> Profile:
    """Adds up the runs by operator and by part; `names` as parts_of takes them."""
    operators: dict[str, list[float]] = defaultdict(list)
    parts: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        for node, part in zip(run, parts_of(run, names), strict=True):
            operators[node.operator].append(node.ms)
            parts[part].append(node.ms)
    return Profile(model, len(runs), _shares(operators, len(runs)), _shares(parts, len(runs)))


def _shares(times: Mapping[str, list[float]], runs: int) -> tuple[Share, ...]:
    shares = [Share(name, sum(ms) / runs, len(ms) / runs) for name, ms in times.items()]
    return tuple(sorted(shares, key=lambda one: -one.ms))


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

    `names` maps a value to the name of the exported node that computes it: ONNX Runtime names the convolutions that
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
            # In a graph with our operators, the rest of the decoder computes the weights.
            parts.append("weight mappers" if levels else "decoder")
        elif module == OTHER:
            parts.append("upsampling and argmax" if node.operator in _END else "input and output")
        else:
            parts.append(module)
    return parts


def _module(name: str, names: Mapping[str, str]) -> str | None:
    """The part, from the module in the node's name; None for nodes that ONNX Runtime added."""
    original = name if "/" in name else names.get(name.removesuffix("_nchwc"))
    if original is None or "/" not in original:
        return None
    return next((part for prefix, part in _MODULES if original.startswith(prefix)), OTHER)
