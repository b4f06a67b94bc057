"""A model for DeepStream: its keys, its preprocessing, and the labels that nvinfer gets from the plan."""

from __future__ import annotations

import configparser
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hyperseg_export.engine import EngineOptions
from hyperseg_export.engine.build import build_plan, prepare
from hyperseg_export.engine.model_file import read_model
from hyperseg_export.engine.options import choose_target
from hyperseg_export.engine.process import NullListener
from hyperseg_export.engine.report import audit, layers_from_builder
from hyperseg_export.hosts.nvinfer_graph import for_nvinfer, preprocessing
from hyperseg_export.options import Resolution
from hyperseg_runtime import libraries, sidecar
from hyperseg_runtime.discovery import PACKAGED_MODELS
from hyperseg_runtime.metadata import KEY, InputSpec, InputType, OutputKind
from hyperseg_runtime.preprocess import prepare as prepare_frame
from onnx import helper

from .doubles.tensorrt import read_plan
from .graphs import CLASSES, HEIGHT, WIDTH, metadata, miniature, save
from .server import Server, make_server
from .sessions import labels_of, random_images

KEYS = (
    "gpu-id gie-unique-id process-mode network-type num-detected-classes labelfile-path model-engine-file batch-size "
    "network-mode infer-dims network-input-order model-color-format net-scale-factor offsets maintain-aspect-ratio "
    "scaling-filter output-blob-names custom-lib-path parse-segmentation-func-name segmentation-threshold "
    "segmentation-output-order"
)
"""Of the group [property] in the tables of Gst-nvinfer's documentation, DeepStream 9.2."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Server:
    return make_server(monkeypatch, capfd, tmp_path)


def properties(path: Path) -> dict[str, str]:
    """The group [property] of a GLib key file: comments are lines of their own there."""
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes="#", delimiters="=", strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    assert parser.sections() == ["property"]
    return dict(parser["property"])


def nvinfer(frame: Any, scale: float, offsets: list[float]) -> Any:
    """Gst-nvinfer's input for an RGB frame of its size: "y = net scale factor*(x-mean)" in float32 by planes
    (nvdsinfer_conversion.cu, NvDsInferConvert_CxToP3FloatKernelWithMeanSubtraction, DeepStream 6.2)."""
    centred = frame.astype(np.float32) - np.asarray(offsets, np.float32)
    return (np.float32(scale) * centred).transpose(2, 0, 1)[None]


def run(model: onnx.ModelProto, images: Any) -> Any:
    options = ort.SessionOptions()
    options.register_custom_ops_library(str(libraries.require(libraries.Library.ONNXRUNTIME)))
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (labels,) = session.run(["labels"], {"image": images})
    return labels


def run_plan(plan: bytes, images: Any) -> Any:
    """The plan of the double is the graph that TensorRT would have parsed."""
    header, _ = read_plan(plan)
    return one_plane(run(onnx.load_model_from_string(plan[-header["size"] :]), images))


def one_plane(labels: Any) -> Any:
    """[N, H, W] of labels as nvinfer gets them, if they are."""
    return labels[..., 0] if labels.ndim == 4 and labels.shape[3] == 1 else labels


def floats(text: str) -> list[float]:
    return [float(part) for part in text.split(";")]


@pytest.mark.parametrize("half", [False, True])
def test_nvinfer_gets_the_labels_of_the_model(server: Server, half: bool) -> None:
    model = miniature()
    save(model, server.folder / "m.onnx")
    done = server.run(f"m.onnx {'--fp16' if half else ''} --deepstream apps")
    assert done.code == 0, done.err
    name = "m.fp16" if half else "m"
    assert f"apps/{name}: for DeepStream (config_infer.txt, labels.txt, model.plan)" in done.out
    folder = server.folder / "apps" / name
    config = properties(folder / "config_infer.txt")
    assert set(config) <= set(KEYS.split())
    assert config["network-type"] == "2" and config["model-color-format"] == "0" and config["batch-size"] == "1"
    assert config["infer-dims"] == f"3;{HEIGHT};{WIDTH}" and config["network-mode"] == ("2" if half else "0")
    assert config["num-detected-classes"] == str(CLASSES) and config["output-blob-names"] == "labels"
    assert Path(config["custom-lib-path"]).name == "libhyperseg_nvinfer.so" and Path(config["custom-lib-path"]).exists()
    assert (folder / config["labelfile-path"]).read_text().splitlines() == list(metadata().class_names)

    images = random_images(HEIGHT, WIDTH)
    given = nvinfer(images[0], float(config["net-scale-factor"]), floats(config["offsets"]))
    labels = run_plan((folder / config["model-engine-file"]).read_bytes(), given)
    assert labels.dtype == np.int32 and labels.shape == (1, HEIGHT, WIDTH)
    ordinary = run_plan((server.folder / f"{name}.engine").read_bytes(), images)
    np.testing.assert_array_equal(labels, ordinary)  # in half precision too: it begins after the normalisation
    if not half:
        np.testing.assert_array_equal(labels, labels_of(model, images))


def test_nvinfer_finds_the_size_of_its_map(server: Server) -> None:
    """fillSegmentationOutput (nvdsinfer_context_impl_output_parsing.cpp, DeepStream 6.2) allocates the map by the first
    output's dimensions without the batch, in segmentation-output-order: of two, it would read a third."""
    save(miniature(), server.folder / "m.onnx")
    assert server.run("m.onnx --deepstream apps").code == 0
    config = properties(server.folder / "apps/m/config_infer.txt")
    plan = (server.folder / "apps/m/model.plan").read_bytes()
    header, _ = read_plan(plan)
    (output,) = onnx.load_model_from_string(plan[-header["size"] :]).graph.output
    _, *dims = [extent.dim_value for extent in output.type.tensor_type.shape.dim]
    height, width, channels = dims if config["segmentation-output-order"] == "1" else (*dims[1:], dims[0])
    assert (height, width, channels) == (HEIGHT, WIDTH, 1)


