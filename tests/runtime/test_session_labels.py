"""Sessions of ONNX Runtime with their low-resolution logits: labels of any size, and files that do not give them."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hyperseg_runtime.backends import onnxruntime as backend
from hyperseg_runtime.backends.onnxruntime_labels import BoundLabels
from hyperseg_runtime.backends.protocol import BackendName, SessionOptions
from hyperseg_runtime.errors import InputError, MetadataError, ModelError
from hyperseg_runtime.metadata import InputType, OutputKind
from hyperseg_runtime.upsampling import Placement, Window, labels_at
from onnx import TensorProto, helper

from .stand_in import SIZE, write_model


def opened(path: Path, notes: list[str]) -> Any:
    return backend.open_session(path, BackendName.ONNXRUNTIME, SessionOptions(threads=1), notes.append)


def images(seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (1, *SIZE, 3), np.uint8)


@pytest.mark.parametrize("output", list(OutputKind))
@pytest.mark.parametrize("dtype", list(InputType))
def test_sessions_give_them(output: OutputKind, dtype: InputType, tmp_path: Path) -> None:
    notes: list[str] = []
    session = opened(write_model(tmp_path / "m.onnx", output=output, dtype=dtype), notes)
    given = images() if dtype is InputType.UINT8 else np.ones((1, 3, *SIZE), np.float32)
    low = session.run_low(given)
    assert session.gives_low_logits and low.shape == (1, 12, *SIZE) and notes == []
    outputs = session.run(given)
    if outputs.logits is not None:
        np.testing.assert_array_equal(outputs.logits, low)
    if outputs.labels is not None:
        np.testing.assert_array_equal(outputs.labels, low.argmax(axis=1))
    placement = Placement((37, 200), Window(1.5, 2, 20, 30.25))
    np.testing.assert_array_equal(session.run_labels(given, [placement])[0], labels_at(low[0], placement))
    with pytest.raises(InputError, match="1 images have 2 placements; give one for each image"):
        session.run_labels(given, [placement] * 2)
    session.close()
    with pytest.raises(ModelError, match="closed"):
        session.run_labels(given, [placement])


def _edit(path: Path, edit: Any) -> Path:
    model = onnx.load(str(path))
    edit(model.graph)
    onnx.save(model, str(path))
    return path


def _softmax(graph: Any) -> None:
    """Another end: ArgMax over the last axis of channels-last logits."""
    argmax = next(each for each in graph.node if each.op_type == "ArgMax")
    at = list(graph.node).index(argmax)
    argmax.input[0] = "last"
    del argmax.attribute[:]
    argmax.attribute.extend([helper.make_attribute("axis", 3), helper.make_attribute("keepdims", 0)])
    graph.node.insert(at, helper.make_node("Transpose", ["logits"], ["last"], perm=[0, 2, 3, 1]))


def _more_channels(graph: Any) -> None:
    """Its ArgMax is over channels and something else."""
    argmax = next(each for each in graph.node if each.op_type == "ArgMax")
    at = list(graph.node).index(argmax)
    argmax.input[0] = "more"
    graph.node.insert(at, helper.make_node("Concat", ["logits", "logits"], ["more"], axis=1))


def _integers(graph: Any) -> None:
    argmax = next(each for each in graph.node if each.op_type == "ArgMax")
    at = list(graph.node).index(argmax)
    argmax.input[0] = "rounded"
    graph.node.insert(at, helper.make_node("Cast", ["scaled_up"], ["cast_up"], to=TensorProto.INT32))
    graph.node.insert(at, helper.make_node("Mul", ["logits", "logits"], ["scaled_up"]))
    graph.node.insert(at + 2, helper.make_node("Abs", ["cast_up"], ["rounded"]))


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (_softmax, "its graph does not end in a bilinear enlargement and an arg max"),
        (_more_channels, "what it enlarges has 24 channels, not 12"),
        (_integers, "what it enlarges is tensor(int32) of 4 dimensions"),
    ],
)
def test_other_graphs_open_as_before_with_one_note(edit: Any, reason: str, tmp_path: Path) -> None:
    notes: list[str] = []
    path = _edit(write_model(tmp_path / "m.onnx"), edit)
    session = opened(path, notes)
    assert session.run(images()).labels.shape == (1, *SIZE)
    assert notes == [
        f"{path}: labels of other sizes than its own are enlarged by nearest neighbour, in steps: {reason}; export it "
        "with hyperseg-export"
    ]
    assert not session.gives_low_logits
    for ask in (lambda: session.run_low(images()), lambda: session.run_labels(images(), [Placement((4, 4))])):
        with pytest.raises(ModelError, match="no logits before its end; export it with hyperseg-export"):
            ask()
    session.close()


@pytest.mark.parametrize("bound", [False, True])
def test_shapes_that_only_a_run_knows_are_checked_there(bound: bool, tmp_path: Path) -> None:
    """As behind our operators in a file that does not state shapes, ONNX Runtime lists none."""

    def edit(graph: Any) -> None:
        _more_channels(graph)
        at = next(at for at, each in enumerate(graph.node) if each.op_type == "ArgMax")
        graph.node[at].input[0] = "shaped"
        graph.node.insert(at, helper.make_node("Shape", ["more"], ["extents"]))
        graph.node.insert(at + 1, helper.make_node("Reshape", ["more", "extents"], ["shaped"]))

    notes: list[str] = []
    session = opened(_edit(write_model(tmp_path / "m.onnx", dynamic=True), edit), notes)
    assert session.gives_low_logits and notes == []
    if bound:
        _bound(session)
    with pytest.raises(ModelError, match=r"are \[1, 24, 64, 96\], not those of 12 classes; export the model again"):
        session.run_labels(images(), [Placement((4, 4))])
    assert session.run(images()).labels.shape == (1, *SIZE)
    session.close()


def test_a_graph_that_only_onnxruntime_reads_opens_with_a_note(tmp_path: Path) -> None:
    """Names that are no UTF-8, which ONNX's texts have to be."""
    path = write_model(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes().replace(b"decoder/argmax", b"decoder/argma\xff"))
    notes: list[str] = []
    session = opened(path, notes)
    (note,) = notes
    assert "in steps: its graph cannot be read; export it with" in note
    assert session.run(images()).labels.shape == (1, *SIZE)
    session.close()


