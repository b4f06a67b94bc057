"""A model repository of Triton: read with Triton's own schema, and held to the rules of its TensorRT backend."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from hyperseg_runtime import sidecar
from hyperseg_runtime.backends.tensorrt_flavour import Flavour
from hyperseg_runtime.metadata import KEY, InputType, Metadata

from .doubles.tensorrt import read_plan
from .graphs import CLASSES, HEIGHT, WIDTH, metadata, miniature, save
from .server import VERSION, Server, make_server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Server:
    return make_server(monkeypatch, capfd, tmp_path)


@pytest.fixture(scope="module")
def schema() -> Any:
    """inference.ModelConfig of Triton's client, loaded by itself: the rest of the client needs gRPC."""
    package = importlib.util.find_spec("tritonclient")
    if package is None or not package.submodule_search_locations:
        pytest.skip("tritonclient is not installed (requirements/pinned.txt)")
    path = Path(package.submodule_search_locations[0]) / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parse(schema: Any, path: Path) -> Any:
    """Raises for a field or a value that Triton does not know."""
    from google.protobuf import text_format

    return text_format.Parse(path.read_text(), schema.ModelConfig())


def check_shapes(schema: Any, config: Any, plan: bytes) -> None:
    """As tensorrt_backend does on loading (release 2.73, src/tensorrt_utils.cc: CompareDimsSupported, and
    src/model_state.cc: AutoCompleteConfigHelper): names and types are the engine's, and so are the dimensions, after a
    wildcard for the batch where max_batch_size is over 0, which the profile must allow."""
    header, problem = read_plan(plan)
    assert problem is None
    graph = onnx.load_model_from_string(plan[-header["size"] :]).graph
    types = {onnx.TensorProto.UINT8: schema.TYPE_UINT8, onnx.TensorProto.FLOAT: schema.TYPE_FP32}
    constants = {tensor.name for tensor in graph.initializer}
    for declared, actual in (
        (config.input, [value for value in graph.input if value.name not in constants]),
        (config.output, graph.output),
    ):
        assert [tensor.name for tensor in declared] == [value.name for value in actual]
        for tensor, value in zip(declared, actual, strict=True):
            engine = [extent.dim_value or -1 for extent in value.type.tensor_type.shape.dim]
            assert tensor.data_type == types[value.type.tensor_type.elem_type]
            assert ([-1] if config.max_batch_size else []) + list(tensor.dims) == engine
    profile = header["profile"]
    if config.max_batch_size:
        assert config.max_batch_size == profile["image"][2][0]


def test_a_fixed_model(server: Server, schema: Any) -> None:
    save(miniature(), server.folder / "m.onnx")
    done = server.run("m.onnx --fp16 --triton models")
    assert done.code == 0, done.err
    assert "models/m.fp16: for Triton (config.pbtxt, labels.txt, 1/model.plan)" in done.out
    folder = server.folder / "models/m.fp16"
    plan = (folder / "1/model.plan").read_bytes()
    assert plan == (server.folder / "m.fp16.engine").read_bytes()
    config = parse(schema, folder / "config.pbtxt")
    check_shapes(schema, config, plan)
    assert (config.name, config.backend, config.platform) == ("m.fp16", "tensorrt", "tensorrt_plan")
    assert (config.max_batch_size, list(config.input[0].dims)) == (0, [1, HEIGHT, WIDTH, 3])
    assert not config.HasField("dynamic_batching")
    assert [group.kind for group in config.instance_group] == [schema.ModelInstanceGroup.KIND_GPU]
    assert list(config.version_policy.specific.versions) == [1]


def test_it_has_what_a_client_needs(server: Server, schema: Any) -> None:
    model = miniature()
    named = metadata().to_dict() | {"class_names": ['say "hi"', "back\\slash", *map(str, range(2, CLASSES))]}
    model.metadata_props[0].value = json.dumps(named)
    save(model, server.folder / "m.onnx")
    assert server.run("m.onnx --triton models").code == 0
    folder = server.folder / "models/m"
    described = sidecar.read(server.folder / "m.engine")
    config = parse(schema, folder / "config.pbtxt")
    assert Metadata.from_json(config.parameters[KEY].string_value) == described.metadata
    assert (folder / "labels.txt").read_text().splitlines() == named["class_names"]
    comment = (folder / "config.pbtxt").read_text()
    assert VERSION in comment and "8.9" in comment and described.engine.plan_sha256 in comment
    assert "--backend-config=tensorrt,plugins=" in comment