def test_the_ordinary_engine_is_built_too(server: Server) -> None:
    save(miniature(), server.folder / "m.onnx")
    assert server.run("m.onnx --deepstream apps").code == 0
    assert len(server.requests) == 2
    assert sidecar.read_plan(server.folder / "m.engine")[1] != (server.folder / "apps/m/model.plan").read_bytes()


def test_nvinfers_size_is_fixed_and_its_batch_is_the_profiles(server: Server) -> None:
    model = miniature(dynamic=True)
    save(model, server.folder / "m.onnx")
    assert server.run("m.onnx --min 32x32 --opt 64x128 --max 96x192 --batch 4 --deepstream apps").code == 0
    config = properties(server.folder / "apps/m/config_infer.txt")
    assert (config["infer-dims"], config["batch-size"]) == ("3;64;128", "4")
    assert server.requests[1].profile == {"image": ((1, 3, 64, 128), (1, 3, 64, 128), (4, 3, 64, 128))}
    images = random_images(64, 128, batch=3)
    given = np.concatenate([nvinfer(image, 1.0, [0.0] * 3) for image in images])
    plan = (server.folder / "apps/m/model.plan").read_bytes()
    np.testing.assert_array_equal(run_plan(plan, given), labels_of(model, images))


def test_the_shipped_model(tmp_path: Path) -> None:
    """A whole network, exported with open sizes: its graph reads the image's extents."""
    source = read_model(PACKAGED_MODELS / "camvid-lite.onnx")
    edited = prepare(for_nvinfer(source, Resolution(128, 192)), EngineOptions(low_logits=False)).proto
    images = random_images(128, 192, batch=2)
    planes = images.transpose(0, 3, 1, 2).astype(np.float32)
    unedited = prepare(source, EngineOptions(low_logits=False)).proto  # sums in the same order
    np.testing.assert_array_equal(one_plane(run(edited, planes)), run(unedited, images))
    assert [extent.dim_value for extent in edited.graph.input[0].type.tensor_type.shape.dim] == [0, 3, 128, 192]


