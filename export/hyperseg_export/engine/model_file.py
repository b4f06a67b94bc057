"""The ONNX file that an engine is built from, and its graph prepared for TensorRT's parser."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import onnx_ir as ir
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.metadata import KEY, Metadata, Precision

from hyperseg_export.engine.options import EngineOptions
from hyperseg_export.errors import EngineError
from hyperseg_export.passes.float16 import Conversion, to_float16
from hyperseg_export.passes.surgery import to_graphsurgeon, to_onnx
from hyperseg_export.passes.targets import engine_target, run_passes


@dataclass(frozen=True)
class ModelFile:
    """An ONNX file of ours, in memory."""

    path: Path
    proto: onnx.ModelProto
    metadata: Metadata
    sha256: str


def read_model(path: Path) -> ModelFile:
    """Reads and checks the file. Raises ModelError (missing, not ONNX) or MetadataError (not ours)."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist; make it with hyperseg-export --onnx") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error})") from error
    if not content:
        raise ModelError(f"{path} is empty; export the model again (hyperseg-export --onnx)")
    try:
        proto = onnx.load_model_from_string(content)
        nodes = len(proto.graph.node)
    except Exception as error:
        # What protobuf raises differs between its implementations.
        raise ModelError(f"{path} is not an ONNX file; make one with hyperseg-export --onnx") from error
    if nodes == 0:
        raise ModelError(f"{path} is not an ONNX file, or has an empty graph; make one with hyperseg-export --onnx")
    properties = {entry.key: entry.value for entry in proto.metadata_props}
    metadata = Metadata.from_properties(properties, str(path))
    others = {entry.value for t in proto.graph.initializer for entry in t.external_data if entry.key == "location"}
    if others:
        named = ", ".join(sorted(others))
        raise ModelError(
            f"{path} keeps its weights in {named}; build the engine from that model, or export one again "
            "(hyperseg-export --onnx)"
        )
    return ModelFile(path, proto, metadata, hashlib.sha256(content).hexdigest())


@dataclass(frozen=True)
class PreparedModel:
    """The graph that TensorRT parses; the file's own graph is not changed."""

    proto: onnx.ModelProto
    conversion: Conversion | None
    """The outcome of --fp16; None without it."""


def prepare(
    source: ModelFile, options: EngineOptions, flavour: Flavour = Flavour.TENSORRT, turing: bool = False
) -> PreparedModel:
    """Runs the passes and the surgery of the target (`passes.targets`) on the file's graph. Raises EngineError.

    Args:
        source: not changed.
        options: of these `half` and `keep_float32` say how the graph is edited.
        flavour: the TensorRT that parses the graph.
        turing: whether the engine is for GPUs of the Turing generation too.
    """
    half = options.half or source.metadata.precision is Precision.FLOAT16
    target = engine_target(flavour, half, turing)
    if options.has_profile and not (source.metadata.input.dynamic_batch or source.metadata.input.dynamic_size):
        raise EngineError(
            f"{source.path} is fixed to {source.metadata.input.height}x{source.metadata.input.width}, so it has no "
            "profile; leave --min, --opt, --max and --batch out, or export it with --dynamic"
        )
    if options.half and source.metadata.precision is Precision.FLOAT16:
        raise EngineError(f"{source.path} computes in float16 already; build it without --fp16")
    model = ir.from_proto(source.proto)
    try:
        run_passes(model, target.passes)
    except ValueError as error:
        raise EngineError(f"{error}; update hyperseg, or export the model again") from error
    graph = to_graphsurgeon(model)
    for edit in target.surgery:
        edit(graph)
    conversion = to_float16(graph, options.keep_float32) if options.half else None
    for edit in target.layout:
        edit(graph)
    properties = {entry.key: entry.value for entry in source.proto.metadata_props}
    if options.half:
        metadata: Metadata = replace(source.metadata, precision=Precision.FLOAT16)
        properties[KEY] = metadata.to_json()
    return PreparedModel(to_onnx(graph, source.proto.ir_version, properties), conversion)
