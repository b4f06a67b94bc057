"""Passes and their inverses on every preset, and the targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

pytest.importorskip("torch")

from hyperseg_export.engine import EngineOptions
from hyperseg_export.engine.build import prepare
from hyperseg_export.engine.model_file import read_model
from hyperseg_export.onnx_export import export_onnx
from hyperseg_export.operators import DOMAIN
from hyperseg_export.options import ExportOptions, Resolution
from hyperseg_export.passes import targets
from hyperseg_export.passes.cleanup import name_nodes, simplify
from hyperseg_export.passes.fused_mapper import fuse_mappers, unfuse_mappers
from hyperseg_export.passes.mbconv import fuse_mbconv, unfuse_mbconv
from hyperseg_export.passes.meta_block import fuse_meta_blocks, unfuse_meta_blocks
from hyperseg_export.passes.onnxruntime_forms import conv_to_gemm, gemm_to_conv, join_means, split_means
from hyperseg_export.passes.rewriting import Pass, share
from hyperseg_export.passes.targets import run_passes
from hyperseg_export.reference import LabelCheck, open_reference
from hyperseg_export.samples import random_network, sample_images
from hyperseg_export.tracing import trace
from hyperseg_runtime.libraries import Library, find
from hyperseg_runtime.metadata import Precision, Target
from torch import nn

import hyperseg

from .structure import structure

PAIRS = {
    "mbconv": (fuse_mbconv, unfuse_mbconv),
    "meta block": (fuse_meta_blocks, unfuse_meta_blocks),
    "fused mapper": (fuse_mappers, unfuse_mappers),
    "gemm": (conv_to_gemm, gemm_to_conv),
    "means": (split_means, join_means),
}
FUSED = {"camvid-s", "camvid-l", "cityscapes-m", "cityscapes-s", "voc-l"}
"""Presets in which these pairs have something to do."""

BY_DEFAULT = {"camvid-s", "cityscapes-m", "voc-l", "camvid-lite"}


@pytest.fixture(
    scope="module",
    params=[
        preset if preset in BY_DEFAULT else pytest.param(preset, marks=pytest.mark.exhaustive)
        for preset in hyperseg.presets()
    ],
)
def traced(request: pytest.FixtureRequest) -> tuple[str, onnx.ModelProto]:
    """The exporter's graph at the published resolution, on which the fusions depend."""
    network = hyperseg.create(request.param).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias)  # convolutions without a bias are not fused
    graph = trace(hyperseg.fold(network), ExportOptions(), Resolution(*network.config.resolution))
    run_passes(graph, (name_nodes, simplify))
    return request.param, ir.to_proto(graph)


def test_each_pass_has_its_inverse(traced: tuple[str, onnx.ModelProto]) -> None:
    preset, proto = traced
    expected = structure(ir.from_proto(proto))
    fused = {}
    for name, (forward, inverse) in PAIRS.items():
        model = ir.from_proto(proto)
        fused[name] = forward(model)
        changed = structure(model) != expected
        assert changed == bool(fused[name]), name
        assert inverse(model) >= fused[name], name
        share(model)
        assert structure(model) == expected, name
    if preset in FUSED:
        assert fused["mbconv"] > 10 and fused["means"] > 10, fused
        assert fused["fused mapper"] > 0 and fused["gemm"] > 0


def test_engines_of_both_files_get_the_same_graph(traced: tuple[str, onnx.ModelProto]) -> None:
    """The file for the CPU and the one for CUDA, after the inverses."""
    _, proto = traced
    graphs = [
        _after(_after(proto, _without_names(file)), targets.TENSORRT.passes) for file in (targets.CPU, targets.CUDA)
    ]
    assert structure(graphs[0]) == structure(graphs[1])
    plugins = {"DPWConv", "DPWInvertedResidual", "UpsampleArgmax"}
    assert {node.op_type for node in graphs[0].graph if node.domain == DOMAIN} <= plugins


def test_a_portable_file_has_standard_operators_only(traced: tuple[str, onnx.ModelProto]) -> None:
    model = _after(traced[1], _without_names(targets.PORTABLE))
    assert {node.domain for node in model.graph} == {""}
    assert list(model.opset_imports) == [""]


def _without_names(passes: tuple[Pass, ...]) -> tuple[Pass, ...]:
    return tuple(each for each in passes if each is not name_nodes)


def _after(model: onnx.ModelProto | ir.Model, passes: tuple[Pass, ...]) -> ir.Model:
    result = ir.from_proto(model) if isinstance(model, onnx.ModelProto) else model
    run_passes(result, passes)
    return result


@pytest.mark.slow
@pytest.mark.parametrize(
    "preset",
    [p if p in {"camvid-s", "voc-l"} else pytest.param(p, marks=pytest.mark.exhaustive) for p in sorted(FUSED)],
)
def test_the_files_of_all_targets_give_the_same_labels(preset: str, tmp_path: Path) -> None:
    """The CUDA file's are the measure; an engine's graph is run as TensorRT's parser gets it."""
    if find(Library.ONNXRUNTIME) is None:
        pytest.skip("libhyperseg_ort.so is not built")
    resolution, network = Resolution(128, 256), random_network(preset)
    models = {}
    for target in Target:
        path = tmp_path / f"{target.value}.onnx"
        export_onnx(network, path, ExportOptions(resolution=resolution, verify=False, target=target))
        models[target.value] = onnx.load(path)
    models["engine"] = prepare(read_model(tmp_path / "cpu.onnx"), EngineOptions()).proto
    check = LabelCheck(models["cuda"], Precision.FLOAT32)
    images = np.stack(sample_images(resolution.height, resolution.width)[:1])
    for target, model in models.items():
        labels = open_reference(model, lambda _: None).run(["labels"], {"image": images})[0]
        comparison = check.compare(images, labels)
        assert comparison.explained, (target, comparison)