SPECS = {
    "pixels": InputSpec(64, 96, (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255), InputType.FLOAT),
    "halves": InputSpec(64, 96, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), InputType.FLOAT),
    "one deviation": InputSpec(64, 96, (0.485, 0.456, 0.406), (0.225, 0.225, 0.225), InputType.FLOAT),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_nvinfers_formula_is_our_preprocessing(spec: InputSpec) -> None:
    """Both compute (x/255 - mean)/std in float32, with three roundings of values of at most (1 + mean)/std."""
    frame = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    ours = prepare_frame(frame[..., ::-1], spec, (64, 96))
    computed = preprocessing(spec)
    theirs = nvinfer(frame, computed.scale, list(computed.offsets))
    # nvinfer: offset, difference, scale, product. Ours: scale, product, shift, sum. Each rounds by half an ulp of a
    # value of at most `largest`; a factor's rounding is relative, so it comes to the same.
    largest = max((1 + mean) / std for mean, std in zip(spec.mean, spec.std, strict=True))
    bound = 8 * np.spacing(np.float32(largest)) / 2
    assert np.abs(ours - theirs).max() <= bound
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape


def test_the_edited_models_metadata_describe_its_input(tmp_path: Path) -> None:
    """hyperseg_runtime prepares a frame for it as nvinfer does: pixels as they are."""
    edited = for_nvinfer(read_model(save(miniature(), tmp_path / "m.onnx")), Resolution(HEIGHT, WIDTH))
    frame = random_images(HEIGHT, WIDTH)[0]
    computed = preprocessing(edited.metadata.input)
    assert (computed.scale, computed.offsets) == (1.0, (0.0, 0.0, 0.0))
    given = prepare_frame(frame[..., ::-1], edited.metadata.input, (HEIGHT, WIDTH))
    np.testing.assert_array_equal(given, nvinfer(frame, computed.scale, list(computed.offsets)))


def changed(**fields: Any) -> onnx.ModelProto:
    """The miniature with other metadata."""
    float_input = fields.pop("float_input", False)
    model = miniature(input_type=InputType.FLOAT if float_input else InputType.UINT8)
    described = metadata(input_type=InputType.FLOAT if float_input else InputType.UINT8)
    if "std" in fields:
        described = replace(described, input=replace(described.input, std=fields.pop("std")))
    helper.set_model_props(model, {KEY: replace(described, **fields).to_json()})
    return model


def logits_only() -> onnx.ModelProto:
    model = changed(output=OutputKind.LOGITS)
    del model.graph.node[-2:]
    model.graph.node[-1].output[0] = "logits"
    model.graph.output[0].name = "logits"
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return model


def without_cast() -> onnx.ModelProto:
    model = miniature()
    model.graph.node[1].attribute[0].ints[:] = [0, 3, 2, 1]
    return model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (changed(float_input=True, std=(0.2, 0.3, 0.2)), "0.2, 0.3, 0.2 differ, .* export with --input-type uint8"),
        (logits_only(), "outputs logits, .* export it with --output-type labels"),
        (without_cast(), "the image's Transpose was not found where hyperseg-export writes it"),
    ],
    ids=["deviations", "logits", "another graph"],
)
def test_models_that_nvinfer_cannot_run(server: Server, model: onnx.ModelProto, message: str) -> None:
    save(model, server.folder / "m.onnx")
    done = server.run("m.onnx --deepstream apps")
    assert done.code == 1 and len(done.err.splitlines()) == 1
    assert re.search(message, done.err) and server.requests == []


def test_without_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    server = make_server(monkeypatch, capfd, tmp_path, native=("libhyperseg_trt.so",))
    save(miniature(), server.folder / "m.onnx")
    done = server.run("m.onnx --deepstream apps")
    assert done.code == 1 and "libhyperseg_nvinfer.so was not found in" in done.err
    assert "install hyperseg where DeepStream is" in done.err and server.requests == []


@pytest.mark.usefixtures("builder", "no_gpu")
@pytest.mark.parametrize("dynamic", [False, True])
def test_tensorrt_builds_the_edited_graph(tmp_path: Path, dynamic: bool) -> None:
    """A real builder, of TensorRT for RTX, accepts planar float input and INT32 labels."""
    edited = for_nvinfer(read_model(save(miniature(dynamic), tmp_path / "m.onnx")), Resolution(64, 96))
    options = EngineOptions(half=True, compute_capabilities=("8.6",))
    target = choose_target(options)
    prepared = prepare(edited, options, target.tensorrt.flavour)
    built = build_plan(prepared.proto, edited.metadata.input, options, target, NullListener())
    assert audit(layers_from_builder(built.layers)).plugin_layers == 3
