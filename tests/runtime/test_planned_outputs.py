"""Outputs are planned as a whole: none replaces an input, the model or another output, and names are checked first."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hyperseg_runtime import planned_outputs
from hyperseg_runtime.errors import OutputError
from hyperseg_runtime.planned_outputs import PlannedOutputs
from hyperseg_runtime.planning import ImageTask, Outputs, VideoTask, plan

from .conftest import ENVIRONMENT, Finished
from .stand_in import write_model

PNG = b"\x89PNG\r\n\x1a\n"
MP4 = b"\0\0\0\x18ftypisom"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with in/a.png, in/a.mp4, other/a.png, c.mp4 and d.png."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    for name, content in {"in/a.png": PNG, "in/a.mp4": MP4, "other/a.png": PNG, "c.mp4": MP4, "d.png": PNG}.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(content)
    return tmp_path


def planned(*inputs: str, **outputs: object) -> list[Path]:
    """The results' paths."""
    found: list[Path] = []
    for task in plan(inputs, Outputs(**outputs)).tasks:  # type: ignore[arg-type]
        found += task.target_of.values() if isinstance(task, ImageTask) else [task.target]
    return found


def symbolic(name: str, target: str) -> None:
    Path(name).symlink_to(target)


def hard(name: str, target: str) -> None:
    Path(name).hardlink_to(target)


COLLISIONS: dict[str, tuple[tuple[str, ...], dict[str, object], str]] = {
    "input": (("c.mp4",), {"path": "c.mp4"}, "the input itself"),
    "input by another path": (("c.mp4",), {"path": "in/../c.mp4"}, "the input itself"),
    "input by an absolute path": (("d.png",), {"path": "{folder}/d.png"}, "the input itself"),
    "input by a URL": (("file://{folder}/c.mp4",), {"path": "c.mp4"}, "the input itself"),
    "another input": (("in/a.png", "d.png"), {"path": "other", "labels": Path()}, "one of the inputs"),
    "input, by a symbolic link": (("c.mp4",), {"path": "soft.mp4"}, "the input itself"),
    "input, by a hard link": (("c.mp4",), {"path": "hard.mp4"}, "the input itself"),
    "input by statistics": (("c.mp4",), {"files": {"the statistics": Path("c.mp4")}}, "the input itself"),
    "labels among inputs": (("in",), {"labels": Path("in")}, "is an input folder"),
    "results among inputs": (("in",), {"path": "in"}, "is an input folder"),
    "labels among inputs, by a link": (("in",), {"labels": Path("softfolder")}, "is an input folder"),
    "labels of one name": (("in/a.png", "other/a.png"), {"labels": Path("L")}, "two inputs .* L/a.png"),
    "results of one name": (("in/a.png", "other/a.png"), {"path": "out"}, "two inputs .* out/a.png"),
    "the same input twice": (("d.png", "./d.png"), {}, "two inputs .* d.segmented.png"),
    "result and statistics": (("d.png",), {"path": "x.png", "files": {"the statistics": Path("./x.png")}}, "both"),
    "result and labels": (("in/a.png",), {"path": "out/", "labels": Path("out")}, "both"),
    "labels are a result of --force": (("d.png",), {"path": "L/d.png", "labels": Path("L")}, "both"),
    "file and folder": (("c.mp4",), {"path": "x.mp4", "labels": Path("x.mp4/labels")}, "both"),
    "record and statistics": (("in",), {"files": {"stats": Path("in.segmented/.hyperseg-run.jsonl")}}, "both"),
    "frames and an image": (("frames/c.mp4", "frames/c_000012.png"), {"labels": Path("L")}, "c_000012.png would be"),
    "frames and an input": (("c.mp4", "frames/c_000012.png"), {"labels": Path("frames")}, "an input or"),
    "frames and a linked input": (("c.mp4", "d.png"), {"labels": Path("linked")}, "one of the inputs"),
    "frames and labels": (("c.mp4",), {"path": "F", "form": ".png", "labels": Path("F")}, "both"),
}


@pytest.mark.parametrize("case", COLLISIONS)
def test_what_must_not_be_replaced_is_refused_even_with_force(folder: Path, case: str) -> None:
    symbolic("soft.mp4", "c.mp4")
    hard("hard.mp4", "c.mp4")
    symbolic("softfolder", "in")
    for name in ("frames", "linked", "L"):
        Path(name).mkdir()
    Path("frames/c.mp4").write_bytes(MP4)
    Path("frames/c_000012.png").write_bytes(PNG)
    symbolic("linked/c_000003.png", "../d.png")
    before = sorted(folder.rglob("*"))
    inputs, outputs, message = COLLISIONS[case]
    if isinstance(outputs.get("path"), str):
        outputs = {**outputs, "path": str(outputs["path"]).replace("{folder}", str(folder))}
    with pytest.raises(OutputError, match=message):
        planned(*(text.replace("{folder}", str(folder)) for text in inputs), force=True, **outputs)
    assert sorted(folder.rglob("*")) == before


