"""Metadata of a model file: the JSON under the key `hyperseg` in an ONNX file, and in an engine's sidecar.

Written by the exporter, read by every session. Reading validates every field, since the file may come from anywhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from hyperseg_runtime.errors import MetadataError
from hyperseg_runtime.json_fields import Fields

KEY = "hyperseg"
FORMAT_VERSION = 1
MAX_CLASSES = 256


class InputType(str, Enum):
    """UINT8: [N, H, W, 3], normalised inside the graph. FLOAT: normalised float32 [N, 3, H, W]."""

    UINT8 = "uint8"
    FLOAT = "float32"


class OutputKind(str, Enum):
    """LABELS: uint8 [N, H, W]. LOGITS: float32 [N, C, H, W]. BOTH: labels, then logits."""

    LABELS = "labels"
    LOGITS = "logits"
    BOTH = "both"


class Precision(str, Enum):
    """The type that the network computes in; inputs and outputs keep their types."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"


class Target(str, Enum):
    """What a file's graph was made for.

    CPU: ONNX Runtime on the CPU, with fused operators that only our CPU library has. CUDA: ONNX Runtime's CUDA
    provider. TENSORRT: TensorRT's parser with our plugins. PORTABLE: any runtime, in standard operators.
    """

    CPU = "cpu"
    CUDA = "cuda"
    TENSORRT = "tensorrt"
    PORTABLE = "portable"