@pytest.mark.parametrize("input_type", list(InputType))
@pytest.mark.parametrize("batch", [1, 4])
def test_a_dynamic_model(server: Server, schema: Any, input_type: InputType, batch: int) -> None:
    save(miniature(dynamic=True, input_type=input_type), server.folder / "m.onnx")
    assert server.run(f"m.onnx --min 32x32 --opt 64x96 --max 128x192 --batch {batch} --triton models").code == 0
    config = parse(schema, server.folder / "models/m/config.pbtxt")
    check_shapes(schema, config, (server.folder / "models/m/1/model.plan").read_bytes())
    assert config.max_batch_size == batch
    assert config.HasField("dynamic_batching") == (batch > 1)
    (warm_up,) = config.model_warmup
    zeros = warm_up.inputs["image"]
    assert warm_up.batch_size == 1 and zeros.zero_data and zeros.data_type == config.input[0].data_type
    assert sorted(zeros.dims) == [3, 64, 96]


def test_json_has_the_folders(server: Server) -> None:
    save(miniature(), server.folder / "m.onnx")
    report = json.loads(server.run("m.onnx --triton models --deepstream apps --json").out)
    assert (report["triton"], report["deepstream"]) == ("models/m", "apps/m")


def test_what_is_there_is_kept(server: Server) -> None:
    save(miniature(), server.folder / "m.onnx")
    config = server.folder / "models/m/config.pbtxt"
    config.parent.mkdir(parents=True)
    config.write_text("mine")
    done = server.run("m.onnx --triton models")
    assert done.code == 1 and "config.pbtxt exists and was kept; replace it with --force" in done.err
    assert (config.read_text(), server.requests) == ("mine", [])
    assert sorted(path.name for path in server.folder.rglob("*") if path.is_file()) == ["config.pbtxt", "m.onnx"]
    assert server.run("m.onnx --triton models --force").code == 0
    assert config.read_text() != "mine"


def test_a_failed_copy_leaves_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, content: bytes) -> int:
        if path.name.endswith(".part") and "models" in path.parts:
            raise OSError(28, "No space left on device")
        return write(path, content)

    write = Path.write_bytes
    save(miniature(), server.folder / "m.onnx")
    monkeypatch.setattr(Path, "write_bytes", fail)
    done = server.run("m.onnx --triton models")
    assert done.code == 1 and "the disk is full" in done.err
    assert sorted(path.name for path in server.folder.iterdir()) == ["m.engine", "m.engine.json", "m.onnx"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("-o 'my engine.engine' --triton models", "'my engine' cannot be the name of a served model"),
        ("-o .engine --triton models", "'' cannot be the name of a served model"),
        ("--triton m.onnx", "m.onnx is a file, not a folder; name another folder"),
        ("-o models/model/1/model.plan --triton models", "would be both the engine and Triton's plan"),
        ("--triton hosts --deepstream hosts", "labels.txt would be both Triton's labels and DeepStream's labels"),
    ],
)
def test_errors_come_before_the_build(server: Server, arguments: str, message: str) -> None:
    save(miniature(), server.folder / "m.onnx")
    (server.folder / "models/model/1").mkdir(parents=True)
    done = server.run(f"m.onnx {arguments}")
    assert (done.code, message in done.err, len(done.err.splitlines())) == (1, True, 1), done.err
    assert server.requests == []


@pytest.mark.parametrize("option", ["--triton", "--deepstream"])
def test_tensorrt_for_rtx_is_refused(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Triton's backend and DeepStream link libnvinfer; plans of TensorRT for RTX need libtensorrt_rtx."""
    server = make_server(monkeypatch, capfd, tmp_path, flavour=Flavour.RTX)
    save(miniature(), server.folder / "m.onnx")
    done = server.run(f"m.onnx {option} models")
    assert done.code == 1 and "not of TensorRT for RTX; build on the GPU" in done.err and server.requests == []
