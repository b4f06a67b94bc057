"""Where ONNX Runtime placed a session's nodes: read from real sessions, and judged on a double of the CUDA provider."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hyperseg_runtime import Segmenter
from hyperseg_runtime.backends import onnxruntime as backend
from hyperseg_runtime.backends import placement
from hyperseg_runtime.backends.placement import PlacedNode, Placement
from hyperseg_runtime.backends.protocol import BackendName, SessionOptions
from hyperseg_runtime.errors import BackendUnavailableError
from hyperseg_runtime.graph_target import read_target
from hyperseg_runtime.libraries import Library, find
from hyperseg_runtime.onnx_file import GraphNode, read_nodes

from . import cuda_session
from .own_operators import write_runnable
from .stand_in import SIZE, assert_labels

ON_CPU = {"decoder/gather", "decoder/mul", "decoder/div", "decoder/concat"}
SHAPES = {"decoder/shape", *ON_CPU}
"""The nodes that ONNX Runtime prefers on the CPU, and Shape itself, which runs on CUDA."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find(Library.ONNXRUNTIME) is None:
        pytest.skip("libhyperseg_ort.so is not built")
    return write_runnable(tmp_path_factory.mktemp("placement") / "m.onnx")


def opened(path: Path, folder: Path, **providers: Any) -> tuple[onnxruntime.InferenceSession, list[dict[str, Any]]]:
    """A session with recorded placement where the release has it, and the events of one run's profile."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    settings.register_custom_ops_library(str(find(Library.ONNXRUNTIME)))
    settings.add_session_config_entry(placement.RECORD_KEY, "1")
    settings.enable_profiling = True
    settings.profile_file_prefix = str(folder / "profile")
    if "device" in providers:
        settings.add_provider_for_devices([providers["device"]], {})
        session = onnxruntime.InferenceSession(str(path), settings)
    else:
        session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    session.run(None, {"image": np.zeros((1, *SIZE, 3), np.uint8)})
    return session, json.loads(Path(session.end_profiling()).read_text())


def test_the_profile_and_the_recorded_placement_of_a_real_session(file: Path, tmp_path: Path) -> None:
    session, events = opened(file, tmp_path)
    from_profile = placement.profiled(events)
    assert {node.provider for node in from_profile} == {"CPUExecutionProvider"}
    own = [node for node in from_profile if node.operator == "UpsampleArgmax"]
    assert own == [PlacedNode("decoder/UpsampleArgmax", "UpsampleArgmax", "CPUExecutionProvider")]
    if not hasattr(session, "get_provider_graph_assignment_info"):
        pytest.skip(f"onnxruntime {onnxruntime.__version__} does not list the placement")
    recorded = placement.recorded(session)
    assert own[0] in recorded
    assert {node.name for node in recorded} >= SHAPES


def test_a_placement_that_is_really_mixed(file: Path, tmp_path: Path) -> None:
    """OpenVINO has none of our operators, and takes all others."""
    plugin = pytest.importorskip("onnxruntime_ep_openvino")
    from hyperseg_runtime.backends import openvino

    session, events = opened(file, tmp_path, device=openvino._cpu_device())
    described = read_target(file)
    for placed in (placement.recorded(session), placement.profiled(events)):
        found = Placement.of(placed, described.nodes, described.own, plugin.get_ep_name())
        assert [node.operator for node in found.elsewhere] == ["UpsampleArgmax"]
        assert found.nodes > 1
        assert "UpsampleArgmax" in str(found.refusal("m.onnx"))


def test_shape_arithmetic_is_what_never_reads_the_image(file: Path) -> None:
    assert placement.shape_arithmetic(read_nodes(file)) == SHAPES


def on_cuda(file: Path, notes: list[str]) -> backend.OnnxRuntimeSession:
    return backend.open_session(file, BackendName.ONNXRUNTIME_CUDA, SessionOptions(), notes.append)


@pytest.mark.parametrize("lists_placement", [True, False], ids=["recorded", "profiled"])
def test_a_session_whose_nodes_are_on_cuda(
    lists_placement: bool, file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cuda_session.install(monkeypatch, shape_nodes=ON_CPU, lists_placement=lists_placement)
    notes: list[str] = []
    session = on_cuda(file, notes)
    frame = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), dtype=np.uint8)
    labels = session.run(frame).labels
    assert labels is not None
    assert_labels(labels[0], frame[0])
    assert not notes
    assert not list(tmp_path.iterdir())  # no profile stays


@pytest.mark.parametrize("lists_placement", [True, False], ids=["recorded", "profiled"])
def test_a_library_without_cuda_kernels_is_an_error(
    lists_placement: bool, file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cuda_session.install(
        monkeypatch, without_kernel={"UpsampleArgmax"}, shape_nodes=ON_CPU, lists_placement=lists_placement
    )
    with pytest.raises(
        BackendUnavailableError,
        match=r"placed 1 of \d+ operators on the CPU \(UpsampleArgmax\): libhyperseg_ort\.so has no CUDA .*nvcc",
    ) as caught:
        on_cuda(file, [])
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("lists_placement", [True, False], ids=["recorded", "profiled"])
def test_standard_operators_on_the_cpu_are_noted(
    lists_placement: bool, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda_session.install(monkeypatch, without_kernel={"Cast"}, shape_nodes=ON_CPU, lists_placement=lists_placement)
    notes: list[str] = []
    on_cuda(file, notes)
    (note,) = notes
    assert "2 of " in note and "on the CPU, not on CUDAExecutionProvider (Cast)" in note


def test_providers_of_the_callers_own_are_not_judged(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor are their sessions profiled in releases that do not list the placement: every run would be recorded."""
    cuda_session.install(monkeypatch, without_kernel={"UpsampleArgmax"}, lists_placement=False)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [cuda_session.CUDA, cuda_session.CPU])
    profiling: list[bool] = []
    create = onnxruntime.InferenceSession

    def record(path: str, settings: onnxruntime.SessionOptions, **named: Any) -> Any:
        profiling.append(settings.enable_profiling)
        return create(path, settings, **named)

    monkeypatch.setattr(onnxruntime, "InferenceSession", record)
    options = SessionOptions(providers=(cuda_session.CUDA, cuda_session.CPU))
    backend.open_session(file, BackendName.ONNXRUNTIME_CUDA, options).close()
    assert profiling == [False]


