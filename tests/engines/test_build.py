"""Real engines, built ahead of time by TensorRT for RTX, without a GPU."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from hyperseg_export.engine import EngineOptions, build_engine
from hyperseg_export.errors import BuildCrashError, EngineError, OptionError, UnsupportedOperatorError
from hyperseg_export.options import Resolution
from hyperseg_export.progress import Step
from hyperseg_runtime import libraries, sidecar
from hyperseg_runtime.errors import HyperSegError, MetadataError, ModelError, OutputError
from hyperseg_runtime.metadata import Precision
from onnx import helper, numpy_helper

from .graphs import halved, miniature, save

pytestmark = [pytest.mark.usefixtures("builder", "no_gpu")]
COMMAND = [sys.executable, "-m", "hyperseg_export.cli.build_engine"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save(miniature(), tmp_path / "m.onnx")


@pytest.mark.parametrize("capability", ["7.5", "8.6", "8.9", "12.0"])
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("dynamic", [False, True])
def test_engines(tmp_path: Path, capability: str, half: bool, dynamic: bool) -> None:
    source = save(miniature(dynamic), tmp_path / "m.onnx")
    report = build_engine(source, options=EngineOptions(half=half, compute_capabilities=(capability,)))
    assert report.engine.name == ("m.fp16.engine" if half else "m.engine")
    described, plan = sidecar.read_plan(report.engine)
    assert len(plan) == report.bytes
    assert described.engine.compute_capabilities == (capability,)
    assert described.engine.plugin_layers == 3
    assert described.engine.onnx_name == "m.onnx"
    assert described.engine.half_share > 0.8 if half else described.engine.half_layers == 0
    assert described.metadata.precision is (Precision.FLOAT16 if half else Precision.FLOAT32)
    assert not described.engine.executed and report.not_executed is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["m.onnx", report.engine.name, report.sidecar.name]
    )


def test_without_a_target_it_is_for_the_usual_ones(model: Path) -> None:
    assert build_engine(model).facts.compute_capabilities == ("8.6", "8.9", "12.0")


def test_an_optional_input_left_out(tmp_path: Path) -> None:
    """TensorRT's parser passes "" as a null tensor, which the plugin does not support; the gap is closed."""
    model = miniature()
    node = next(node for node in model.graph.node if node.op_type == "DPWConv")
    node.input.append("")
    build_engine(save(model, tmp_path / "m.onnx"))


def test_no_output_replaces_the_model_or_another_output(model: Path) -> None:
    content = model.read_bytes()
    for output, cache, message in (
        ("m.onnx", None, "the model itself"),
        ("m.engine", "m.onnx", "the model itself"),
        ("m.engine", "m.engine", "both the engine and the timing cache"),
        ("m.engine", "m.engine.json", "both the engine's description and the timing cache"),
    ):
        options = EngineOptions(force=True, timing_cache=None if cache is None else model.with_name(cache))
        with pytest.raises(OutputError, match=message):
            build_engine(model, model.with_name(output), options)
    assert [path.name for path in model.parent.iterdir()] == ["m.onnx"] and model.read_bytes() == content


def test_profiles(tmp_path: Path) -> None:
    source = save(miniature(dynamic=True), tmp_path / "m.onnx")
    options = EngineOptions(least=Resolution(32, 32), most=Resolution(128, 192), batch=4, half=True)
    assert build_engine(source, options=options).audit.plugin_layers == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"least": Resolution(40, 64)}, r"--min 40x64: height 40 is not a multiple of 32; use 32"),
        ({"least": Resolution(128, 128), "best": Resolution(64, 96)}, r"--min 128x128 is higher or wider than --opt"),
        ({"most": Resolution(32, 32), "best": Resolution(64, 96)}, r"--opt 64x96 is higher or wider than --max 32x32"),
        ({"batch": 0}, r"--batch 0 is not between 1 and"),
    ],
)
def test_impossible_profiles(tmp_path: Path, options: dict[str, object], message: str) -> None:
    source = save(miniature(dynamic=True), tmp_path / "m.onnx")
    with pytest.raises(EngineError, match=message):
        build_engine(source, options=EngineOptions(**options))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == [source]


