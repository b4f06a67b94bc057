"""Networks rebuilt from ONNX files: the logits of the file, a checkpoint of half the size, and files that cannot be."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hyperseg_export.onnx_export import export_onnx
from hyperseg_export.options import ExportOptions, Resolution
from hyperseg_runtime.metadata import Target
from onnx import helper

import hyperseg
from hyperseg.checkpoint.onnx_file import load_onnx, shipped_file, shipped_names

SIZE = (128, 192)


def _logits_of_shipped(images: np.ndarray, folder: Path) -> np.ndarray:
    """Logits of the shipped model in standard operators: the float32 input of its UpsampleArgmax's equivalent."""
    path = shipped_file("camvid-lite")
    assert path is not None
    twin = path.with_suffix(".portable.onnx")
    for file in (path, twin):  # onnx refuses weights in a file that has hard links, as some installers make them
        shutil.copyfile(file, folder / file.name)
    model = onnx.load(folder / twin.name)
    argmax = next(node for node in reversed(model.graph.node) if node.op_type == "ArgMax")
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(argmax.input[0], onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {session.get_inputs()[0].name: images})
    return np.asarray(logits)


def _normalised(config: hyperseg.Config, images: np.ndarray) -> torch.Tensor:
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (config.mean, config.std))
    return (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std


@pytest.mark.numerics
def test_the_shipped_network_has_the_logits_of_its_file(tmp_path: Path) -> None:
    model = hyperseg.shipped()
    images = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), np.uint8)
    expected = _logits_of_shipped(images, tmp_path)
    with torch.no_grad():
        found = model(_normalised(model.config, images)).numpy()
    # Both compute in float32 with the same rounded weights, in other orders: about a hundred layers, 2^-24 each.
    spread = float(np.abs(expected).max())
    assert np.abs(found - expected).max() < 100 * 2.0**-20 * spread
    assert not torch.equal(model.backbone.stem.conv.weight, hyperseg.create(model.config).backbone.stem.conv.weight)
    assert model.config.classes.names[3] == "road"


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_saved_in_half_it_is_as_large_as_the_shipped_file(suffix: str, tmp_path: Path) -> None:
    model = hyperseg.shipped()
    path = tmp_path / f"lite.{suffix}"
    hyperseg.save(model, path, half=True)
    shipped = shipped_file("camvid-lite")
    assert shipped is not None and path.stat().st_size < 1.1 * shipped.stat().st_size
    loaded = hyperseg.load(path)
    for (name, one), other in zip(model.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert other.dtype == one.dtype
        if one.is_floating_point():
            torch.testing.assert_close(other, one, rtol=2.0**-11, atol=2.0**-24, msg=name)


def test_weights_that_float16_cannot_hold_are_not_saved(tmp_path: Path) -> None:
    model = hyperseg.create("camvid-lite")
    with torch.no_grad():
        model.backbone.stem.conv.weight[0] = 1e6
    with pytest.raises(ValueError, match=r"backbone\.stem\.conv\.weight has values that float16 cannot hold"):
        hyperseg.save(model, tmp_path / "m.pth", half=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("preset", "target"),
    [("camvid-lite", Target.CPU), ("camvid-s", Target.CUDA), ("camvid-s-resnet18", Target.CPU)],
)
@pytest.mark.slow
def test_an_exported_network_comes_back(preset: str, target: Target, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = hyperseg.create(hyperseg.preset(preset).replace(resolution=SIZE))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    hyperseg.save(model.eval(), tmp_path / "m.pth")
    options = ExportOptions(resolution=Resolution(*SIZE), target=target, verify=False)
    export_onnx(tmp_path / "m.pth", tmp_path / "m.onnx", options)
    rebuilt = load_onnx(tmp_path / "m.onnx")
    x = torch.randn(1, 3, *SIZE)
    with torch.no_grad():
        expected, found = model(x), rebuilt(x)
    assert float((found - expected).abs().max()) < 100 * 2.0**-20 * float(expected.abs().max())


def test_files_that_are_no_networks_are_named(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    graph = helper.make_graph([], "g", [], [])
    onnx.save(helper.make_model(graph), path)
    with pytest.raises(hyperseg.CheckpointError, match=r"other\.onnx: was not written by hyperseg-export"):
        load_onnx(path)
    path.write_bytes(b"no protobuf")
    with pytest.raises(hyperseg.CheckpointError, match=r"other\.onnx: cannot be read as an ONNX file"):
        load_onnx(path)
    with pytest.raises(hyperseg.CheckpointError, match=r"nothing\.onnx: no such file"):
        load_onnx(tmp_path / "nothing.onnx")


def test_a_file_without_a_weight_is_named(tmp_path: Path) -> None:
    source = shipped_file("camvid-lite")
    assert source is not None
    model = onnx.load(source)
    for tensor in model.graph.initializer:
        if tensor.name == "network.backbone.stem.conv.weight.half":
            tensor.name = "quantised"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(hyperseg.CheckpointError, match=r"m\.onnx: lacks the weights of backbone\.stem\.conv\.weight"):
        load_onnx(tmp_path / "m.onnx")


def test_an_unknown_name_lists_what_ships() -> None:
    assert shipped_names() == ("camvid-lite",)
    with pytest.raises(
        hyperseg.CheckpointError, match="no model 'camvid-xl' ships with this package; it has camvid-li"
    ):
        hyperseg.shipped("camvid-xl")