@dataclass(frozen=True)
class InputSpec:
    """The network's input. Mean and standard deviation are of RGB in [0, 1]."""

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    dtype: InputType = InputType.UINT8
    colour_order: str = "RGB"
    dynamic_batch: bool = False
    dynamic_size: bool = False
    multiple: int = 1
    """Height and width must be multiples of this, which matters where `dynamic_size` is true."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "height": self.height,
            "width": self.width,
            "colour_order": self.colour_order,
            "dtype": self.dtype.value,
            "mean": list(self.mean),
            "std": list(self.std),
            "dynamic_batch": self.dynamic_batch,
            "dynamic_size": self.dynamic_size,
            "multiple": self.multiple,
        }

    @staticmethod
    def read(fields: Fields) -> InputSpec:
        if fields.text("colour_order") != "RGB":
            raise fields.error("colour_order", 'must be "RGB"')
        spec = InputSpec(
            height=fields.integer("height", 1, 1 << 16),
            width=fields.integer("width", 1, 1 << 16),
            mean=fields.three_floats("mean"),
            std=fields.three_floats("std"),
            dtype=fields.choice("dtype", InputType),
            dynamic_batch=fields.flag("dynamic_batch", False),
            dynamic_size=fields.flag("dynamic_size", False),
            multiple=fields.integer("multiple", 1, 1 << 12, default=1),
        )
        if min(spec.std) <= 0:
            raise fields.error("std", "must be positive")
        if spec.height % spec.multiple or spec.width % spec.multiple:
            raise fields.error("multiple", f"does not divide {spec.height}x{spec.width}")
        return spec


@dataclass(frozen=True)
class Verification:
    """The exporter's comparison of the file with PyTorch, over `inputs` images."""

    inputs: int
    max_abs_error: float
    mean_abs_error: float
    label_agreement: float
    """Share of pixels with equal labels, ties included, 0 to 1."""
    rounding: float | None = None
    """The error of the logits that rounding explains: the bound that `max_abs_error` was checked against."""
    label_ties: float = 0.0
    """Share of pixels with another label whose logit, too, is the largest one within `rounding`."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "inputs": self.inputs,
            "max_abs_error": self.max_abs_error,
            "mean_abs_error": self.mean_abs_error,
            "label_agreement": self.label_agreement,
            "rounding": self.rounding,
            "label_ties": self.label_ties,
        }

    @staticmethod
    def read(fields: Fields) -> Verification:
        return Verification(
            inputs=fields.integer("inputs", 1, 1 << 30),
            max_abs_error=fields.number("max_abs_error", 0),
            mean_abs_error=fields.number("mean_abs_error", 0),
            label_agreement=fields.number("label_agreement", 0, 1),
            rounding=None if fields.absent("rounding") else fields.number("rounding", 0),
            label_ties=0.0 if fields.absent("label_ties") else fields.number("label_ties", 0, 1),
        )


@dataclass(frozen=True)
class Metadata:
    """A model's metadata, format version 1, with `preset` or `config` (the network's full configuration), or both."""

    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    input: InputSpec
    output: OutputKind
    precision: Precision
    preset: str | None = None
    config: Mapping[str, Any] | None = None
    checkpoint_sha256: str | None = None
    """None if the weights came from no file."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """The tools and libraries that wrote the file: name to version."""
    verification: Verification | None = None
    target: Target | None = None
    """None in files of earlier versions, which do not say it; `graph_target` infers it. In an engine's description, the
    target of the ONNX file that it was built from."""
    external: Mapping[str, str] = field(default_factory=dict)
    """The files that the model loads weights from: name to SHA-256. Empty for a model that has its weights itself."""

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def verified(self, verification: Verification) -> Metadata:
        """The same metadata with the results of a verification."""
        return replace(self, verification=verification)

    def to_dict(self) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "preset": self.preset,
            "config": None if self.config is None else dict(self.config),
            "class_names": list(self.class_names),
            "palette": [list(colour) for colour in self.palette],
            "input": self.input.to_dict(),
            "output": self.output.value,
            "precision": self.precision.value,
            "target": None if self.target is None else self.target.value,
            "checkpoint_sha256": self.checkpoint_sha256,
            "versions": dict(self.versions),
            "verification": None if self.verification is None else self.verification.to_dict(),
            **({"external": dict(self.external)} if self.external else {}),
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @staticmethod
    def from_json(text: str, source: str = "the model") -> Metadata:
        """Reads and checks the JSON text. Raises MetadataError, which names `source`, the field and the problem."""
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise MetadataError(f"{source}: its metadata is not JSON ({error}); export the model again") from error
        return Metadata.from_dict(content, source)

    @staticmethod
    def from_dict(content: object, source: str = "the model") -> Metadata:
        """As from_json, from the decoded object; keys it does not know are ignored (an engine's sidecar has more)."""
        fields = Fields.of(content, source)
        version = fields.integer("format_version", 1, 1 << 30)
        if version > FORMAT_VERSION:
            raise MetadataError(
                f"{source}: its metadata has format version {version}, this program reads {FORMAT_VERSION}; "
                "update hyperseg, or export the model again"
            )
        names = fields.texts("class_names")
        palette = fields.colours("palette")
        if not 1 <= len(names) <= MAX_CLASSES or len(palette) != len(names):
            raise fields.error("palette", f"has {len(palette)} colours for {len(names)} classes (1 to {MAX_CLASSES})")
        preset, config = fields.optional_text("preset"), fields.optional_object("config")
        if preset is None and config is None:
            raise fields.error("preset", "and config are both missing")
        digest = fields.optional_text("checkpoint_sha256")
        if digest is not None and not re.fullmatch("[0-9a-f]{64}", digest):
            raise fields.error("checkpoint_sha256", "is not 64 hexadecimal digits")
        return Metadata(
            class_names=names,
            palette=palette,
            input=InputSpec.read(fields.nested("input")),
            output=fields.choice("output", OutputKind),
            precision=fields.choice("precision", Precision),
            target=None if fields.absent("target") else fields.choice("target", Target),
            preset=preset,
            config=None if config is None else config.content,
            checkpoint_sha256=digest,
            versions=fields.text_map("versions"),
            verification=None if fields.absent("verification") else Verification.read(fields.nested("verification")),
            external=fields.text_map("external"),
        )

    @staticmethod
    def from_properties(properties: Mapping[str, str], source: str = "the model") -> Metadata:
        """From an ONNX file's metadata_props (`session.get_modelmeta().custom_metadata_map`)."""
        text = properties.get(KEY)
        if text is None:
            raise MetadataError(
                f"{source} carries no `{KEY}` metadata, so it was not written by hyperseg-export; "
                "export the checkpoint with hyperseg-export"
            )
        return Metadata.from_json(text, source)