def test_a_profile_for_fixed_shapes(model: Path) -> None:
    with pytest.raises(EngineError, match=r"is fixed to 64x96, so it has no profile; .*--dynamic"):
        build_engine(model, options=EngineOptions(most=Resolution(64, 96)))


def test_a_model_in_half_precision(tmp_path: Path) -> None:
    model, _ = halved(miniature())
    source = save(model, tmp_path / "m.onnx")
    with pytest.raises(EngineError, match="computes in float16 already; build it without --fp16"):
        build_engine(source, options=EngineOptions(half=True))
    assert build_engine(source).audit.half_share > 0.8


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"", ModelError, "is empty"),
        (b"no ONNX file at all", ModelError, "is not an ONNX file"),
        (onnx.ModelProto().SerializeToString() + b"\x08\x08", ModelError, "is not an ONNX file, or has an empty graph"),
    ],
)
def test_files_that_are_no_model(tmp_path: Path, content: bytes, kind: type[HyperSegError], message: str) -> None:
    source = tmp_path / "m.onnx"
    source.write_bytes(content)
    with pytest.raises(kind, match=message):
        build_engine(source)


def test_a_model_of_another_project(tmp_path: Path) -> None:
    model = miniature()
    del model.metadata_props[:]
    with pytest.raises(MetadataError, match="was not written by hyperseg-export"):
        build_engine(save(model, tmp_path / "m.onnx"))


def test_operators_that_tensorrt_does_not_know(tmp_path: Path) -> None:
    model = miniature()
    model.graph.node.append(helper.make_node("Det", ["gate"], ["nothing"], name="strange"))
    with pytest.raises(UnsupportedOperatorError, match=r"Det \(node strange\): TensorRT .* does not support it"):
        build_engine(save(model, tmp_path / "m.onnx"))


def test_an_attribute_that_the_plugin_does_not_know(tmp_path: Path) -> None:
    """As with a plugin library older than the command."""
    model = miniature()
    node = next(node for node in model.graph.node if node.op_type == "DPWConv")
    node.attribute.append(helper.make_attribute("dilation", 2))
    with pytest.raises(UnsupportedOperatorError, match=r"libhyperseg_trt.so does not support dilation; rebuild it"):
        build_engine(save(model, tmp_path / "m.onnx"))


def test_a_node_that_the_plugin_refuses(tmp_path: Path) -> None:
    model = miniature()
    node = next(node for node in model.graph.node if node.op_type == "DPWConv")
    next(attribute for attribute in node.attribute if attribute.name == "offset").i = 1
    with pytest.raises(EngineError, match=r"DPWConv: theta holds 80 weights a patch .* but offset 1 and 80 weights"):
        build_engine(save(model, tmp_path / "m.onnx"))
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_an_unknown_capability(model: Path) -> None:
    with pytest.raises(EngineError, match=r"does not build for compute capability 9.0; it supports 7.5, "):
        build_engine(model, options=EngineOptions(compute_capabilities=("9.0",)))
    with pytest.raises(OptionError, match=r"'sm_86' is not MAJOR.MINOR"):
        EngineOptions(compute_capabilities=("sm_86",))


def test_an_existing_engine_is_kept(model: Path) -> None:
    existing = model.with_name("m.engine.json")
    existing.write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match=r"m.engine.json exists and was kept"):
        build_engine(model)
    assert existing.read_text(encoding="utf-8") == "mine"
    build_engine(model, options=EngineOptions(force=True))


