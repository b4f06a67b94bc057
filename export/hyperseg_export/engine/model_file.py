"""The ONNX file that an engine is built from: read once, checked, and held in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import onnx
from hyperseg_runtime.backends.protocol import Signature, check_signature
from hyperseg_runtime.errors import MetadataError, ModelError
from hyperseg_runtime.metadata import InputType, Metadata
from hyperseg_runtime.model_kinds import remedy
from hyperseg_runtime.regular_files import open_regular

from hyperseg_export.engine.graph_tensors import GraphTensor, inputs, outputs

_MAKE = "make one with hyperseg-export --onnx"
_ONNX_TYPES = {"UINT8": "uint8", "FLOAT": "float"}
"""The names in ONNX Runtime of the types that our files' inputs and outputs have."""


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
        with open_regular(path) as file:
            content = file.read()
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist; make it with hyperseg-export --onnx") from None
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror or error}; name an ONNX file (--model FILE)"
        ) from error
    if not content:
        raise ModelError(f"{path} is empty; export the model again (hyperseg-export --onnx)")
    try:
        proto = onnx.load_model_from_string(content)
        nodes = len(proto.graph.node)
    except Exception as error:
        # What protobuf raises differs between its implementations.
        raise ModelError(remedy(path) or f"{path} is not an ONNX file; {_MAKE}") from error
    if nodes == 0:
        raise ModelError(remedy(path) or f"{path} is not an ONNX file, or has an empty graph; {_MAKE}")
    properties = {entry.key: entry.value for entry in proto.metadata_props}
    metadata = Metadata.from_properties(properties, str(path))
    others = {entry.value for t in proto.graph.initializer for entry in t.external_data if entry.key == "location"}
    if others:
        named = ", ".join(sorted(others))
        raise ModelError(
            f"{path} keeps its weights in {named}; build the engine from that model, or export one again "
            "(hyperseg-export --onnx)"
        )
    _check_claims(path, proto, metadata)
    return ModelFile(path, proto, metadata, hashlib.sha256(content).hexdigest())


def _check_claims(path: Path, proto: onnx.ModelProto, metadata: Metadata) -> None:
    """Raises MetadataError where the metadata are not of this graph: no session would open its engine."""
    given = _signature(inputs(proto))
    check_signature(metadata, given, _signature(outputs(proto)), str(path))
    shape, spec = given["image"][1], metadata.input
    size = shape[1:3] if spec.dtype is InputType.UINT8 else shape[2:4]
    for what, claimed, found in (
        ("batch", spec.dynamic_batch, shape[0] is None),
        ("size", spec.dynamic_size, None in size),
    ):
        if claimed != found:
            says, has = ("dynamic", "fixed") if claimed else ("fixed", "dynamic")
            raise MetadataError(
                f"{path}: its metadata declare a {says} {what}, its input has a {has} one; export it again"
            )


def _signature(tensors: tuple[GraphTensor, ...]) -> Signature:
    return {
        tensor.name: (
            f"tensor({_ONNX_TYPES.get(tensor.element, 'other')})",
            list(tensor.shape),
        )
        for tensor in tensors
    }
