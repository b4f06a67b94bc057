"""Reading the ONNX file that an engine is built from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.metadata import Metadata

from hyperseg_export.engine.errors import EngineError

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True)
class ModelFile:
    """An ONNX file of ours, in memory."""

    path: Path
    proto: ModelProto
    metadata: Metadata
    sha256: str


def read(path: Path) -> ModelFile:
    """Reads and checks the file. Raises ModelError (missing, not ONNX) or MetadataError (not ours)."""
    try:
        import onnx
    except ImportError as error:
        raise EngineError('building engines needs the package onnx; pip install "hyperseg[tensorrt]"') from error
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
    if any(tensor.external_data for tensor in proto.graph.initializer):
        raise ModelError(f"{path} keeps weights in other files; export the model again (hyperseg-export --onnx)")
    return ModelFile(path, proto, metadata, hashlib.sha256(content).hexdigest())
