"""The sidecar of an engine: a signed JSON file with the model's metadata and the facts of the build.

Deserialising a TensorRT plan runs code, and a plan does not record the model that it was built from. So a plan is
loaded only if its hash is the one in its sidecar (`m.engine` goes with `m.engine.json`), and the sidecar only if it is
signed by this machine's key or a trusted one. NVIDIA asks for that: "Serialized TensorRT engines are executable
artifacts", IRuntime::getEngineValidity "is not a tamper-detection mechanism" (TensorRT 11.4.0, Security
Considerations).

Threat model: an attacker can write every file that this user loads engines from (a download, a shared folder, a
mounted volume), at any time, but neither this user's configuration (`trusted_keys`) nor the installed packages, whose
code runs anyway. Not one byte of the attacker's may reach TensorRT. Hence
- the whole sidecar is signed, with the hashes of the plan and of the plugin library in it;
- sidecar and plan are read once each, and the bytes that were checked are the bytes that are used;
- nothing is parsed beyond JSON, and no plan is read, before the signature is verified.
A signature says who built an engine, not what it does, nor that it is the one that was meant: the attacker can put
another or an older engine of this machine in its place. Beside its ONNX file that is noticed (`provenance`).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperseg_runtime import signing
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.errors import BadSignatureError, MetadataError, ModelError, UnknownKeyError
from hyperseg_runtime.json_fields import Fields
from hyperseg_runtime.metadata import Metadata
from hyperseg_runtime.regular_files import open_regular, read_regular
from hyperseg_runtime.signing import Purpose, Signature

SUFFIX = ".json"
_REBUILD = "build the engine again (hyperseg-build-engine MODEL.onnx)"
_DIGEST = re.compile("[0-9a-f]{64}")
_SIGNATURE = "signature"
_LIMIT = 4 << 20
"""Bytes of a sidecar; one of 150 classes has about 10,000."""
_LARGEST_PLAN = 1 << 40


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
    plan_bytes: int
    onnx_sha256: str
    executed: bool
    """Whether the engine was run and compared with ONNX Runtime after the build."""
    plugin_sha256: str | None
    """Of the plugin library that it was built with; None for engines without our layers."""
    onnx_name: str | None = None
    """Name of the ONNX file, without its folder; None if the sidecar does not say."""
    low_logits: bool = False
    """Whether the engine has the output LOW_LOGITS (`graph_end`), which earlier versions did not build."""

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
            "plan_bytes": self.plan_bytes,
            "onnx_sha256": self.onnx_sha256,
            "executed": self.executed,
            "plugin_sha256": self.plugin_sha256,
            "onnx_name": self.onnx_name,
            "low_logits": self.low_logits,
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
            plan_bytes=fields.integer("plan_bytes", 0, _LARGEST_PLAN),
            onnx_sha256=fields.text("onnx_sha256"),
            executed=fields.flag("executed", False),
            plugin_sha256=fields.optional_text("plugin_sha256"),
            onnx_name=fields.optional_text("onnx_name"),
            low_logits=fields.flag("low_logits", False),
        )
        if facts.onnx_name is not None and Path(facts.onnx_name).name != facts.onnx_name:
            raise fields.error("onnx_name", "is not the name of a file")
        digests = {"plan_sha256": facts.plan_sha256, "onnx_sha256": facts.onnx_sha256}
        if facts.plugin_layers or facts.plugin_sha256 is not None:
            digests["plugin_sha256"] = fields.text("plugin_sha256")
        for key, digest in digests.items():
            if not _DIGEST.fullmatch(digest):
                raise fields.error(key, "is not 64 hexadecimal digits")
        return facts


@dataclass(frozen=True)
class Sidecar:
    """An engine's metadata and facts."""

    metadata: Metadata
    engine: EngineFacts

    def to_signed_json(self) -> str:
        """The file's text, signed with this machine's key. Raises KeyFileError, LibraryMissingError."""
        # As it will be read: keys are texts by then, and tuples lists.
        content = json.loads(json.dumps({**self.metadata.to_dict(), "engine": self.engine.to_dict()}))
        signature = signing.sign(signing.statement(Purpose.ENGINE, content))
        return json.dumps({**content, _SIGNATURE: signature.to_dict()}, ensure_ascii=False, indent=1) + "\n"


