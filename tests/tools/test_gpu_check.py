"""scripts/gpu_check.sh as a whole: a rehearsal on the CPU, and its messages when something is missing or fails."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gpu_check import command
from gpu_check.report import REHEARSED, SKIPPED, Report, StageResult
from gpu_check.stage import ROOT, STAGES
from toolchain import require_cuda_on_cpu

pytest.importorskip("torch")

_SCRIPT = ROOT / "scripts" / "gpu_check.sh"


def _run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_SCRIPT, *arguments],
        env={**os.environ, "PYTHON": sys.executable, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_whole_check_on_the_cpu(tmp_path: Path) -> None:
    require_cuda_on_cpu()
    done = _run("--host", "--out", tmp_path, "--minutes", "30")  # other tests run at the same time
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "gpu-check.json").read_text())
    assert [stage["name"] for stage in report["stages"]] == [stage.name for stage in STAGES]
    by_name = {stage["name"]: stage for stage in report["stages"]}
    for name, stage in by_name.items():
        assert stage["status"] == REHEARSED, stage
        assert stage["tables"], name
        assert stage["unreached"], name
        assert stage["unreached"] in done.stdout
    judged = by_name["numerics"]["tables"]["test vectors"]
    assert sum(row["vectors"] for row in judged) > 600
    assert all(0 <= row["largest error / bound"] <= 1 for row in judged)
    logits = by_name["pytorch"]["tables"]["logits against the CPU's float32"]
    # Sums in another order: an error of exactly zero would mean that our kernels were compared with themselves.
    assert all(row["launches of ours"] > 0 and row["largest error"] > 0 for row in logits)
    page = (tmp_path / "gpu-check.md").read_text()
    assert page.count("| **no** |") == 0 and "### frame rates" in page
    # Few files and no folders, so that the report is easy to copy.
    assert len(list(tmp_path.iterdir())) <= 8


def test_what_travels_is_small() -> None:
    """The sources, and the headers that ONNX Runtime's operators need: under 40 MiB."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    files += [path for path in (ROOT / "build" / "headers").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files if path.is_file()) < 40 << 20


def test_too_little_time_is_said_for_each_stage(tmp_path: Path) -> None:
    require_cuda_on_cpu()
    done = _run("--host", "--out", tmp_path, "--minutes", "0.001")
    assert done.returncode == 3, "nothing was checked"
    stages = json.loads((tmp_path / "gpu-check.json").read_text())["stages"]
    assert [stage["status"] for stage in stages] == [SKIPPED] * len(STAGES)
    assert all("s of --minutes were left" in stage["reason"] for stage in stages)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--minutes", "0"], "0 is not a number of minutes"),
        (["--minutes", "soon"], "soon is not a number of minutes"),
        (["--only", "everything"], "invalid choice: 'everything'"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str) -> None:
    done = _run(*arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = _run("--host", "--out", tmp_path / "file" / "report")
    assert done.returncode == 1
    assert "Not a directory; choose another folder with --out" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_full_disk_keeps_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_stages(report: Report, *_: object, **__: object) -> None:
        result = StageResult("numerics", "Numerics")
        result.add({"kind": "row", "table": "test vectors", "row": {"vectors": 271828}})
        report.stages.append(result)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "gpu-check.json.part"))

    monkeypatch.setattr(command, "_build", lambda *_, **__: None)
    monkeypatch.setattr(command, "run_stages", run_stages)
    assert command.main(["--host", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "271828" in said.out
    assert "No space left on device; the figures until then are printed above" in said.err


def test_a_run_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    """Interrupted by a closing terminal, during a stage."""
    require_cuda_on_cpu()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "PYTHON": sys.executable, "TMPDIR": str(temporary)}
    command = [str(_SCRIPT), "--host", "--only", "numerics", "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        while not list(temporary.glob("*/numerics.context")) and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 130
    assert said == f"gpu_check: interrupted; results until then are in {tmp_path / 'out'}\n"
    assert list(temporary.iterdir()) == []


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with (tmp_path / "gpu-check.log").open("w") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        done = _run("--host", "--out", tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"gpu_check: another run writes to {tmp_path}; choose another folder with --out\n"


def test_a_run_that_starts_removes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gpu-check.md", "ncu.csv", "compute-sanitizer-memcheck.log"):
        (tmp_path / name).write_text("of yesterday")
    monkeypatch.setattr(command, "_build", lambda *_, **__: None)
    monkeypatch.setattr(command, "run_stages", lambda *_, **__: None)
    assert command.main(["--host", "--out", str(tmp_path)]) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["gpu-check.log"]


def test_the_environment_changes_nothing(tmp_path: Path) -> None:
    """With modules of other trees, CDPATH, and Python without assertions."""
    require_cuda_on_cpu()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("hyperseg", "vectors", "worst"):
        for folder in (tmp_path, elsewhere):
            (folder / f"{name}.py").write_text("raise RuntimeError('the wrong one')\n")
    hostile = {"CDPATH": ".", "PYTHONOPTIMIZE": "1", "PYTHONPATH": str(tmp_path)}
    # Only in the working folder: on PYTHONPATH it would come before the standard library's for every program.
    (elsewhere / "platform.py").write_text("raise RuntimeError('the wrong one')\n")
    done = subprocess.run(
        [_SCRIPT, "--host", "--only", "sanitizer", "--out", tmp_path / "out"],
        env={**os.environ, "PYTHON": sys.executable, **hostile},
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
