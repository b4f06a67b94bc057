"""export_onnx on the smallest preset: files of all options agree with PyTorch and follow the contract."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import onnx
import pytest

pytest.importorskip("torch")

from hyperseg_export import (
    DisagreementError,
    ExportError,
    ExportOptions,
    ExportReport,
    OptionError,
    Resolution,
    Target,
    export_onnx,
    verification,
)
from hyperseg_export.operators import DOMAIN
from hyperseg_export.samples import random_network
from hyperseg_runtime.libraries import Library, find
from hyperseg_runtime.metadata import KEY, MAX_CLASSES, InputType, Metadata, OutputKind, Precision, Verification

import hyperseg
from hyperseg.classes import CAMVID_12

from .in_openvino import compiled

PUBLISHED = ("camvid-s", "camvid-l", "cityscapes-m", "cityscapes-s", "voc-l")
SMALL = ExportOptions(resolution=Resolution(64, 128))
VARIANTS = {
    "default": SMALL,
    "cuda": replace(SMALL, target=Target.CUDA),
    "cuda-half": replace(SMALL, target=Target.CUDA, precision=Precision.FLOAT16),
    "tensorrt": replace(SMALL, target=Target.TENSORRT),
    "tensorrt-dynamic-both": replace(SMALL, target=Target.TENSORRT, dynamic=True, output=OutputKind.BOTH),
    "tensorrt-half": replace(SMALL, target=Target.TENSORRT, precision=Precision.FLOAT16),
    "logits": replace(SMALL, output=OutputKind.LOGITS),
    "both-float-input": replace(SMALL, output=OutputKind.BOTH, input_type=InputType.FLOAT),
    "batch": replace(SMALL, batch=2),
    "dynamic": replace(SMALL, dynamic=True),
    "half": replace(SMALL, precision=Precision.FLOAT16),
    "portable": replace(SMALL, target=Target.PORTABLE),
    "portable-dynamic-both": replace(SMALL, target=Target.PORTABLE, dynamic=True, output=OutputKind.BOTH),
    "portable-half": replace(SMALL, target=Target.PORTABLE, precision=Precision.FLOAT16),
    "opset20": replace(SMALL, opset=20),
}


@cache
def network(preset: str = "camvid-lite") -> Any:
    return random_network(preset)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("exported")

    @cache
    def export(variant: str) -> tuple[onnx.ModelProto, ExportReport]:
        report = export_onnx(network(), folder / f"{variant}.onnx", VARIANTS[variant])
        return onnx.load(report.path), report

    return export


@pytest.mark.parametrize(
    "variant", [pytest.param(name, marks=pytest.mark.numerics if "half" in name else ()) for name in VARIANTS]
)
def test_every_variant_agrees_with_pytorch(variant: str, exported: Any) -> None:
    model, report = exported(variant)
    _assert_agrees(report)
    assert Metadata.from_properties({entry.key: entry.value for entry in model.metadata_props}).verification is not None
    assert report.file_bytes <= 1.02 * report.weight_bytes
    assert not list(report.path.parent.glob(".*.part"))


def _assert_agrees(report: ExportReport) -> None:
    """export_onnx compares part by part (tests/export/test_planted_faults.py); the totals in its report hold too."""
    measured = report.verification
    assert measured is not None and measured.rounding is not None
    assert measured.max_abs_error <= measured.rounding
    assert measured.label_agreement == 1.0


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_is_left_to_compute(variant: str, exported: Any) -> None:
    model, _ = exported(variant)
    nodes = model.graph.node
    assert not {"BatchNormalization", "Identity", "Constant", "Dropout"} & {node.op_type for node in nodes}
    constants = {tensor.name for tensor in model.graph.initializer}
    # Coordinates of full size are expanded at load time: stored, they would outweigh the weights.
    computable = [node for node in nodes if set(node.input) - {""} <= constants and node.op_type != "Expand"]
    assert not [node.name for node in computable if node.input]
    assert all(node.name for node in nodes)
    assert len({node.name for node in nodes}) == len(nodes)


def test_our_operators_carry_the_plugin_attributes_and_take_the_weights_unpermuted(exported: Any) -> None:
    model, _ = exported("cuda")
    producers = {output: node for node in model.graph.node for output in node.output}
    ours = [node for node in model.graph.node if node.domain == DOMAIN]
    assert [node.op_type for node in ours] == ["DPWConv"] * 3 + ["DPWInvertedResidual"] * 2 + ["UpsampleArgmax"]
    for node in ours:
        attributes = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
        assert attributes["plugin_namespace"] == b"hyperseg"
        assert attributes["plugin_version"] == b"1"
    for node in ours[:-1]:
        theta = producers[node.input[1]]
        assert theta.op_type == "Reshape"
        assert producers[theta.input[0]].op_type == "MatMul"


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name.startswith("portable")])
def test_portable_files_hold_standard_operators_only(variant: str, exported: Any) -> None:
    model, _ = exported(variant)
    assert {node.domain for node in model.graph.node} == {""}
    assert [opset.domain for opset in model.opset_import] == [""]


@pytest.mark.parametrize("variant", ["portable", "portable-dynamic-both", "portable-half"])
def test_openvino_computes_the_same(variant: str, exported: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, report = exported(variant)
    assert verified_in_openvino(report.path, network(), VARIANTS[variant], monkeypatch).label_agreement == 1.0


def verified_in_openvino(
    path: Path, network: Any, options: ExportOptions, monkeypatch: pytest.MonkeyPatch
) -> Verification:
    """The exporter's comparison, in another runtime."""

    class Session:
        def __init__(self, content: bytes, settings: Any, providers: list[str]) -> None:
            del settings, providers
            self._compiled = compiled(content)

        def run(self, names: list[str], feeds: Any) -> list[Any]:
            results = self._compiled(feeds)
            return [results[name] for name in names]

    monkeypatch.setattr("onnxruntime.InferenceSession", Session)
    return verification.verify(path, network, options, options.resolution or _own(network), lambda _: None)