def path_of(engine: Path) -> Path:
    """The path of an engine's sidecar: `m.engine` has `m.engine.json`."""
    return engine.with_name(engine.name + SUFFIX)


def read(engine: Path) -> Sidecar:
    """Reads the sidecar of an engine and verifies its signature.

    Raises ModelError if it is missing, unreadable, not signed, or signed by a key that is not trusted; see
    `signing.verify`.
    """
    path = path_of(engine)
    try:
        with open_regular(engine):
            pass
    except (OSError, ValueError) as error:
        raise _unreadable_engine(engine, error) from error
    content = _load(engine, path)
    try:
        _verify(content, path)
        fields = Fields.of(content, str(path))
        return Sidecar(Metadata.from_dict(content, str(path)), EngineFacts.read(fields.nested("engine")))
    except MetadataError as error:
        raise ModelError(f"{str(error).removesuffix('; export the model again')}; {_REBUILD}") from error


def read_plan(engine: Path) -> tuple[Sidecar, bytes]:
    """Reads an engine's sidecar as `read`, and its plan, whose hash is checked. Raises ModelError."""
    sidecar = read(engine)
    facts = sidecar.engine
    try:
        with open_regular(engine) as file:
            plan = file.read(facts.plan_bytes + 1)  # one more, so that a longer file differs
    except OSError as error:
        raise _unreadable_engine(engine, error) from error
    if hashlib.sha256(plan).hexdigest() != facts.plan_sha256:
        raise ModelError(
            f"{engine} is not the plan that its sidecar {path_of(engine).name} describes (its SHA-256 differs), "
            f"so it was not loaded; {_REBUILD}"
        )
    return sidecar, plan


def _unreadable_engine(engine: Path, error: OSError | ValueError) -> ModelError:
    if isinstance(error, FileNotFoundError):
        return ModelError(f"{engine} does not exist; name an engine that hyperseg-build-engine wrote")
    reason = getattr(error, "strerror", None) or error
    return ModelError(f"{engine} cannot be read ({reason}); name an engine that hyperseg-build-engine wrote")


def _load(engine: Path, path: Path) -> dict[str, Any]:
    """The sidecar's JSON object. It is strict: what another parser might read differently is refused."""
    try:
        text = read_regular(path, _LIMIT).decode("utf-8")
        content = json.loads(text, object_pairs_hook=_object, parse_float=_finite, parse_constant=_finite)
    except FileNotFoundError:
        raise ModelError(
            f"{engine} has no sidecar {path.name}, so it cannot be verified and was not loaded; "
            f"restore the sidecar, or {_REBUILD}"
        ) from None
    except (OSError, ValueError, RecursionError) as error:  # of ValueErrors, UnicodeDecodeError too
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise ModelError(f"{path} cannot be read as JSON ({reason:.200}); {_REBUILD}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is not a JSON object; {_REBUILD}")
    return content


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _finite(text: str) -> float:
    """Of a number with a fraction or an exponent, and of the words NaN and Infinity, which JSON does not have."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text:.20} is no finite number")
    return value


def _verify(content: Mapping[str, Any], path: Path) -> None:
    """Raises ModelError, MetadataError or LibraryMissingError unless the sidecar is signed by a key of trust."""
    fields = Fields.of(content, str(path))
    if fields.absent(_SIGNATURE):
        raise ModelError(
            f"{path} has no signature, as engines of earlier versions, so the engine was not loaded; {_REBUILD}, here "
            "or on a machine whose key this one trusts (hyperseg-build-engine --trust KEY)"
        )
    signature = Signature.read(fields.nested(_SIGNATURE))
    signed = {key: value for key, value in content.items() if key != _SIGNATURE}
    try:
        signing.verify(signing.statement(Purpose.ENGINE, signed), signature)
    except RecursionError as error:
        raise ModelError(f"{path} is nested too deeply; {_REBUILD}") from error
    except UnknownKeyError as error:
        raise UnknownKeyError(f"{path}: {error}, or {_REBUILD}") from error
    except BadSignatureError as error:
        raise BadSignatureError(
            f"{path}: {error}, so it was changed and the engine was not loaded; {_REBUILD}"
        ) from error