def test_without_room_for_a_copy_it_opens_with_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hyperseg_runtime.backends.onnxruntime_model.copyfile", full)
    notes: list[str] = []
    session = opened(write_model(tmp_path / "m.onnx"), notes)
    (note,) = notes
    assert "it cannot be copied to" in note and "No space left on device" in note
    assert session.run(images()).labels.shape == (1, *SIZE)
    session.close()


def test_an_output_of_the_files_own_is_no_part_of_the_contract(tmp_path: Path) -> None:
    """As before: it is refused, also where it is the logits."""

    def add(graph: Any) -> None:
        graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 12, *SIZE]))

    path = _edit(write_model(tmp_path / "m.onnx"), add)
    with pytest.raises(MetadataError, match=r"its outputs are .*logits.*, its metadata declare .*labels"):
        opened(path, [])


def test_errors_name_the_file(tmp_path: Path) -> None:
    """Not the copy that is opened."""

    def break_it(graph: Any) -> None:
        graph.node[0].op_type = "Unknown"

    path = _edit(write_model(tmp_path / "m.onnx"), break_it)
    with pytest.raises(ModelError) as found:
        opened(path, [])
    assert str(found.value).startswith(f"ONNX Runtime cannot load {path}: ") and "low-logits" not in str(found.value)


def test_the_session_keeps_no_copy_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime.InferenceSession keeps the bytes of a model that it is given; it is given a path, of a file that is
    gone afterwards."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    session = opened(write_model(tmp_path / "m.onnx"), [])
    assert list(folder.iterdir()) == []
    assert session._session._model_bytes is None
    assert session.run_low(images()).shape == (1, 12, *SIZE)
    session.close()


class HostKernels:
    """libhyperseg_cuda.so's labels, in the host's memory. Rules of labels.h: the current context's, on a stream."""

    def __init__(self, driver: HostDriver, refusal: str | None = None) -> None:
        self._driver = driver
        self._refusal = refusal

    def launch(self, request: Any, stream: int) -> str | None:
        assert self._driver.pushed == 1 and stream == 0
        assert request.logits % 4 == 0
        if self._refusal is not None:
            return self._refusal
        shape = request.channels, request.height, request.width
        logits = _memory(request.logits, int(np.prod(shape)), np.float32).reshape(shape)
        size = request.out_height, request.out_width
        labels = _memory(request.labels, size[0] * size[1], np.uint8).reshape(size)
        window = Window(request.top, request.left, request.window_height, request.window_width)
        labels[:] = labels_at(logits, Placement(size, window))
        return None


