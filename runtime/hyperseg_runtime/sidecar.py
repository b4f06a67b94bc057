"""The sidecar of an engine: a JSON file with the model's metadata and the facts of the build.

Deserialising a TensorRT plan runs code, and a plan does not record the model that it was built from. So a plan is
loaded only if its hash is the one in its sidecar: `m.engine` goes with `m.engine.json`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.errors import MetadataError, ModelError
from hyperseg_runtime.json_fields import Fields
from hyperseg_runtime.metadata import Metadata

SUFFIX = ".json"
_REBUILD = "build the engine again (hyperseg-build-engine MODEL.onnx)"
_DIGEST = re.compile("[0-9a-f]{64}")
_SEAL = "sidecar_sha256"


@dataclass(frozen=True)
class EngineFacts:
    """The facts of an engine's build."""

    flavour: Flavour
    version: str
    """Of TensorRT, for example 10.14.1.48. Plans are not portable between versions."""
    compute_capabilities: tuple[str, ...]
    """For example ("8.6", "8.9"): the GPUs it was built for."""
    gpu: str | None
    """Name of the GPU it was timed on; None if it was built ahead of time, without one."""
    layers: int
    """Of the built engine, after fusion, that compute on floating-point numbers."""
    half_layers: int
    """Of these, how many compute in half precision."""
    plugin_layers: int
    """Of these, how many are ours: they need libhyperseg_trt.so."""
    plan_sha256: str
    onnx_sha256: str
    executed: bool
    """Whether the engine was run and compared with ONNX Runtime after the build."""
    onnx_name: str | None = None
    """Name of the ONNX file, without its folder; None if the sidecar does not say."""

    @property
    def half_share(self) -> float:
        """Share of half-precision layers, 0 to 1."""
        return self.half_layers / self.layers if self.layers else 0.0

    def to_dict(self) -> dict[str, Any]:
        return {
            "flavour": self.flavour.value,
            "version": self.version,
            "compute_capabilities": list(self.compute_capabilities),
            "gpu": self.gpu,
            "layers": self.layers,
            "half_layers": self.half_layers,
            "half_share": round(self.half_share, 4),
            "plugin_layers": self.plugin_layers,
            "plan_sha256": self.plan_sha256,
            "onnx_sha256": self.onnx_sha256,
            "executed": self.executed,
            "onnx_name": self.onnx_name,
        }

    @staticmethod
    def read(fields: Fields) -> EngineFacts:
        capabilities = fields.texts("compute_capabilities")
        if not capabilities or not all(re.fullmatch(r"\d{1,2}\.\d", item) for item in capabilities):
            raise fields.error("compute_capabilities", "is not a list such as 8.6, 8.9")
        layers = fields.integer("layers", 1, 1 << 24)
        facts = EngineFacts(
            flavour=fields.choice("flavour", Flavour),
            version=fields.text("version"),
            compute_capabilities=capabilities,
            gpu=fields.optional_text("gpu"),
            layers=layers,
            half_layers=fields.integer("half_layers", 0, layers),
            plugin_layers=fields.integer("plugin_layers", 0, layers),
            plan_sha256=fields.text("plan_sha256"),
            onnx_sha256=fields.text("onnx_sha256"),
            executed=fields.flag("executed", False),
            onnx_name=fields.optional_text("onnx_name"),
        )
        if facts.onnx_name is not None and Path(facts.onnx_name).name != facts.onnx_name:
            raise fields.error("onnx_name", "is not the name of a file")
        for key, digest in (("plan_sha256", facts.plan_sha256), ("onnx_sha256", facts.onnx_sha256)):
            if not _DIGEST.fullmatch(digest):
                raise fields.error(key, "is not 64 hexadecimal digits")
        return facts


@dataclass(frozen=True)
class Sidecar:
    """An engine's metadata and facts."""

    metadata: Metadata
    engine: EngineFacts

    def to_json(self) -> str:
        content = {**self.metadata.to_dict(), "engine": self.engine.to_dict()}
        return json.dumps({**content, _SEAL: _seal(content)}, ensure_ascii=False, indent=1) + "\n"


def path_of(engine: Path) -> Path:
    """The path of an engine's sidecar: `m.engine` has `m.engine.json`."""
    return engine.with_name(engine.name + SUFFIX)


def read(engine: Path) -> Sidecar:
    """Reads the sidecar of an engine. Raises ModelError if it is missing, unreadable or was edited."""
    path = path_of(engine)
    if not engine.is_file():
        raise ModelError(f"{engine} does not exist; name an engine that hyperseg-build-engine wrote")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"{engine} has no sidecar {path.name}, so it cannot be verified and was not loaded; "
            f"restore the sidecar, or {_REBUILD}"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{path} cannot be read as JSON ({reason}); {_REBUILD}") from error
    try:
        fields = Fields.of(content, str(path))
        found = Sidecar(Metadata.from_dict(content, str(path)), EngineFacts.read(fields.nested("engine")))
        seal = fields.text(_SEAL)
    except MetadataError as error:
        raise ModelError(f"{str(error).removesuffix('; export the model again')}; {_REBUILD}") from error
    if seal != _seal({key: value for key, value in content.items() if key != _SEAL}):
        raise ModelError(f"{path} was changed after it was written, so it is not valid; {_REBUILD}")
    return found


def read_plan(engine: Path) -> tuple[Sidecar, bytes]:
    """Reads an engine's sidecar and its plan, and checks the plan's hash. Raises ModelError."""
    sidecar = read(engine)
    try:
        plan = engine.read_bytes()
    except OSError as error:
        raise ModelError(f"{engine} cannot be read ({error.strerror or error})") from error
    if hashlib.sha256(plan).hexdigest() != sidecar.engine.plan_sha256:
        raise ModelError(
            f"{engine} is not the plan that its sidecar {path_of(engine).name} describes (its SHA-256 differs), "
            f"so it was not loaded; {_REBUILD}"
        )
    return sidecar, plan


def _seal(content: Mapping[str, Any]) -> str:
    """Hash of everything else in the sidecar, independent of white space and key order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
