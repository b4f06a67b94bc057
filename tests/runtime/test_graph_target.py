"""The target of an ONNX file, by metadata and graph, and the backend that is chosen for it."""

from __future__ import annotations

import json
from pathlib import Path

import cuda_operators
import onnx
import pytest
from hyperseg_runtime import Segmenter
from hyperseg_runtime.backends import onnxruntime as backend
from hyperseg_runtime.backends import selection
from hyperseg_runtime.backends.protocol import AUTO, Availability, BackendName, SessionOptions
from hyperseg_runtime.benchmark.record import ModelFacts
from hyperseg_runtime.benchmark.subject import Opening, Subject
from hyperseg_runtime.diagnosis import examine
from hyperseg_runtime.discovery import locate
from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.graph_target import CUDA_OPERATORS, read_target
from hyperseg_runtime.metadata import Metadata, Precision, Target
from hyperseg_runtime.onnx_file import read_nodes
from hyperseg_runtime.provenance import stale_export

from .conftest import Finished
from .own_operators import write_for, write_quantised, write_runnable

CUDA = ("DPWConv", "DPWInvertedResidual", "UpsampleArgmax")
CPU_ONLY = ("MBConv", "DPWConv", "MBConv")


def test_the_operators_with_cuda_kernels_are_those_that_the_library_registers() -> None:
    assert cuda_operators.registered_for_cuda() == CUDA_OPERATORS


def test_nodes_are_read_as_onnx_reads_them(tmp_path: Path) -> None:
    path = write_runnable(tmp_path / "m.onnx")
    expected = [
        (node.name, node.op_type, node.domain, tuple(node.input), tuple(node.output))
        for node in onnx.load(path).graph.node
    ]
    assert [(one.name, one.operator, one.domain, one.inputs, one.outputs) for one in read_nodes(path)] == expected


@pytest.mark.parametrize(
    ("declared", "operators", "target"),
    [
        (None, (), Target.PORTABLE),
        (None, CUDA, Target.CUDA),
        (None, CPU_ONLY, Target.CPU),
        (None, ("MappedDPWConv",), Target.CPU),  # the name in files of version 0.1.0
        (None, ("QuantizeLinear",), Target.CPU),
        (Target.CPU, CPU_ONLY, Target.CPU),
        (Target.CPU, CUDA, Target.CPU),  # as every file in float16
        (Target.CUDA, CUDA, Target.CUDA),
        (Target.CUDA, (), Target.CUDA),  # a network without dynamic convolutions
        (Target.TENSORRT, CUDA, Target.TENSORRT),
        (Target.PORTABLE, (), Target.PORTABLE),
    ],
)
def test_the_target_of_a_file(
    declared: Target | None, operators: tuple[str, ...], target: Target, tmp_path: Path
) -> None:
    found = read_target(write_for(tmp_path / "m.onnx", declared, *operators))
    assert (found.target, found.contradiction) == (target, None)


