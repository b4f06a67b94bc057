"""hyperseg-export on the command line: documented uses work, all others fail with a one-line error."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hyperseg_export.cli import export as command
from hyperseg_export.progress import Step
from hyperseg_runtime.cli import common

RESOLUTION = ["--resolution", "64x128"]


def run(folder: Path, *arguments: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Result:
    """Runs the command in `folder`, in this process, through the exit codes that the installed script has."""
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as ended:
        common.execute(command.export, "hyperseg-export", list(arguments))
    out, err = capfd.readouterr()
    return Result(CliRunner(), out.encode(), err.encode(), b"", None, int(ended.value.code or 0), None)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    from hyperseg_export.samples import random_network

    import hyperseg

    path = tmp_path_factory.mktemp("checkpoint") / "m.pt"
    hyperseg.save(random_network("camvid-lite"), path)
    return path


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    (tmp_path / "m.pt").hardlink_to(checkpoint)
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_line_of_the_readme(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    result = run(folder, "--ckpt", "m.pt", "--onnx", *RESOLUTION, monkeypatch=monkeypatch, capfd=capfd)
    assert (result.exit_code, result.stderr) == (0, "")


def test_json_and_the_only_checkpoint_of_the_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    result = run(folder, "--onnx", "x.onnx", *RESOLUTION, "--json", monkeypatch=monkeypatch, capfd=capfd)
    report = json.loads(result.stdout)
    assert result.stderr == "" and report["notes"] == []
    assert report["path"] == "x.onnx"
    assert report["verification"]["label_agreement"] >= 0.9999


def test_int8_reports_its_agreement_and_counts_its_images(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    images = folder / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    for index in range(3):
        cv2.imwrite(str(images / f"{index}.png"), cv2.resize(rng.integers(0, 256, (4, 8, 3), np.uint8), (128, 64)))
    steps: list[Step] = []
    monkeypatch.setattr("hyperseg_export.cli.stage_display.StageDisplay.show", lambda _, step: steps.append(step))
    arguments = ["--ckpt", "m.pt", "--int8", "--calibrate", "images", *RESOLUTION, "--json"]
    result = run(folder, *arguments, monkeypatch=monkeypatch, capfd=capfd)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["precision"] == "int8"
    # A random network has many near-ties, which int8 changes; by chance one pixel in eleven would agree.
    assert 0.2 < report["verification"]["label_agreement"] <= 1.0
    assert report["file_bytes"] < 0.8 * (folder / "m.pt").stat().st_size
    assert {step.count for step in steps} == {6}
    assert sorted(step.number for step in steps) == [step.number for step in steps]
    details = {stage: [s.detail for s in steps if s.stage == stage and s.detail] for stage in {s.stage for s in steps}}
    passes = details.pop("rewriting the graph")
    assert passes[0].startswith(f"pass 1 of {len(passes)}, ") and passes[-1].startswith(f"pass {len(passes)} of ")
    images = [f"image {number} of 3" for number in (1, 2, 3)]
    assert details == {
        "reading m.pt": [],
        "tracing the network at 64x128": [],
        "calibrating on 3 images": images,
        "writing m.onnx": [],
        "comparing with PyTorch": images,
    }


FAILURES = {
    "no checkpoint of that name": (["--ckpt", "no.pt"], 1, "no.pt does not exist"),
    "a folder": (["--ckpt", "there"], 1, "there is a folder, expected a checkpoint file (--ckpt FILE)"),
    "a folder with checkpoints": (["--ckpt", "."], 1, ". is a folder; name a file in it: m.pt, text.pt"),
    "an ONNX file as the checkpoint": (["--ckpt", "old.onnx", "--force"], 1, "old.onnx is an ONNX file, exported"),
    "the checkpoint by another name": (
        ["--ckpt", "m.pt", "--onnx", "link.onnx", "--force"],
        1,
        "the checkpoint itself",
    ),
    "a state that is not there": (
        ["--ckpt", "m.pt", "--state", "ema"],
        1,
        "named ema; it has state_dict (475 entries)",
    ),
    "a state of a preset": (["--preset", "camvid-s", "--state", "ema"], 2, "cannot be combined"),
    "not a checkpoint": (["--ckpt", "text.pt"], 1, "text.pt"),
    "a directory as the target": (["--ckpt", "m.pt", "--onnx", "there"], 1, "there is a directory"),
    "no such folder": (["--ckpt", "m.pt", "--onnx", "no/m.onnx"], 1, "the folder no does not exist"),
    "an existing file": (["--ckpt", "m.pt", "--onnx", "old.onnx"], 1, "old.onnx exists and was kept"),
    "the checkpoint itself": (["--ckpt", "m.pt", "--onnx", "m.pt", "--force"], 1, "has the name of a checkpoint"),
    "several checkpoints": (["--onnx"], 1, "several checkpoints in"),
    "a resolution that does not fit": (["--ckpt", "m.pt", "--resolution", "100x128"], 2, "(--resolution 128x128)"),
    "no resolution": (["--ckpt", "m.pt", "--resolution", "big"], 2, "is not HEIGHTxWIDTH"),
    "no batch": (["--ckpt", "m.pt", "--batch", "0"], 2, "batch 0 is not between"),
    "an opset nobody has": (["--ckpt", "m.pt", "--opset", "99"], 2, "opset 99 is not between"),
    "an unknown option": (["--ckpt", "m.pt", "--fast"], 2, "--fast"),
    "int8 without images": (["--ckpt", "m.pt", "--int8"], 2, "--calibrate DIR"),
    "images that are none": (["--ckpt", "m.pt", "--int8", "--calibrate", "there"], 1, "there has no images"),
    "two precisions": (["--ckpt", "m.pt", "--int8", "--fp16", "--calibrate", "there"], 2, "cannot be combined"),
    "two outputs": (["--ckpt", "m.pt", "--onnx", "a.onnx", "-o", "b.onnx"], 2, "give one"),
    "an unknown preset": (["--preset", "camvid-xl"], 2, "no preset 'camvid-xl'"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_bad_input_is_one_line_and_leaves_nothing(
    case: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments, code, message = FAILURES[case]
    (folder / "text.pt").write_text("not a checkpoint")
    (folder / "old.onnx").write_text("old")
    (folder / "link.onnx").symlink_to("m.pt")
    (folder / "there").mkdir()
    before = names(folder)
    result = run(folder, *arguments, monkeypatch=monkeypatch, capfd=capfd)
    assert result.exit_code == code
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert names(folder) == before
    assert (folder / "old.onnx").read_text() == "old"


def test_of_several_networks_one_is_named_or_the_average_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    content = torch.load(folder / "m.pt")
    state = content["state_dict"]
    averaged = {f"module.{name}": value * 1.5 if "mappers" in name else value for name, value in state.items()}
    torch.save({**content, "ema": averaged}, folder / "e.pt")
    options = ["--ckpt", "e.pt", *RESOLUTION, "--no-verify", "--json"]
    taken = run(folder, *options, monkeypatch=monkeypatch, capfd=capfd)
    note = "the weights are the averaged ones (ema.module), and not those of state_dict"
    assert json.loads(taken.stdout)["notes"] == [note]
    assert taken.stderr == f"e.pt: {note}\n"
    named = run(folder, *options, "--state", "state_dict", "-o", "s.onnx", monkeypatch=monkeypatch, capfd=capfd)
    assert (named.exit_code, named.stderr) == (0, "")
    assert (folder / "e.onnx").read_bytes() != (folder / "s.onnx").read_bytes()


KINDS = {
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
    "a web page": (b"<!DOCTYPE html>", "is a web page"),
    "gzip": (b"\x1f\x8b\x08" + bytes(20), "is compressed with gzip"),
    "empty": (b"", "is empty"),
    "half a download": (b"PK\x03\x04" + bytes(99), "is truncated or damaged"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_files_that_are_no_checkpoint_are_told_before_pytorch_is_loaded(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    content, message = KINDS[kind]
    (tmp_path / "m.pth").write_bytes(content)
    monkeypatch.setitem(sys.modules, "hyperseg_export.onnx_export", None)  # importing it would fail
    result = run(tmp_path, "--ckpt", "m.pth", monkeypatch=monkeypatch, capfd=capfd)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"hyperseg-export: error: m.pth {message}") and result.stderr.count("\n") == 1


def test_progress_on_a_terminal_and_an_interruption(folder: Path) -> None:
    """The stage is shown on the terminal, and Ctrl-C removes it and leaves no file."""
    terminal, end = pty.openpty()
    code = "from hyperseg_export.cli.export import main; main()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--ckpt", "m.pt", "--json", *RESOLUTION],
        cwd=folder,
        env=environment,
        stdout=end,
        stderr=end,
    )
    os.close(end)
    shown = b""
    watchdog = threading.Timer(120, process.kill)  # ends the reading below, which waits for the process
    watchdog.start()
    try:
        while b"[2/5] tracing the network at 64x128" not in shown:
            shown += os.read(terminal, 4096)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # the other end is closed
            while data := os.read(terminal, 4096):
                shown += data
        assert process.wait(60) == 130
    finally:
        watchdog.cancel()
        process.kill()
        os.close(terminal)
    assert b"loading PyTorch" in shown and b"[1/5] reading m.pt" in shown
    assert shown.endswith(b"hyperseg-export: error: interrupted\r\n")
    assert names(folder) == ["m.pt"]


def test_a_full_disk_leaves_nothing(folder: Path) -> None:
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({1 << 20}, {1 << 20}))"
    ignore = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)"
    code = f"{limited}; {ignore}; from hyperseg_export.cli.export import main; main()"
    arguments = ["--ckpt", "m.pt", "--onnx", *RESOLUTION, "--no-verify"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1
    assert "m.onnx was not written" in done.stderr
    assert done.stderr.count("\n") == 1
    assert names(folder) == ["m.pt"]


def test_help_imports_neither_torch_nor_onnx() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from hyperseg_export.cli.export import export; "
        "result = CliRunner().invoke(export, ['--help']); assert 'Examples' in result.output; "
        "assert not {'torch', 'onnx', 'onnxruntime', 'rich.progress'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
