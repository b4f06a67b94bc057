"""Tightness of the exporter's comparison: small faults planted in a correct file are found, each in its part.

Files that differ only by rounding pass in every test of this folder; these tests show how small a detectable fault is.
The networks have random weights and amplify rounding a thousandfold between image and logits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("torch")

from hyperseg_export import DisagreementError, ExportOptions, Resolution, Target, export_onnx, verification
from hyperseg_export.samples import random_network
from hyperseg_runtime.metadata import OutputKind, Precision
from onnx import numpy_helper

SIZE = Resolution(192, 256)
FLOAT32, FLOAT16 = Precision.FLOAT32, Precision.FLOAT16


@cache
def network(preset: str = "camvid-lite") -> Any:
    return random_network(preset)


@pytest.fixture(autouse=True)
def _one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that shows in one image shows; the exporter looks at three."""
    images = verification.sample_images
    monkeypatch.setattr(verification, "sample_images", lambda *size, **seed: images(*size, **seed)[:1])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[onnx.ModelProto, ExportOptions]]:
    folder = tmp_path_factory.mktemp("right")

    @cache
    def export(preset: str, precision: Precision, portable: bool) -> tuple[bytes, ExportOptions]:
        options = ExportOptions(
            resolution=SIZE,
            precision=precision,
            target=Target.PORTABLE if portable else Target.CPU,
            output=OutputKind.BOTH,
            verify=False,
            force=True,
        )
        return export_onnx(network(preset), folder / "m.onnx", options).path.read_bytes(), options

    def copy(preset: str = "camvid-lite", precision: Precision = FLOAT32, portable: bool = True) -> Any:
        content, options = export(preset, precision, portable)
        return onnx.ModelProto.FromString(content), options

    return copy


def refused(model: onnx.ModelProto, options: ExportOptions, folder: Path, preset: str = "camvid-lite") -> str:
    """The exporter's error for the file."""
    onnx.save(model, folder / "faulty.onnx")
    with pytest.raises(DisagreementError) as caught:
        verification.verify(folder / "faulty.onnx", network(preset), options, SIZE, lambda _: None)
    return str(caught.value)


def constant(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def mappers(model: onnx.ModelProto) -> list[str]:
    return sorted(tensor.name for tensor in model.graph.initializer if ".mapper_weights." in tensor.name)


@pytest.mark.numerics
@pytest.mark.parametrize("portable", [True, False], ids=["portable", "own"])
@pytest.mark.parametrize("preset", ["camvid-lite", pytest.param("camvid-s", marks=pytest.mark.exhaustive)])
def test_one_wrong_weight_in_a_mapper(preset: str, portable: bool, exported: Any, tmp_path: Path) -> None:
    """In each mapper in turn, a weight is off by half a standard deviation, which hardly changes its level."""
    right, options = exported(preset, FLOAT32, portable)
    names = mappers(right)
    assert len(names) == len(network(preset).config.mappers)
    for name in names:
        model = onnx.ModelProto()
        model.CopyFrom(right)
        tensor = constant(model, name)
        weights = numpy_helper.to_array(tensor).copy()
        weights[0, 0, 3] += 0.5 * weights.std()
        tensor.CopyFrom(numpy_helper.from_array(weights, name))
        assert "(decoder: off by" in refused(model, options, tmp_path, preset)


def test_one_wrong_weight_in_half_precision(exported: Any, tmp_path: Path) -> None:
    """Half precision rounds every weight; a weight that is off by four standard deviations exceeds that."""
    right, options = exported(precision=FLOAT16)
    name = mappers(right)[-1]
    tensor = constant(right, name)
    weights = numpy_helper.to_array(tensor).copy()
    weights[0, 0, 3] += 4.0 * weights.std()
    tensor.CopyFrom(numpy_helper.from_array(weights, name))
    assert "(decoder: off by" in refused(right, options, tmp_path)


@pytest.mark.parametrize("precision", [FLOAT32, FLOAT16])
def test_a_halo_one_pixel_off(precision: Precision, exported: Any, tmp_path: Path) -> None:
    """In each meta block in turn: rows -1 and -2 instead of -1 and +1."""
    count = 0
    right, options = exported(precision=precision)
    for index, node in enumerate(right.graph.node):
        if node.op_type == "Pad" and node.name.startswith("decoder"):
            model = onnx.ModelProto()
            model.CopyFrom(right)
            pads = numpy_helper.to_array(constant(model, node.input[1])).copy()
            top, bottom = len(pads) // 2 - 2, len(pads) - 2
            assert pads[top] == pads[bottom] == 1
            pads[top], pads[bottom] = 2, 0
            model.graph.initializer.append(numpy_helper.from_array(pads, "off by one"))
            model.graph.node[index].input[1] = "off by one"
            assert "(decoder: off by" in refused(model, options, tmp_path)
            count += 1
    assert count == 2


@pytest.mark.parametrize("precision", [FLOAT32, FLOAT16])
def test_a_bilinear_phase_half_a_pixel_off(precision: Precision, exported: Any, tmp_path: Path) -> None:
    """In each upsampling in turn: between levels of the decoder, and at the end."""
    right, options = exported(precision=precision)
    said = []
    for index, node in enumerate(right.graph.node):
        if node.op_type == "Resize" and node.name.startswith(("decoder", "deployment")):
            model = onnx.ModelProto()
            model.CopyFrom(right)
            attributes = model.graph.node[index].attribute
            kept = [one for one in attributes if one.name != "coordinate_transformation_mode"]
            del attributes[:]
            attributes.extend([*kept, onnx.helper.make_attribute("coordinate_transformation_mode", "asymmetric")])
            said.append(refused(model, options, tmp_path))
    levels = len(network().config.levels) - 1
    assert sum("(decoder: off by" in message for message in said) == levels
    assert sum("(upsampled logits: off by" in m or "(labels: " in m for m in said) == len(said) - levels
    assert len(said) > levels


def test_one_wrong_weight_in_the_encoder(exported: Any, tmp_path: Path) -> None:
    right, options = exported()
    name = "network.backbone.blocks.3.project.conv.weight"
    weights = numpy_helper.to_array(constant(right, name)).copy()
    weights[0, 0] += 0.5 * weights.std()
    constant(right, name).CopyFrom(numpy_helper.from_array(weights, name))
    assert "(feature map F2: off by" in refused(right, options, tmp_path)


def test_a_wrong_mean_of_the_images(exported: Any, tmp_path: Path) -> None:
    """A hundredth of a standard deviation."""
    right, options = exported()
    (name,) = (t.name for t in right.graph.initializer if t.name.endswith("shift"))
    values = numpy_helper.to_array(constant(right, name)) + np.float32(0.01)
    constant(right, name).CopyFrom(numpy_helper.from_array(values, name))
    assert "(feature map F1: off by" in refused(right, options, tmp_path)