@pytest.mark.parametrize("name", ["SIGABRT", "SIGSEGV"])
def test_a_build_that_dies_is_reported(model: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own process continues, and no files are left."""
    folder = model.parent / "crash"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        f"import os, signal, sys\nif 'hyperseg_export.engine.worker' in sys.orig_argv:"
        f" os.kill(os.getpid(), signal.{name})\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr("hyperseg_export.engine.process._prepend", lambda *_: None)
    with pytest.raises(BuildCrashError, match=f"ended the build process with {name}"):
        build_engine(model)
    assert sorted(path.name for path in model.parent.iterdir()) == ["crash", "m.onnx"]


def heavy(model: onnx.ModelProto, channels: int) -> onnx.ModelProto:
    """The model with two more convolutions, of `channels` * 80 weights in float32."""
    node = next(node for node in model.graph.node if node.output[0] == "deep")
    node.output[0] = "deep0"
    random = np.random.default_rng(0)
    for name, shape in (("wide", (channels, 8, 3, 3)), ("narrow", (8, channels, 1, 1))):
        weights = random.standard_normal(shape).astype(np.float32) / np.float32(np.prod(shape[1:]))
        model.graph.initializer.append(numpy_helper.from_array(weights, f"{name}_weights"))
    position = list(model.graph.node).index(node) + 1
    added = [
        helper.make_node("Conv", ["deep0", "wide_weights"], ["wide"], name="wide_node", pads=[1] * 4),
        helper.make_node("Conv", ["wide", "narrow_weights"], ["deep"], name="narrow_node"),
    ]
    for node in reversed(added):
        model.graph.node.insert(position, node)
    return model


def test_no_space_on_the_disk(tmp_path: Path) -> None:
    """A limit on the size of files replaces a full disk: writes fail in the same way.

    It leaves room for the plugin library, which is copied into memory, and for the prepared model, but not for the
    plan, which has the model's weights and its kernels.
    """
    library = libraries.require(libraries.Library.TENSORRT).stat().st_size
    model = save(heavy(miniature(), channels=library // 320), tmp_path / "m.onnx")
    room = model.stat().st_size + (1 << 17)
    assert room > library

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    done = subprocess.run([*COMMAND, model], capture_output=True, text=True, preexec_fn=limit, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "was not written" in done.stderr
    assert [path.name for path in model.parent.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_leaves_nothing(model: Path, number: signal.Signals) -> None:
    process = subprocess.Popen([*COMMAND, model], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not _children(process.pid) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    assert complaint.strip() == "hyperseg-build-engine: error: interrupted"
    assert [path.name for path in model.parent.iterdir()] == ["m.onnx"]


def _children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").strip()


def test_the_command(model: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--fp16", "--keep-fp32"], cwd=model.parent, capture_output=True, text=True, check=True
    )
    assert "Model: m.onnx (the only model in" in done.stdout
    assert "3 plugins" in done.stdout and "in half precision" in done.stdout
    assert "GlobalAveragePool pooled_node: sums over many values" in done.stdout
    assert "Nothing was executed: there is no GPU here" in done.stdout
    assert done.stderr == ""


class Recorder:
    """Records the stages and shares of a build."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.shares: list[float] = []

    def step(self, step: Step) -> None:
        self.steps.append(step)

    def progress(self, phase: str, share: float) -> None:
        assert self.steps[-1].number == 2, phase
        self.shares.append(share)

    def message(self, text: str) -> None:
        pass

    def note(self, text: str) -> None:
        pass


def test_a_build_reports_its_passes_and_tensorrts_phases(model: Path) -> None:
    recorder = Recorder()
    build_engine(model, options=EngineOptions(compute_capabilities=("8.6",)), listener=recorder)
    details = [step.detail for step in recorder.steps if step.number == 1]
    assert details[0] == "" and details[1].startswith(f"pass 1 of {len(details) - 1}, ")
    assert [step.number for step in recorder.steps if not step.detail] == [1, 2, 3]
    assert recorder.shares == sorted(recorder.shares) and recorder.shares[-1] > 0.5


def test_the_commands_json(model: Path) -> None:
    options = ["--compute-capability", "8.6", "8.9", "--keep-fp32", "Sigmoid", "--fp16", "--json"]
    done = subprocess.run([*COMMAND, *options, model], capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert done.stderr == ""
    assert report["compute_capabilities"] == ["8.6", "8.9"]
    assert {"node": "gate_node", "operator": "Sigmoid", "reason": "asked for"} in report["kept_float32"]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["nothing.onnx"], ["--fp16", "m.onnx"], ["--keep-fp32", "X", "m.onnx"]]
)
def test_torch_is_never_imported(model: Path, arguments: list[str]) -> None:
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from hyperseg_export.cli.build_engine import main\n"
        f"sys.argv = ['hyperseg-build-engine', *{arguments!r}]\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=model.parent, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr and "torch" not in done.stderr
    assert done.returncode == {"--help": 0, "nothing.onnx": 1, "--fp16": 0, "--keep-fp32": 2}[arguments[0]]
