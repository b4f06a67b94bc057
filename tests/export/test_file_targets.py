"""The exported file of each target: operators, metadata, the graph that TensorRT's parser gets, and the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import cuda_operators
import onnx
import onnx_ir as ir
import pytest

pytest.importorskip("torch")

from hyperseg_export import (
    DisagreementError,
    ExportOptions,
    ExportReport,
    OptionError,
    Resolution,
    Target,
    export_onnx,
)
from hyperseg_export.cli import export as command
from hyperseg_export.engine import EngineOptions
from hyperseg_export.engine.build import prepare
from hyperseg_export.engine.model_file import read_model
from hyperseg_export.operators import DOMAIN, PLUGIN_ATTRIBUTES
from hyperseg_export.samples import random_network
from hyperseg_runtime.backends.onnxruntime import OnnxRuntimeSession
from hyperseg_runtime.backends.protocol import Availability, BackendName, Images, Outputs
from hyperseg_runtime.backends.selection import availability
from hyperseg_runtime.cli import common
from hyperseg_runtime.libraries import Library, find
from hyperseg_runtime.metadata import Metadata, Precision

from runtime import cuda_session

from .structure import structure

SIZE = Resolution(64, 128)
PRESETS = ("camvid-lite", "camvid-s")
"""One whose encoder's blocks stay as they are, and one whose become MBConv on the CPU."""

Exported = Callable[..., Path]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("targets")

    @cache
    def made(target: Target, preset: str, precision: Precision) -> Path:
        path = folder / f"{preset}-{precision.value}-{target.value}.onnx"
        resolution = SIZE if preset == "camvid-lite" else Resolution(128, 256)
        options = ExportOptions(resolution=resolution, target=target, precision=precision, verify=False)
        return export_onnx(random_network(preset), path, options).path

    def export(target: Target, preset: str = "camvid-lite", precision: Precision = Precision.FLOAT32) -> Path:
        return made(target, preset, precision)

    return export


def own_operators(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(path).graph.node if node.domain == DOMAIN}


@pytest.mark.parametrize("target", Target)
def test_the_metadata_name_the_target(target: Target, exported: Exported) -> None:
    properties = {entry.key: entry.value for entry in onnx.load(exported(target)).metadata_props}
    assert Metadata.from_properties(properties).target is target


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.FLOAT16])
def test_files_for_gpus_have_only_operators_with_a_cuda_kernel(
    preset: str, precision: Precision, exported: Exported
) -> None:
    kernels = cuda_operators.registered_for_cuda()
    for target in (Target.CUDA, Target.TENSORRT):
        found = own_operators(exported(target, preset, precision))
        assert found and found <= kernels, target
    assert not own_operators(exported(Target.PORTABLE, preset, precision))
    if precision is Precision.FLOAT32:
        assert own_operators(exported(Target.CPU, preset, precision)) - kernels


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    ("precision", "options"),
    [
        pytest.param(Precision.FLOAT32, EngineOptions(), id="float32"),
        pytest.param(Precision.FLOAT32, EngineOptions(half=True), id="halved"),
        pytest.param(Precision.FLOAT16, EngineOptions(), id="float16"),
    ],
)
def test_engines_of_every_file_with_our_operators_get_the_same_graph(
    preset: str, precision: Precision, options: EngineOptions, exported: Exported
) -> None:
    graphs = {
        target: _parsed(exported(target, preset, precision), options)
        for target in (Target.CPU, Target.CUDA, Target.TENSORRT)
    }
    assert graphs[Target.CPU] == graphs[Target.CUDA] == graphs[Target.TENSORRT]


def test_engines_of_portable_files_need_no_plugin(exported: Exported) -> None:
    graph = prepare(read_model(exported(Target.PORTABLE)), EngineOptions()).proto.graph
    assert {node.domain for node in graph.node} == {""}


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.FLOAT16])
def test_the_file_for_tensorrt_is_the_graph_that_its_parser_gets(precision: Precision, exported: Exported) -> None:
    """But for the additional output of logits, which our own session reads and the file does not have."""
    path = exported(Target.TENSORRT, "camvid-lite", precision)
    assert structure(ir.from_proto(onnx.load(path))) == _parsed(path, EngineOptions(low_logits=False))
    assert structure(ir.from_proto(onnx.load(path))) != _parsed(path)


def test_the_file_for_tensorrt_can_be_parsed_with_the_plugins_alone(exported: Exported) -> None:
    graph = onnx.load(exported(Target.TENSORRT)).graph
    (image,) = [node for node in graph.node if graph.input[0].name in node.input]
    assert image.op_type == "Cast"  # TensorRT takes uint8 only at the network's edge
    ours = [node for node in graph.node if node.domain == DOMAIN]
    assert ours
    for node in ours:
        attributes = {
            entry.name: onnx.helper.get_attribute_value(entry).decode() for entry in node.attribute if entry.s
        }
        assert attributes | PLUGIN_ATTRIBUTES == attributes
        assert all(node.input)