@pytest.mark.parametrize(
    ("declared", "operators", "target", "said"),
    [
        (Target.CUDA, CPU_ONLY, Target.CPU, "exported for cuda, but has operators that only the CPU has (MBConv)"),
        (Target.TENSORRT, CPU_ONLY, Target.CPU, "exported for tensorrt, but has operators that only the CPU has"),
        (Target.PORTABLE, CUDA, Target.CUDA, "exported for portable, but has operators of hyperseg's own"),
        (Target.PORTABLE, CPU_ONLY, Target.CPU, "exported for portable, but"),
    ],
)
def test_the_graph_is_right_where_the_metadata_are_wrong(
    declared: Target, operators: tuple[str, ...], target: Target, said: str, tmp_path: Path
) -> None:
    found = read_target(write_for(tmp_path / "m.onnx", declared, *operators))
    assert found.target is target
    assert said in str(found.contradiction) and "\n" not in str(found.contradiction)
    if target is Target.CPU:
        assert found.cuda_misfit == found.cuda_refusal == found.contradiction


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with CUDA for ONNX Runtime, as far as `choose` asks."""
    monkeypatch.setattr(selection, "availability", lambda name: Availability(True, name.value))


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("operators", [(), CUDA])
@pytest.mark.parametrize("declared", [None, Target.CPU, Target.CUDA, Target.TENSORRT])
def test_auto_takes_cuda_for_files_that_fit_it(
    declared: Target | None, operators: tuple[str, ...], tmp_path: Path
) -> None:
    notes: list[str] = []
    path = write_for(tmp_path / "m.onnx", declared, *operators)
    assert selection.choose(path, AUTO, notes.append) is BackendName.ONNXRUNTIME_CUDA
    assert not notes


@pytest.mark.usefixtures("cuda")
@pytest.mark.parametrize("declared", [None, Target.CPU, Target.CUDA])
def test_auto_runs_files_for_the_cpu_there_and_says_so(declared: Target | None, tmp_path: Path) -> None:
    notes: list[str] = []
    path = write_for(tmp_path / "m.onnx", declared, *CPU_ONLY)
    assert selection.choose(path, AUTO, notes.append) is BackendName.ONNXRUNTIME
    (note,) = notes
    assert "exported for" in note and "--target cuda" in note
    assert selection.choose(path, "onnxruntime-cuda", notes.append) is BackendName.ONNXRUNTIME_CUDA
    assert len(notes) == 1  # opening it there is an error


@pytest.mark.usefixtures("cuda")
def test_auto_says_that_a_file_is_not_what_it_claims_to_be(tmp_path: Path) -> None:
    notes: list[str] = []
    path = write_for(tmp_path / "m.onnx", Target.PORTABLE, *CUDA)
    assert selection.choose(path, AUTO, notes.append) is BackendName.ONNXRUNTIME_CUDA
    (note,) = notes
    assert "exported for portable, but has operators of hyperseg's own" in note and "--target portable)" in note


@pytest.mark.usefixtures("cuda")
def test_the_way_to_the_gpu_of_a_model_with_a_portable_twin(tmp_path: Path) -> None:
    path, twin = write_for(tmp_path / "m.onnx", None, *CPU_ONLY), tmp_path / "m.portable.onnx"
    write_for(twin, Target.PORTABLE)
    assert str(read_target(path).cuda_misfit).endswith(f"for the GPU: --model {twin}")
    assert f"use --model {twin}" in str(read_target(path).cuda_refusal)


def test_a_machine_without_cuda_says_nothing(tmp_path: Path) -> None:
    path, notes = write_for(tmp_path / "m.onnx", Target.CPU, *CPU_ONLY), list[str]()
    assert selection.choose(path, AUTO, notes.append) is BackendName.ONNXRUNTIME
    assert not notes


def test_cuda_is_refused_for_a_file_for_the_cpu(tmp_path: Path) -> None:
    path = write_for(tmp_path / "m.onnx", Target.CPU, *CPU_ONLY)
    with pytest.raises(
        ModelError, match=r"2 of its \d+ operators run only there \(MBConv\).*--target cuda\)"
    ) as caught:
        backend.open_session(path, BackendName.ONNXRUNTIME_CUDA, SessionOptions())
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("cuda")
def test_python_gets_a_warning(tmp_path: Path) -> None:
    path = write_quantised(tmp_path / "m.onnx")
    with (
        pytest.warns(UserWarning, match="was exported for the CPU and runs there") as caught,
        Segmenter(path) as opened,
    ):
        assert opened.backend is BackendName.ONNXRUNTIME
    assert [Path(one.filename) for one in caught] == [Path(__file__)]


@pytest.mark.usefixtures("cuda")
def test_hyperseg_run_says_it_in_one_line(tmp_path: Path, hyperseg_run: object) -> None:
    import cv2
    import numpy as np

    path = write_quantised(tmp_path / "m.onnx")
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    done: Finished = hyperseg_run("a.png", "--model", path)  # type: ignore[operator]
    assert done.code == 0
    assert done.err == (
        f"hyperseg-run: note: {path} was exported for the CPU and runs there; "
        "for the GPU: hyperseg-export --target cuda\n"
    )


@pytest.mark.usefixtures("cuda")
def test_a_benchmark_names_target_and_misfit(tmp_path: Path) -> None:
    path, notes = write_quantised(tmp_path / "m.onnx"), list[str]()
    subject = Subject.open("m", path, Opening(), notes.append)
    with subject.segmenter:
        facts = ModelFacts.of(subject, 0, None)
    assert json.loads(json.dumps(facts.to_dict()))["target"] == "cpu"
    assert "was exported for the CPU" in notes[0]


def test_the_doctor_tells_the_target(tmp_path: Path) -> None:
    path = write_for(tmp_path / "m.onnx", Target.CUDA)
    assert examine(tmp_path).model.detail.endswith("; for target cuda")
    write_for(path, Target.CUDA, *CPU_ONLY)
    assert "; for target cpu; " in examine(tmp_path).model.detail
    assert "says that it was exported for cuda, but" in examine(tmp_path).model.detail


def test_the_shipped_model_on_cuda_is_the_portable_one() -> None:
    assert locate("camvid-lite", backend="onnxruntime-cuda").path.name == "camvid-lite.portable.onnx"


@pytest.mark.parametrize(
    ("target", "precision", "operators", "options"),
    [
        (Target.CPU, Precision.FLOAT32, CPU_ONLY, " --onnx --force"),
        (Target.CUDA, Precision.FLOAT32, CUDA, " --onnx --target cuda --force"),
        (Target.TENSORRT, Precision.FLOAT16, CUDA, " --onnx --target tensorrt --fp16 --force"),
        (Target.PORTABLE, Precision.FLOAT32, (), " --onnx --target portable --force"),
        (None, Precision.FLOAT32, CUDA, " --onnx --target cuda --force"),
        (None, Precision.FLOAT32, (), " --onnx --target portable --force"),
        (None, Precision.FLOAT32, CPU_ONLY, " --onnx --force"),
        (None, Precision.FLOAT16, CUDA, " --onnx --fp16 --force"),
    ],
)
def test_the_remedy_of_a_stale_file_names_its_target(
    target: Target | None, precision: Precision, operators: tuple[str, ...], options: str, tmp_path: Path
) -> None:
    path = write_for(tmp_path / "m.onnx", target, *operators, precision=precision)
    properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    (tmp_path / "m.pt").write_bytes(b"another")
    content = {**Metadata.from_properties(properties).to_dict(), "checkpoint_sha256": "0" * 64}
    text = stale_export(path, Metadata.from_dict(content))
    assert text is not None and f"--ckpt m.pt{options})" in text


def test_files_of_earlier_versions_stay_readable_and_unknown_targets_are_errors() -> None:
    content = Metadata.from_json(_text()).to_dict()
    assert Metadata.from_dict({**content, "target": None}).target is None
    without = {key: value for key, value in content.items() if key != "target"}
    assert Metadata.from_dict(without).target is None
    for wrong in ("gpu", "CUDA", 1, ["cpu"], ""):
        with pytest.raises(Exception, match="target") as caught:
            Metadata.from_dict({**content, "target": wrong})
        assert "cpu, cuda, tensorrt, portable" in str(caught.value) or "not a text" in str(caught.value)


def _text() -> str:
    from .stand_in import SIZE, InputType, OutputKind, metadata

    return metadata(OutputKind.LABELS, InputType.UINT8, SIZE).to_json()
