"""Which engines get their low-resolution logits, what their sidecars say, and what opening one says of the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hyperseg_export.passes.low_logits import give_low_logits
from hyperseg_runtime import sidecar
from hyperseg_runtime.backends import device_labels, tensorrt
from hyperseg_runtime.backends.protocol import BackendName, SessionOptions
from hyperseg_runtime.errors import LibraryMissingError
from hyperseg_runtime.graph_end import LOW_LOGITS
from hyperseg_runtime.json_fields import Fields
from hyperseg_runtime.sidecar import EngineFacts
from hyperseg_runtime.upsampling import Placement, labels_at

from .doubles.kernels import FakeKernels
from .doubles.tensorrt import read_plan
from .graphs import HEIGHT, WIDTH, edited, miniature, save
from .server import Server, make_server
from .sessions import needs_operators, random_images
from .signed_engines import become, describe
from .test_sidecar import FACTS


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Server:
    return make_server(monkeypatch, capfd, tmp_path)


def outputs_of(plan: Path) -> dict[str, int]:
    """Name and element type of each output: a plan of the double is the graph that TensorRT would have parsed."""
    content = plan.read_bytes()
    header, _ = read_plan(content)
    graph = onnx.load_model_from_string(content[-header["size"] :]).graph
    return {value.name: value.type.tensor_type.elem_type for value in graph.output}


@pytest.mark.parametrize("half", [False, True])
def test_engines_have_them(half: bool, server: Server) -> None:
    save(miniature(), server.folder / "m.onnx")
    done = server.run(f"m.onnx {'--fp16' if half else ''} -o m.engine")
    assert done.code == 0, done.err
    kind = onnx.TensorProto.FLOAT16 if half else onnx.TensorProto.FLOAT
    assert outputs_of(server.folder / "m.engine") == {"labels": onnx.TensorProto.UINT8, LOW_LOGITS: kind}
    assert json.loads((server.folder / "m.engine.json").read_text())["engine"]["low_logits"] is True
    assert sidecar.read(server.folder / "m.engine").engine.low_logits
    assert "outputs alone" not in done.out


@pytest.mark.parametrize("half", [False, True])
def test_inputs_and_outputs_are_contiguous(half: bool, server: Server) -> None:
    """The builder may choose any format that it is not told to leave, such as channels last in blocks of eight."""
    save(miniature(), server.folder / "m.onnx")
    done = server.run(f"m.onnx {'--fp16' if half else ''} -o m.engine")
    assert done.code == 0, done.err
    header, _ = read_plan((server.folder / "m.engine").read_bytes())
    assert header["formats"] == {}


@pytest.mark.parametrize(("host", "plan"), [("triton", "1/model.plan"), ("deepstream", "model.plan")])
def test_other_hosts_get_the_files_outputs_alone(host: str, plan: str, server: Server) -> None:
    save(miniature(), server.folder / "m.onnx")
    done = server.run(f"m.onnx --{host} hosts -o m.engine")
    assert done.code == 0, done.err
    assert list(outputs_of(server.folder / "hosts/m" / plan)) == ["labels"]
    triton = host == "triton"  # which gets a copy of the engine
    assert (LOW_LOGITS in outputs_of(server.folder / "m.engine")) is not triton
    assert sidecar.read(server.folder / "m.engine").engine.low_logits is not triton
    said = "The file's outputs alone, since Triton's clients expect no other: frames' labels are enlarged by nearest"
    assert (said in done.out) is triton


def test_sidecars_of_earlier_versions_say_that_there_are_none() -> None:
    content = FACTS.to_dict()
    del content["low_logits"]
    assert not EngineFacts.read(Fields.of(content, "m.engine.json")).low_logits


def _engine(monkeypatch: pytest.MonkeyPatch, folder: Path, low_logits: bool) -> tuple[Path, Any]:
    """An engine on a machine that can run it."""
    plugins = folder / "libhyperseg_trt.so"
    plugins.write_bytes(b"plugins")
    machine = become(monkeypatch, plugins)
    model = edited(miniature(), give_low_logits) if low_logits else miniature()
    engine = folder / "m.engine"
    engine.write_bytes(machine.plan(model))
    describe(engine, plugins, low_logits=low_logits)
    return engine, machine


def _opened(engine: Path, notes: list[str]) -> Any:
    return tensorrt.open_session(engine, BackendName.TENSORRT, SessionOptions(), notes.append)


@needs_operators
def test_an_engine_of_an_earlier_version_opens_with_a_note(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine, machine = _engine(monkeypatch, tmp_path, low_logits=False)
    notes: list[str] = []
    session = _opened(engine, notes)
    assert notes == [
        f"{engine}: labels of other sizes than its own are enlarged by nearest neighbour, in steps: the engine gives "
        "labels alone; build the engine on this machine (hyperseg-build-engine MODEL.onnx)"
    ]
    assert not session.gives_low_logits
    session.close()
    machine.assert_all_released()


@needs_operators
@pytest.mark.parametrize("problem", ["not there", "does not load"])
def test_without_kernels_it_opens_with_a_note(problem: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine, machine = _engine(monkeypatch, tmp_path, low_logits=True)

    def fail(path: Path) -> None:
        raise LibraryMissingError(f"{path} does not load: no; build it again (pip install .)")

    library = tmp_path / "libhyperseg_cuda.so"
    monkeypatch.setattr(device_labels, "find", lambda _: None if problem == "not there" else library)
    monkeypatch.setattr(device_labels, "CudaLabels", fail)
    notes: list[str] = []
    session = _opened(engine, notes)
    (note,) = notes
    assert note.startswith(f"{engine}: labels of frames are computed on the CPU, from logits that are downloaded: ")
    assert "pip install ." in note
    images = random_images(HEIGHT, WIDTH)
    expected = labels_at(session.run_low(images)[0], Placement((100, 120)))
    np.testing.assert_array_equal(session.run_labels(images, [Placement((100, 120))])[0], expected)
    session.close()
    machine.assert_all_released()


@needs_operators
def test_kernels_are_used_where_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    engine, machine = _engine(monkeypatch, tmp_path, low_logits=True)
    kernels = FakeKernels(machine.device)
    monkeypatch.setattr(device_labels, "find_kernels", lambda: kernels)
    notes: list[str] = []
    session = _opened(engine, notes)
    session.run_labels(random_images(HEIGHT, WIDTH), [Placement((50, 70))])
    assert (notes, kernels.sizes) == ([], [(50, 70)])
    session.close()
    machine.assert_all_released()
