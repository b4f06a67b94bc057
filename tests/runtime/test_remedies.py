"""The commands that the messages on outdated models name: they write the same file again, with the same options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hyperseg_runtime import sidecar
from hyperseg_runtime.metadata import InputType, Metadata, OutputKind, Precision
from hyperseg_runtime.model_kinds import without_suffix
from hyperseg_runtime.provenance import stale_engine, stale_export

from .model_folders import META, engine, fill, onnx

EXPORTED = replace(META, checkpoint_sha256="0" * 64)


@pytest.mark.parametrize(
    ("name", "metadata", "options"),
    [
        ("m.onnx", EXPORTED, ""),
        ("m.onnx", replace(EXPORTED, precision=Precision.FLOAT16), " --fp16"),
        ("m.fp16.onnx", replace(EXPORTED, precision=Precision.FLOAT16), " m.fp16.onnx --fp16"),
        ("m.onnx", replace(EXPORTED, precision=Precision.INT8), " --int8 --calibrate IMAGES"),
        ("m.onnx", replace(EXPORTED, output=OutputKind.BOTH), " --output-type both"),
        ("m.onnx", replace(EXPORTED, input=replace(META.input, dtype=InputType.FLOAT)), " --input-type float"),
        ("m.onnx", replace(EXPORTED, config={"resolution": [8, 8]}), f" --resolution {META.input.height}x"),
        (
            "m.onnx",
            replace(EXPORTED, config={"resolution": [8, 8]}, input=replace(META.input, dynamic_size=True)),
            " --dynamic",
        ),
    ],
)
@pytest.mark.parametrize("checkpoint", ["m.pt", "m.pth.tar"])
def test_an_export(tmp_path: Path, name: str, metadata: Metadata, options: str, checkpoint: str) -> None:
    (tmp_path / checkpoint).write_bytes(b"weights")
    text = stale_export(tmp_path / name, replace(metadata, config=metadata.config or {}))
    assert f"(hyperseg-export --ckpt {checkpoint} --onnx{options}" in (text or "")


@pytest.mark.parametrize(
    ("source", "built", "precision", "options"),
    [
        ("m.onnx", "m.engine", Precision.FLOAT32, ""),
        ("m.onnx", "m.fp16.engine", Precision.FLOAT16, " --fp16"),
        ("m.onnx", "edge.engine", Precision.FLOAT16, " --fp16 -o edge.engine"),
        ("m.onnx", "m.fp16.engine", Precision.FLOAT32, " -o m.fp16.engine"),
        ("m.fp16.onnx", "m.fp16.engine", Precision.FLOAT32, ""),
    ],
)
def test_an_engine(tmp_path: Path, source: str, built: str, precision: Precision, options: str) -> None:
    fill(tmp_path, {source: onnx(), built: engine(source)})
    described = sidecar.read(tmp_path / built)
    described = replace(described, metadata=replace(described.metadata, precision=precision))
    onnx((32, 64))(tmp_path / source)
    text = stale_engine(tmp_path / built, described)
    assert f"(hyperseg-build-engine {source}{options} --force)" in (text or "")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("m.onnx", "m"), ("M.PTH.TAR", "M"), ("m.fp16.engine", "m.fp16"), ("m.v2.pt", "m.v2"), ("m.txt", "m.txt")],
)
def test_names_without_suffix(name: str, expected: str) -> None:
    assert without_suffix(Path(name)) == expected