def _parsed(path: Path, options: EngineOptions | None = None) -> list[bytes]:
    """The graph that hyperseg-build-engine gives to the parser."""
    return structure(ir.from_proto(prepare(read_model(path), options or EngineOptions()).proto))


def export_here(path: Path, target: Target) -> ExportReport:
    return export_onnx(random_network("camvid-lite"), path, ExportOptions(resolution=SIZE, target=target))


@pytest.mark.parametrize(
    ("target", "said"), [(Target.CUDA, "CUDA was not run: "), (Target.TENSORRT, "TensorRT was not run; hyperseg-build")]
)
def test_the_report_says_which_device_was_not_run(target: Target, said: str, tmp_path: Path) -> None:
    if target is Target.CUDA and availability(BackendName.ONNXRUNTIME_CUDA).available:
        pytest.skip("this machine runs it")
    report = export_here(tmp_path / "m.onnx", target)
    assert report.verification is not None
    assert str(report.not_run).startswith(said)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine with ONNX Runtime's CUDA provider, as a double that computes on the CPU."""
    if find(Library.ONNXRUNTIME) is None:
        pytest.skip("libhyperseg_ort.so is not built")
    monkeypatch.setattr("hyperseg_runtime.backends.selection.availability", lambda name: Availability(True, name.value))
    return monkeypatch


def test_a_file_for_cuda_is_run_there_where_it_can(cuda: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cuda_session.install(cuda)
    assert export_here(tmp_path / "m.onnx", Target.CUDA).not_run is None


def test_a_file_whose_labels_differ_on_cuda_is_not_kept(cuda: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cuda_session.install(cuda)
    run = OnnxRuntimeSession.run

    def wrong(self: OnnxRuntimeSession, images: Images) -> Outputs:
        labels = run(self, images).labels
        assert labels is not None
        return Outputs((labels + 1) % 11, None)

    cuda.setattr(OnnxRuntimeSession, "run", wrong)
    with pytest.raises(DisagreementError, match="disagrees with itself on CUDA"):
        export_here(tmp_path / "m.onnx", Target.CUDA)
    assert not list(tmp_path.iterdir())


def test_a_library_without_cuda_kernels_does_not_stop_an_export(cuda: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cuda_session.install(cuda, without_kernel=cuda_operators.registered_for_cuda())
    assert "has no CUDA kernels here" in str(export_here(tmp_path / "m.onnx", Target.CUDA).not_run)


@pytest.mark.parametrize("target", [Target.CUDA, Target.TENSORRT])
def test_int8_is_for_the_cpu(target: Target, tmp_path: Path) -> None:
    options = ExportOptions(precision=Precision.INT8, calibration=tmp_path)
    with pytest.raises(OptionError, match=f"int8 files are for the CPU, not for {target.value}"):
        replace(options, target=target)


def test_portable_is_an_alias(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    texts = []
    for name, option in {"a.onnx": ["--portable"], "b.onnx": ["--target", "portable"]}.items():
        arguments = ["--preset", "camvid-lite", "-o", str(tmp_path / name), "--resolution", "64x128", "--no-verify"]
        with pytest.raises(SystemExit) as ended:
            common.execute(command.export, "hyperseg-export", [*arguments, *option, "--json"])
        assert ended.value.code == 0
        texts.append(json.loads(capfd.readouterr().out)["target"])
    assert texts == ["portable", "portable"]


REFUSED = {
    "no such target": (["--target", "gpu"], "'gpu' is not one of 'cpu', 'cuda', 'tensorrt', 'portable'"),
    "an empty target": (["--target", ""], "'' is not one of"),
    "two targets": (["--target", "cuda", "--target", "cpu"], "--target is given 2 times (cuda, cpu); give one"),
    "portable and another": (["--target", "cpu", "--portable"], "--target cpu contradicts; give one"),
    "int8 for CUDA": (["--int8", "--calibrate", ".", "--target", "cuda"], "int8 files are for the CPU"),
    "int8 for TensorRT": (["--int8", "--calibrate", ".", "--target", "tensorrt"], "int8 files are for the CPU"),
    "the former option": (["--no-fuse"], "--no-fuse"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_contradictions_are_one_line(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments, message = REFUSED[case]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        common.execute(command.export, "hyperseg-export", ["--preset", "camvid-lite", *arguments])
    _, told = capfd.readouterr()
    assert ended.value.code == common.USAGE
    assert message in told and told.count("\n") == 1
    assert not list(tmp_path.iterdir())