def test_a_recursive_glob_does_not_lead_into_outputs(folder: Path) -> None:
    for name in ("labels/a.png", "out/deep/a.png", "v.segmented/v_000000.png"):
        Path(name).parent.mkdir(parents=True)
        Path(name).write_bytes(PNG)
    Path("other/a.png").rename("other/b.png")
    assert len(planned("**/*.png", labels=Path("labels"), path="out", force=True)) == 3


def test_recordings_are_never_continued(folder: Path) -> None:
    """They would be replaced by what the camera sees now."""
    Path("out").mkdir()
    Path("out/.hyperseg-run.jsonl").write_text('{"format": 1, "started_ns": 0, "made_with": {}}\n')
    Path("out/camera-0.mp4").write_bytes(MP4)
    with pytest.raises(OutputError, match=r"camera-0\.mp4 exists and was kept"):
        planned("0", "c.mp4", path="out", resume=True)
    Path("out/c.mp4").write_bytes(MP4)
    assert [str(path) for path in planned("d.png", "c.mp4", path="out", resume=True)] == ["out/d.png", "out/c.mp4"]


def test_nothing_is_created_by_a_plan(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    planned("in", "c.mp4", path="deep/out", labels=Path("deep/labels"))
    assert sorted(folder.rglob("*")) == before


def test_names_that_the_file_system_takes_for_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS and Windows; é is one character or two."""
    for name in ("x/IMG.png", "y/img.png", "x/\u00e9.png", "y/e\u0301.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(PNG)
    assert len(planned("x", "y", path="out")) == 4
    monkeypatch.setattr(planned_outputs, "ignores_case", lambda _: True)
    for pair in (("x/IMG.png", "y/img.png"), ("x/\u00e9.png", "y/e\u0301.png")):
        with pytest.raises(OutputError, match="two inputs"):
            planned(*pair, path="out")


def test_a_case_sensitive_file_system_is_recognised(folder: Path) -> None:
    (folder / "CASE").mkdir()
    assert planned_outputs.ignores_case(folder / "CASE") is (folder / "case").exists()


def test_files_to_keep_may_be_named_before_or_after(folder: Path) -> None:
    Path("m.engine.json").touch()
    for first in (True, False):
        targets = PlannedOutputs(force=True)
        steps = [(targets.keep, "the model"), (targets.add, "the statistics")]
        with pytest.raises(OutputError, match="is the model"):
            for step, role in steps if first else reversed(steps):
                step(Path("m.engine.json"), role)


def test_the_model_is_not_replaced(hyperseg_run: Callable[..., Finished], folder: Path) -> None:
    Path("d.png").unlink()
    model = write_model(folder / "m.onnx")
    Path("m.jsonl").symlink_to(model)
    content = model.read_bytes()
    arguments = ("c.mp4", "--model", "m.onnx", "--stats", "m.jsonl", "--force")
    hyperseg_run(*arguments).failed_with("m.jsonl", "the model")
    assert model.read_bytes() == content
    assert not list(folder.glob("*segmented*"))


@pytest.mark.parametrize(
    ("inputs", "outputs", "results"),
    [
        (("c.mp4",), {}, ["c.segmented.mp4"]),
        (("c.mp4",), {"form": ".webm"}, ["c.segmented.webm"]),
        (("c.mp4",), {"path": "in"}, ["in/c.mp4"]),
        (("c.mp4",), {"path": "new/"}, ["new/c.mp4"]),
        (("c.mp4",), {"path": "."}, ["c.segmented.mp4"]),
        (("c.mp4",), {"form": ".png"}, ["c.segmented"]),
        (("c.mp4",), {"form": ".jpg", "path": "in"}, ["in"]),
        (("c.mp4", "d.png"), {"form": ".jpg", "path": "out"}, ["out/d.png", "out/c"]),
        (("in",), {}, ["in.segmented/a.png", "in.segmented/a.mp4"]),
        (("in/.",), {}, ["in.segmented/a.png", "in.segmented/a.mp4"]),
        (("in/",), {"path": "out"}, ["out/a.png", "out/a.mp4"]),
        ((".",), {}, ["segmented/d.png", "segmented/c.mp4"]),
        (("in/..",), {}, ["in/../segmented/d.png", "in/../segmented/c.mp4"]),
        (("-",), {}, ["stdin.segmented.mp4"]),
        (("0",), {}, ["camera-0.segmented.mp4"]),
        (("http://127.0.0.1/x",), {}, ["stream.segmented.mp4"]),
        (("0", "1"), {"path": "out/"}, ["out/camera-0.mp4", "out/camera-1.mp4"]),
        (("rtsp://u:p@a/1", "rtsp://a/1"), {}, ["a-1.segmented.mp4", "a-1-2.segmented.mp4"]),
    ],
)
def test_where_results_go(
    folder: Path,
    inputs: tuple[str, ...],
    outputs: dict[str, object],
    results: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hyperseg_runtime.planning.FORMATS", {".mp4": "mp4", ".webm": "webm"})
    assert [str(path) for path in planned(*inputs, **outputs)] == results


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (("c.mp4", "d.png"), {"path": "out.mp4"}, "out.mp4 is the name of a file"),
        (("in",), {"path": "out.PNG"}, "out.PNG is the name of a file"),
        (("c.mp4",), {"path": "out.png", "form": ".png"}, "the frames of a video go into a folder"),
        (("c.mp4",), {"path": "out.png"}, "--format png -o FOLDER"),
        (("c.mp4",), {"path": "out.mkv", "form": ".mp4"}, "different formats"),
        (("c.mp4",), {"path": ""}, "empty name"),
        (("c.mp4",), {"path": "d.png/"}, "d.png is a file"),
        (("c.mp4", "d.png"), {"path": "d.png/x"}, "d.png is a file"),
        (("c.mp4",), {"path": "missing/../out/"}, "does not exist"),
        (("d.png",), {"path": "a\0b.png"}, "cannot be the name"),
        (("d.png",), {"path": f"{'x' * 300}.png"}, "304 bytes, of at most 255"),
        (("d.png",), {"path": f"{'x' * 300}/"}, "bytes, of at most 255"),
        (("pipe",), {"path": "pipe"}, "written as"),
        (("c.mp4",), {"path": "pipe.mp4", "force": True}, "not a regular file"),
    ],
)
def test_impossible_outputs_are_one_line(
    folder: Path, inputs: tuple[str, ...], outputs: dict[str, object], message: str
) -> None:
    for name in ("pipe", "pipe.mp4"):
        os.mkfifo(name)
    with pytest.raises(OutputError, match=message) as raised:
        planned(*inputs, **outputs)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("labels", [False, True])
def test_a_name_that_gets_too_long_is_refused_before_the_work(folder: Path, labels: bool) -> None:
    """NAME.segmented.mp4 and NAME_000000.png are longer than NAME.mp4."""
    name = f"{'x' * 246}.mp4"
    Path(name).write_bytes(MP4)
    outputs: dict[str, object] = {"path": "k.mp4", "labels": Path("L")} if labels else {}
    with pytest.raises(OutputError, match="bytes, of at most"):
        planned(name, **outputs)


def test_labels_and_frames_of_an_earlier_run_are_kept(folder: Path) -> None:
    Path("L").mkdir()
    Path("L/c_000007.png").write_bytes(PNG)
    for outputs in ({"labels": Path("L")}, {"path": "L", "form": ".png"}):
        with pytest.raises(OutputError, match=r"L/c_000007\.png exists and was kept"):
            planned("c.mp4", **outputs)
        assert planned("c.mp4", force=True, **outputs)
    assert planned("c.mp4", labels=Path("L2")) and planned("in/a.mp4", labels=Path("L"))


def test_the_cost_of_a_plan_grows_with_the_number_of_inputs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In system calls about files, so that the machine's speed does not matter."""
    calls = 0
    stat = os.stat

    def counted(*arguments: object, **options: object) -> os.stat_result:
        nonlocal calls
        calls += 1
        return stat(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", counted)
    costs = []
    for count in (100, 200):
        many = folder / f"many{count}"
        many.mkdir()
        for number in range(count):
            (many / f"{number}.png").write_bytes(PNG)
        calls = 0
        planned(str(many), labels=Path(f"labels{count}"))
        costs.append(calls)
    assert 0 < costs[1] < 2.2 * costs[0]


def test_a_file_as_standard_input_is_not_replaced(model: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "hyperseg_runtime.cli.run", "-", "-o", "c.mp4", "--force", "--model", str(model)]
    with Path("c.mp4").open("rb") as file:
        done = subprocess.run(
            command, stdin=file, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60
        )
    assert done.returncode == 1 and "c.mp4 is the input itself" in done.stderr and Path("c.mp4").read_bytes() == MP4


def test_a_terminal_is_no_video(model: Path, tmp_path: Path) -> None:
    terminal, other = os.openpty()
    command = [sys.executable, "-m", "hyperseg_runtime.cli.run", "-", "--model", str(model)]
    done = subprocess.run(
        command, cwd=tmp_path, stdin=other, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60
    )
    for descriptor in (terminal, other):
        os.close(descriptor)
    assert done.returncode == 1 and "pipe a video into it" in done.stderr


@pytest.mark.parametrize("host", ["", "localhost"])
def test_a_url_of_a_file_is_the_file(folder: Path, host: str) -> None:
    Path("a b%.png").write_bytes(PNG)
    (task,) = plan([f"file://{host}{folder}/a%20b%25.png"], Outputs()).tasks
    assert task.source == str(folder / "a b%.png")


def test_standard_input_and_pipes_are_videos(folder: Path) -> None:
    os.mkfifo("pipe")
    (stdin,) = plan(["-"], Outputs()).tasks
    (pipe,) = plan(["pipe"], Outputs()).tasks
    assert isinstance(stdin, VideoTask) and isinstance(pipe, VideoTask)
    assert (stdin.source, stdin.stem, pipe.source, pipe.stem) == ("-", "stdin", "pipe", "pipe")
    assert stdin.kind is pipe.kind
    Path("-").write_bytes(MP4)
    (file,) = plan(["./-"], Outputs()).tasks
    assert isinstance(file, VideoTask) and file.source == str(folder / "-")