def _memory(address: int, count: int, dtype: Any) -> Any:
    size = count * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_uint8 * size).from_address(address), dtype)


class HostDriver:
    """libcuda's functions of contexts (CUDA Driver API, "Primary Context Management" and "Context Management"): every
    retain needs a release, every push a pop."""

    def __init__(self) -> None:
        self.retained = self.pushed = 0

    def cuDeviceGet(self, device: Any, ordinal: Any) -> int:
        device._obj.value = ordinal.value
        return 0

    def cuDevicePrimaryCtxRetain(self, context: Any, device: Any) -> int:
        assert device.value == 0
        context._obj.value = 0x1000
        self.retained += 1
        return 0

    def cuDevicePrimaryCtxRelease_v2(self, device: Any) -> int:
        assert device.value == 0
        self.retained -= 1
        return 0

    def cuCtxPushCurrent_v2(self, context: Any) -> int:
        assert context.value == 0x1000 and self.retained > 0
        self.pushed += 1
        return 0

    def cuCtxPopCurrent_v2(self, context: Any) -> int:
        del context
        self.pushed -= 1
        return 0


def _bound(session: Any, refusal: str | None = None) -> HostDriver:
    driver = HostDriver()
    session._bound = BoundLabels(HostKernels(driver, refusal), driver, 0, place="cpu")  # type: ignore[arg-type]
    return driver


def test_labels_where_the_logits_are_bound(tmp_path: Path) -> None:
    session = opened(write_model(tmp_path / "m.onnx", dynamic=True), [])
    driver = _bound(session)
    for seed in range(3):
        given = np.concatenate([images(seed), images(seed + 10)])
        placements = [Placement((30, 50 + seed)), Placement((129, 7), Window(0.5, 3, 20, 40))]
        expected = session.run_low(given)
        found = session.run_labels(given, placements)
        for labels, logits, placement in zip(found, expected, placements, strict=True):
            np.testing.assert_array_equal(labels, labels_at(logits, placement))
    assert (driver.retained, driver.pushed) == (0, 0)
    with pytest.raises(InputError, match="the window's rows, 64 to 65, are none of the logits' 64"):
        session.run_labels(images(), [Placement((4, 4), Window(64, 0, 1, 1))])
    session.close()


@pytest.mark.parametrize("size", [(4_194_304, 1), (1, 4_194_304), (0, 4)])
def test_a_size_beyond_the_kernels_is_refused_before_they_are_asked(size: tuple[int, int], tmp_path: Path) -> None:
    """Else their refusal would be taken for that of the GPU, and labels computed on the CPU from then on."""
    notes: list[str] = []
    session = opened(write_model(tmp_path / "m.onnx"), notes)
    _bound(session, "rows: 4194304 of 64; expected 1 to 4194303")
    with pytest.raises(InputError, match=r"are not computed; give 1 to 4194303|0 x 4 pixels is empty"):
        session.run_labels(images(), [Placement(size)])
    assert notes == [] and session._bound is not None
    session.close()


def test_labels_without_memory_are_the_callers_error_and_the_session_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("BFCArena::AllocateRawInternal Available memory of 0 is smaller\nthan requested")

    session = opened(write_model(tmp_path / "m.onnx"), [])
    _bound(session)
    with monkeypatch.context() as context:
        context.setattr("onnxruntime.OrtValue.ortvalue_from_shape_and_type", full)
        with pytest.raises(InputError, match=r"no memory for 0 MB of labels \(BFCArena.* requested\); segment fewer"):
            session.run_labels(images(), [Placement((30, 50))])
    expected = labels_at(session.run_low(images())[0], Placement((30, 50)))
    np.testing.assert_array_equal(session.run_labels(images(), [Placement((30, 50))])[0], expected)
    session.close()


def test_where_kernels_refuse_the_cpu_computes_them(tmp_path: Path) -> None:
    notes: list[str] = []
    session = opened(write_model(tmp_path / "m.onnx"), notes)
    session._note = notes.append
    driver = _bound(session, "there is no code for this device")
    expected = labels_at(session.run_low(images())[0], Placement((30, 50)))
    for _ in range(2):
        np.testing.assert_array_equal(session.run_labels(images(), [Placement((30, 50))])[0], expected)
    (note,) = notes
    assert note.endswith("from logits that are downloaded: there is no code for this device")
    assert (driver.retained, driver.pushed) == (0, 0)
    session.close()
