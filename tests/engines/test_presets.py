"""Published networks: export, build and audit; labels through the session on test doubles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hyperseg_export import ExportOptions, export_onnx
from hyperseg_export.engine import EngineOptions, build_engine
from hyperseg_export.engine.build import prepare
from hyperseg_export.engine.model_file import read_model
from hyperseg_export.engine.options import TURING
from hyperseg_export.options import Resolution
from hyperseg_export.reference import LabelCheck
from hyperseg_runtime import libraries, sidecar
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.graph_end import LOW_LOGITS
from hyperseg_runtime.metadata import InputType, OutputKind, Precision, Target
from hyperseg_runtime.upsampling import Placement

from .doubles.builder import assert_uint8_at_the_edges
from .sessions import Machine, labels_of, random_images

pytest.importorskip("torch")
random_network = pytest.importorskip("hyperseg_export.samples").random_network

PLUGINS = {"camvid-s": 6, "camvid-l": 7, "cityscapes-m": 6, "cityscapes-s": 6, "voc-l": 15}
CAPABILITIES = ("7.5", "8.6", "8.9", "12.0")
SMALL = Resolution(128, 256)
"""Every preset's unit divides it. The channels, and so the kernels, are those of the published resolution."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(libraries.find(libraries.Library.ONNXRUNTIME) is None, reason="libhyperseg_ort.so is not built"),
]


def _presets(*by_default: str) -> list[Any]:
    """All presets, for pytest; the others with --exhaustive."""
    return [n if n in by_default else pytest.param(n, marks=pytest.mark.exhaustive) for n in PLUGINS]


def _export(preset: str, path: Path, dynamic: bool) -> Path:
    # Freshly drawn weights would shrink values to denormal numbers, and to nothing in float16.
    export_onnx(random_network(preset), path, ExportOptions(resolution=SMALL, dynamic=dynamic, verify=False))
    return path


@pytest.fixture(scope="module", params=_presets("camvid-s", "voc-l"))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return request.param, _export(request.param, tmp_path_factory.mktemp(request.param) / "m.onnx", dynamic=False)


@pytest.mark.usefixtures("builder", "no_gpu")
@pytest.mark.parametrize("half", [False, True])
def test_an_engine_with_our_plugins(exported: tuple[str, Path], half: bool) -> None:
    preset, path = exported
    for capabilities in (CAPABILITIES, CAPABILITIES[1:]):
        _assert_built(preset, path, EngineOptions(half=half, compute_capabilities=capabilities, force=True))


@pytest.mark.usefixtures("builder", "no_gpu")
@pytest.mark.parametrize("preset", _presets("camvid-s"))
def test_an_engine_of_open_shapes(preset: str, tmp_path: Path) -> None:
    path = _export(preset, tmp_path / "m.onnx", dynamic=True)
    largest = Resolution(2 * SMALL.height, 2 * SMALL.width)
    for half, capabilities in ((False, CAPABILITIES), (True, CAPABILITIES[1:])):
        options = EngineOptions(
            half=half, compute_capabilities=capabilities, least=SMALL, best=SMALL, most=largest, batch=2, force=True
        )
        _assert_built(preset, path, options)


def _assert_built(preset: str, path: Path, options: EngineOptions) -> None:
    report = build_engine(path, options=options)
    assert report.audit.plugin_layers == PLUGINS[preset]
    assert report.audit.half_share > 0.8 if options.half else report.audit.half_layers == 0, report.audit
    if TURING not in options.compute_capabilities:  # for Turing it pads the channels of convolutions, and cuts them out
        assert report.audit.at_plugins == (), "TensorRT copies what a plugin reads or writes"
    described, _ = sidecar.read_plan(report.engine)
    assert described.metadata.preset == preset


@pytest.mark.usefixtures("builder", "no_gpu")
@pytest.mark.parametrize(
    ("kind", "half"),
    [
        (ExportOptions(target=Target.PORTABLE), False),
        (ExportOptions(target=Target.PORTABLE, output=OutputKind.BOTH), True),
        (ExportOptions(output=OutputKind.BOTH), False),
        (ExportOptions(input_type=InputType.FLOAT), True),
        (ExportOptions(precision=Precision.FLOAT16), False),
        (ExportOptions(target=Target.TENSORRT), False),
    ],
    ids=["portable", "portable, both, --fp16", "both", "float, --fp16", "float16", "tensorrt"],
)
def test_uint8_is_converted_from_and_to_floats_only(kind: ExportOptions, half: bool, tmp_path: Path) -> None:
    """In every kind of file, as TensorRT's header has it; an engine's edges keep their types."""
    path = tmp_path / "m.onnx"
    export_onnx(random_network("camvid-s"), path, replace(kind, resolution=SMALL, verify=False))
    options = EngineOptions(half=half, compute_capabilities=CAPABILITIES[1:2])
    prepared = prepare(read_model(path), options, Flavour.RTX).proto
    assert_uint8_at_the_edges(prepared)
    original = onnx.load(str(path)).graph
    assert prepared.graph.output[-1].name == LOW_LOGITS
    for found, given in ((prepared.graph.input, original.input), (prepared.graph.output[:-1], original.output)):
        assert [(value.name, value.type) for value in found] == [(value.name, value.type) for value in given]
    report = build_engine(path, options=options)
    assert (
        report.audit.half_share > 0.8 if half or kind.precision is Precision.FLOAT16 else report.audit.half_layers == 0
    ), report.audit


@pytest.mark.parametrize("half", [False, True])
def test_labels_through_the_session(exported: tuple[str, Path], half: bool) -> None:
    _, path = exported
    source = read_model(path)
    prepared = prepare(source, EngineOptions(half=half)).proto
    machine = Machine()
    session = machine.open(prepared, machine.plan(prepared), replace(source.metadata))
    images = random_images(SMALL.height, SMALL.width)
    labels = session.run(images).labels
    (enlarged,) = session.run_labels(images, [Placement((SMALL.height, SMALL.width))])
    low = session.run_low(images)
    session.close()
    machine.assert_all_released()
    np.testing.assert_array_equal(labels, labels_of(prepared, images))
    check = LabelCheck(onnx.load(str(path)), Precision.FLOAT16 if half else Precision.FLOAT32)
    comparison = check.compare(images, labels)
    assert comparison.explained, comparison
    assert low.dtype == (np.float16 if half else np.float32)
    assert check.explains(images, low)
    assert check.compare(images, enlarged[None]).explained
