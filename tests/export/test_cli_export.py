"""hyperseg-export on the command line: documented uses work, all others fail with a one-line error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hyperseg_export.cli import export as command
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
    assert names(folder) == ["m.onnx", "m.pt"]
    assert "agreement with PyTorch on 3 images" in result.stdout


def test_json_and_the_only_checkpoint_of_the_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    result = run(folder, "--onnx", "x.onnx", *RESOLUTION, "--json", monkeypatch=monkeypatch, capfd=capfd)
    report = json.loads(result.stdout)
    assert report["path"] == "x.onnx"
    assert report["verification"]["label_agreement"] >= 0.9999


def test_int8_reports_its_agreement(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    images = folder / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    for index in range(3):
        cv2.imwrite(str(images / f"{index}.png"), cv2.resize(rng.integers(0, 256, (4, 8, 3), np.uint8), (128, 64)))
    arguments = ["--ckpt", "m.pt", "--int8", "--calibrate", "images", *RESOLUTION, "--json"]
    result = run(folder, *arguments, monkeypatch=monkeypatch, capfd=capfd)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["precision"] == "int8"
    # A random network has many near-ties, which int8 changes; by chance one pixel in eleven would agree.
    assert 0.2 < report["verification"]["label_agreement"] <= 1.0
    assert report["file_bytes"] < 0.8 * (folder / "m.pt").stat().st_size


FAILURES = {
    "no checkpoint of that name": (["--ckpt", "no.pt"], 1, "no.pt is not a file"),
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
    (folder / "there").mkdir()
    before = names(folder)
    result = run(folder, *arguments, monkeypatch=monkeypatch, capfd=capfd)
    assert result.exit_code == code
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert names(folder) == before
    assert (folder / "old.onnx").read_text() == "old"


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
