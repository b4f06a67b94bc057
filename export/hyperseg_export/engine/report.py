"""Report on a built engine: layers, element types, copies around the plugins, and the verification.

On a GPU the layers come from the engine inspector, as JSON. If the engine cannot be deserialised, they come from the
builder, which prints the same list as text after the build.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperseg_runtime.sidecar import EngineFacts
from hyperseg_runtime.signing import MachineKey

from hyperseg_export.errors import EngineError
from hyperseg_export.passes.float16 import Conversion

_FLOATS = frozenset(("Float", "Half", "BFloat16", "FP8", "FP32", "FP16", "BF16"))
_HALVES = frozenset(("Half", "FP16"))
_PLUGIN_TYPES = frozenset(("custom_layer", "PluginV3", "Plugin"))
_LINE = re.compile(
    r"Name: (?P<name>.*?), LayerType: (?P<kind>[^,]*), Inputs: \[(?P<inputs>.*?)\](?:, Constants: \[.*?\])?"
    r", Outputs: \[(?P<outputs>.*?)\], TacticName:"
)
_TENSOR = re.compile(r"\{ Name: (?P<name>.*?), Dimensions: \[(?P<shape>.*?)\].*?, Datatype: (?P<type>\w+)")
# TensorRT for RTX names a layer by its operations; these are transposes, reshapes, slices, copies, concatenations.
_MOVES = re.compile(r"__myl_(?:Tran|Resh|Slic|Move|Conc)+_myl")


@dataclass(frozen=True)
class Tensor:
    """A layer's input or output."""

    name: str
    datatype: str
    shape: tuple[int, ...] = ()
    """Empty where the list does not say, -1 for extents that are open."""


@dataclass(frozen=True)
class Layer:
    """A layer of the built engine."""

    name: str
    kind: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    moves: bool
    """Whether it only moves values: TensorRT's own reformats, and slices, transposes and similar operations."""

    @property
    def plugin(self) -> bool:
        return self.kind in _PLUGIN_TYPES

    @property
    def floating(self) -> bool:
        return any(tensor.datatype in _FLOATS for tensor in (*self.inputs, *self.outputs))

    @property
    def half(self) -> bool:
        """Whether its floating-point results, or if it has none its inputs, are in half precision."""
        results = [tensor for tensor in self.outputs if tensor.datatype in _FLOATS]
        considered = results or [tensor for tensor in self.inputs if tensor.datatype in _FLOATS]
        return bool(considered) and all(tensor.datatype in _HALVES for tensor in considered)


@dataclass(frozen=True)
class Audit:
    """Statistics of a built engine."""

    layers: int
    """That compute on floating-point numbers."""
    half_layers: int
    plugin_layers: int
    reformats: int
    """Layers that only move values."""
    at_plugins: tuple[Layer, ...]
    """Of these, those that feed a plugin or read one's result."""

    @property
    def plugin_reformats(self) -> int:
        return len(self.at_plugins)

    @property
    def half_share(self) -> float:
        return self.half_layers / self.layers if self.layers else 0.0


def audit(layers: Iterable[Layer]) -> Audit:
    """Computes the statistics. Raises EngineError for an empty list."""
    found = list(layers)
    floating = [layer for layer in found if layer.floating]
    if not floating:
        raise EngineError("the built engine lists no layers, so it could not be audited; see --verbose")
    plugins = [layer for layer in found if layer.plugin]
    around = {tensor.name for layer in plugins for tensor in (*layer.inputs, *layer.outputs)}
    # Signals and waits between streams are listed as layers too; they have no tensors.
    reformats = [layer for layer in found if layer.moves and layer.inputs and layer.outputs]
    beside = [layer for layer in reformats if around & {tensor.name for tensor in (*layer.inputs, *layer.outputs)}]
    return Audit(
        layers=len(floating),
        half_layers=sum(layer.half for layer in floating),
        plugin_layers=len(plugins),
        reformats=len(reformats),
        at_plugins=tuple(beside),
    )