def _own(network: Any) -> Resolution:
    return Resolution(*network.config.resolution)


def test_signatures(exported: Any) -> None:
    def signature(variant: str) -> list[tuple[str, int, list[Any]]]:
        graph = exported(variant)[0].graph
        return [
            (
                value.name,
                value.type.tensor_type.elem_type,
                [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim],
            )
            for value in (*graph.input, *graph.output)
        ]

    uint8, float32 = onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT
    assert signature("default") == [("image", uint8, [1, 64, 128, 3]), ("labels", uint8, [1, 64, 128])]
    assert signature("half") == signature("default")
    assert signature("both-float-input") == [
        ("image", float32, [1, 3, 64, 128]),
        ("labels", uint8, [1, 64, 128]),
        ("logits", float32, [1, 11, 64, 128]),
    ]
    (_, _, shape), _ = signature("dynamic")
    assert all(isinstance(size, str) for size in shape[:3])
    assert shape[3] == 3


def test_averages_over_pixels_are_made_of_short_sums(exported: Any) -> None:
    """Over an image of one colour the rounding errors of a long sum do not cancel."""
    model, _ = exported("portable")
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    means = [node for node in model.graph.node if node.op_type == "ReduceMean"]
    assert means
    assert [constants[node.input[1]].tolist() for node in means] == [[3], [2]] * (len(means) // 2)
    assert not [node for node in model.graph.node if node.op_type == "GlobalAveragePool"]
    assert set(constants) <= {name for node in model.graph.node for name in node.input}


def test_metadata_describes_the_model(exported: Any) -> None:
    model, _ = exported("half")
    metadata = Metadata.from_properties({entry.key: entry.value for entry in model.metadata_props})
    assert metadata.preset == "camvid-lite"
    assert metadata.class_names == CAMVID_12.names[:11]
    assert (metadata.input.height, metadata.input.width, metadata.input.multiple) == (64, 128, 64)
    assert metadata.precision is Precision.FLOAT16
    assert {entry.key for entry in model.metadata_props} == {KEY}


def test_a_file_that_disagrees_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hyperseg

    def broken(model: Any) -> Any:
        folded = hyperseg_fold(model)
        folded.backbone.stem.conv.bias.data += 0.5
        return folded

    hyperseg_fold = hyperseg.fold
    monkeypatch.setattr(hyperseg, "fold", broken)
    with pytest.raises(DisagreementError, match="the file was discarded"):
        export_onnx(network(), tmp_path / "m.onnx", SMALL)
    assert not list(tmp_path.iterdir())


def test_a_resolution_that_does_not_fit_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"height 500 is not a multiple of 64; use 512 \(--resolution 512x768\)"):
        export_onnx(network(), tmp_path / "m.onnx", ExportOptions(resolution=Resolution(500, 768)))


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("preset", PUBLISHED)
def test_openvino_computes_what_every_preset_does(preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ExportOptions(target=Target.PORTABLE, verify=False)
    report = export_onnx(network(preset), tmp_path / "m.onnx", options)
    assert verified_in_openvino(report.path, network(preset), options, monkeypatch).label_agreement == 1.0


@pytest.mark.slow
@pytest.mark.numerics
@pytest.mark.parametrize("target", [Target.CPU, Target.PORTABLE])
@pytest.mark.parametrize("preset", ["camvid-lite", *(pytest.param(n, marks=pytest.mark.exhaustive) for n in PUBLISHED)])
def test_presets_agree_at_their_resolution(preset: str, target: Target, tmp_path: Path) -> None:
    if target is not Target.PORTABLE and find(Library.ONNXRUNTIME) is None:
        pytest.skip("libhyperseg_ort.so is not built")
    report = export_onnx(network(preset), tmp_path / "m.onnx", ExportOptions(target=target))
    _assert_agrees(report)
    assert report.file_bytes <= 1.02 * report.weight_bytes


def test_more_classes_than_a_byte_holds_are_refused(tmp_path: Path) -> None:
    """Their labels would wrap around; a network with as many as fit is exported."""
    config = network().config
    with pytest.raises(ExportError, match=rf"has {MAX_CLASSES + 1} classes; .* at most {MAX_CLASSES}: train one with"):
        export_onnx(hyperseg.create(config.replace(num_classes=MAX_CLASSES + 1)), tmp_path / "m.onnx", SMALL)
    assert not list(tmp_path.iterdir())
    most = replace(SMALL, verify=False)
    export_onnx(hyperseg.create(config.replace(num_classes=MAX_CLASSES)), tmp_path / "m.onnx", most)
    properties = {entry.key: entry.value for entry in onnx.load(str(tmp_path / "m.onnx")).metadata_props}
    assert len(Metadata.from_json(properties[KEY]).class_names) == MAX_CLASSES