def test_a_segmenter_warns(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hyperseg_runtime.backends import selection
    from hyperseg_runtime.backends.protocol import Availability

    monkeypatch.setattr(selection, "availability", lambda name: Availability(True, name.value))
    cuda_session.install(monkeypatch, without_kernel={"Cast"}, shape_nodes=ON_CPU)
    with pytest.warns(UserWarning, match="operators on the CPU, not on CUDAExecutionProvider"):
        segment = Segmenter(file)
    assert segment.backend is BackendName.ONNXRUNTIME_CUDA
    segment.close()


PROFILE = [
    {"cat": "Session", "name": "model_run", "args": {}},
    {"cat": "Node", "name": "a_fence_before", "args": {"op_name": "Conv"}},  # of releases before 1.18
    {"cat": "Node", "name": "a_kernel_time", "args": {"op_name": "Conv", "provider": "CUDAExecutionProvider"}},
    {"cat": "Node", "name": "a_kernel_time", "args": {"op_name": "Conv", "provider": "CUDAExecutionProvider"}},
    {"cat": "Node", "name": "m_kernel_time", "args": {"op_name": "MemcpyToHost", "provider": "CUDAExecutionProvider"}},
    {"cat": "Node", "name": "b_kernel_time", "args": {"op_name": "Cast", "provider": "CPUExecutionProvider"}},
    {"cat": "Kernel", "name": "implicit_gemm", "args": {}},
]


def test_nodes_without_a_name_are_counted() -> None:
    """As a tool that edits models may leave them: one of shape arithmetic must not hide the others."""
    graph = [GraphNode("", "Shape", "", ("image",), ("shape",)), GraphNode("", "Cast", "", ("image",), ("floats",))]
    placed = [PlacedNode("", node.operator, "CPUExecutionProvider") for node in graph]
    found = Placement.of(placed, graph, frozenset(), "CUDAExecutionProvider")
    assert "Cast" in str(found.note("m.onnx"))


def test_copies_and_repeated_runs_are_no_operators() -> None:
    found = Placement.of(placement.profiled(PROFILE), [], frozenset(), "CUDAExecutionProvider")
    assert (found.nodes, [node.name for node in found.elsewhere]) == (2, ["b"])
    assert found.refusal("m.onnx") is None
    assert "1 of 2 operators" in str(found.note("m.onnx"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),  # ONNX Runtime names a file that it could not create
        ("", "is incomplete"),
        ('[{"cat": "Node", "name"', "is incomplete"),  # of a full disk
        ("[]", "names no operators"),
    ],
)
def test_a_profile_that_does_not_tell_is_noted(
    content: str | None, message: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda_session.install(monkeypatch, lists_placement=False)
    written: list[Path] = []
    session_type = onnxruntime.InferenceSession
    end = session_type.end_profiling

    def end_profiling(session: Any) -> str:
        path = Path(end(session))
        written.append(path)
        if content is None:
            path.unlink()
        else:
            path.write_text(content)
        return str(path)

    monkeypatch.setattr(session_type, "end_profiling", end_profiling)
    notes: list[str] = []
    backend.open_session(file, BackendName.ONNXRUNTIME_CUDA, SessionOptions(), notes.append).close()
    (note,) = notes
    assert note.startswith(f"{file}: whether ONNX Runtime runs all of it on CUDA is not known (") and message in note
    assert not written[0].parent.exists()


def test_a_machine_without_a_temporary_folder_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda_session.install(monkeypatch, lists_placement=False)

    def none(**named: object) -> None:
        del named
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp', '/var/tmp', '/usr/tmp', '/']")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", none)
    notes: list[str] = []
    backend.open_session(file, BackendName.ONNXRUNTIME_CUDA, SessionOptions(), notes.append).close()
    assert len(notes) == 1 and "No usable temporary directory" in notes[0]


def test_a_release_that_does_not_list_the_placement_after_all(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda_session.install(monkeypatch)

    def fail(session: object) -> None:
        del session
        raise RuntimeError("[ONNXRuntimeError] : 9 :\nNOT_IMPLEMENTED")

    monkeypatch.setattr(onnxruntime.InferenceSession, "get_provider_graph_assignment_info", fail)
    notes: list[str] = []
    backend.open_session(file, BackendName.ONNXRUNTIME_CUDA, SessionOptions(), notes.append).close()
    assert len(notes) == 1 and notes[0].endswith("([ONNXRuntimeError] : 9 : NOT_IMPLEMENTED)")