def layers_from_builder(text: str) -> list[Layer]:
    """Layers from the message of TensorRT for RTX after a build (severity VERBOSE, profiling verbosity DETAILED)."""
    return [
        Layer(
            name=match["name"],
            kind=match["kind"],
            inputs=_tensors(match["inputs"]),
            outputs=_tensors(match["outputs"]),
            moves="[ONNX Layer: " not in line or _MOVES.match(match["name"]) is not None,
        )
        for line in text.splitlines()
        if (match := _LINE.match(line)) is not None
    ]


def _tensors(text: str) -> tuple[Tensor, ...]:
    return tuple(Tensor(match["name"], match["type"], _shape(match["shape"])) for match in _TENSOR.finditer(text))


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(extent) for extent in text.split(",") if extent.strip().lstrip("-").isdigit())


def layers_from_inspector(text: str) -> list[Layer]:
    """Layers from `EngineInspector.get_engine_information(LayerInformationFormat.JSON)`."""
    try:
        entries = list(json.loads(text)["Layers"])
    except (ValueError, KeyError, TypeError) as error:
        raise EngineError("the engine inspector's output cannot be parsed; see --verbose") from error
    return [_from_json(entry) for entry in entries if isinstance(entry, dict)]


def _from_json(entry: dict[str, Any]) -> Layer:
    kind = str(entry.get("LayerType", ""))
    return Layer(
        name=str(entry.get("Name", "")),
        kind=kind,
        inputs=_json_tensors(entry.get("Inputs", ())),
        outputs=_json_tensors(entry.get("Outputs", ())),
        moves=kind in ("Reformat", "NoOp") or "Reformatting CopyNode" in str(entry.get("Name", "")),
    )


def _json_tensors(entries: Iterable[dict[str, Any]]) -> tuple[Tensor, ...]:
    result = []
    for entry in entries:
        # TensorRT 10 names the type in words within the format: "Row major linear FP16 format".
        words = str(
            entry.get("Datatype") or entry.get("DataType") or entry.get("Format/Datatype") or entry.get("Format") or ""
        ).split()
        kind = next((word for word in words if word in _FLOATS), words[-1] if words else "")
        result.append(Tensor(str(entry.get("Name", "")), kind))
    return tuple(result)


@dataclass(frozen=True)
class Execution:
    """Result of the engine's comparison with ONNX Runtime, on this machine's GPU."""

    inputs: int
    label_agreement: float
    """Share of pixels with equal labels, 0 to 1."""
    turned_by_rounding: float
    """Share of ONNX Runtime's own labels that an error of the size of rounding's turns."""


@dataclass(frozen=True)
class EngineReport:
    """An engine, its sidecar, its audit and its verification."""

    engine: Path
    sidecar: Path
    facts: EngineFacts
    audit: Audit
    audited_by: str
    """The source of the list of layers: the engine inspector, or the builder."""
    seconds: float
    bytes: int
    conversion: Conversion | None
    """The outcome of --fp16; None without it."""
    execution: Execution | None
    """None where nothing was executed."""
    not_executed: str | None
    """Why nothing was executed."""
    key: MachineKey
    """What the sidecar is signed with."""

    def to_dict(self) -> dict[str, Any]:
        kept = () if self.conversion is None else self.conversion.kept
        return {
            "engine": str(self.engine),
            "sidecar": str(self.sidecar),
            "seconds": round(self.seconds, 3),
            "bytes": self.bytes,
            **self.facts.to_dict(),
            "audited_by": self.audited_by,
            "reformats": self.audit.reformats,
            "plugin_reformats": self.audit.plugin_reformats,
            "kept_float32": [
                {"node": node.name, "operator": node.operator, "reason": node.reason.value} for node in kept
            ],
            "label_agreement": None if self.execution is None else self.execution.label_agreement,
            "not_executed": self.not_executed,
            "signing_key": self.key.public.fingerprint,
        }
