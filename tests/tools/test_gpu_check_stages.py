"""The stages of scripts/gpu_check.sh: their status, and how they parse the output of programs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cuda_on_cpu.build import compile_for_cpu
from cuda_on_cpu.kernels import Kernels
from gpu_check.report import CUT_SHORT, FAILED, PASSED, SKIPPED, StageResult
from gpu_check.run import listen
from gpu_check.stage import ROOT, Context, Reporter, SkipStageError
from kernel_cost.resources import read_committed, readable

pytest.importorskip("torch")

from gpu_check.stages import kernel_times, numerics, sanitizer, tensorrt_suite


def _listen(tmp_path: Path, *command: str, seconds: float = 60.0, host: bool = True) -> StageResult:
    result = StageResult("some", "Some stage")
    context = Context(host, str(tmp_path), str(tmp_path), time.monotonic() + seconds)
    (tmp_path / "context").write_text(context.to_json())
    with (tmp_path / "log").open("w") as log:
        listen([sys.executable, *command], log, context, result, lambda: None)
    return result


def _says(tmp_path: Path, program: str, seconds: float = 60.0) -> StageResult:
    """The result of a stage that runs these lines; `say(MESSAGE)` sends a message."""
    head = "import os, sys, time\nsay = lambda text: os.write(int(sys.argv[-1]), (text + '\\n').encode())\n"
    return _listen(tmp_path, "-c", head + program, seconds=seconds)


_ROW = """say('{"kind": "row", "table": "t", "row": {"a": 1, "ok": true, "problem": "broken"}}')\n"""
_DONE = """say('{"kind": "done"}')\n"""
_KEPT = {"t": [{"a": 1, "ok": True, "problem": "broken"}]}


@pytest.mark.parametrize(
    ("program", "status", "reason"),
    [
        (_ROW + _DONE, PASSED, ""),
        (_ROW + "os.abort()", FAILED, "ended by signal SIGABRT; see gpu-check.log"),
        (_ROW + "sys.exit(7)", FAILED, "ended with exit code 7; see gpu-check.log"),
        (_ROW, FAILED, "ended without a result; see gpu-check.log"),
        ("say('hello'); say('[1'); say('{}')\n" + _ROW + "print('to the log')\n" + _DONE, PASSED, ""),
        # A worker that holds the pipe does not block the check.
        (_ROW + "os.fork() or time.sleep(600)\nos.abort()", FAILED, "ended by signal SIGABRT; see gpu-check.log"),
    ],
)
def test_how_a_stage_ends(program: str, status: str, reason: str, tmp_path: Path) -> None:
    result = _says(tmp_path, program)
    assert (result.status, result.reason, result.tables) == (status, reason, _KEPT)


def test_nothing_found_is_no_pass(tmp_path: Path) -> None:
    assert _says(tmp_path, _DONE).status == FAILED


def test_a_failed_row_fails_its_stage(tmp_path: Path) -> None:
    result = _says(tmp_path, _ROW.replace("true", "false") + _DONE)
    assert (result.status, result.reason) == (FAILED, "1 of its rows failed, the first: broken")


@pytest.mark.slow
def test_a_stage_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    child = tmp_path / "child"
    program = (
        "import pathlib, subprocess\n"
        f"process = subprocess.Popen(['sleep', '600'], preexec_fn=os.setpgrp)\n"
        f"pathlib.Path({str(child)!r}).write_text(str(process.pid))\n"
        f"{_ROW}time.sleep(600)"
    )
    result = _says(tmp_path, program, seconds=7.0)  # enough to start while other tests run
    assert (result.status, result.tables) == (CUT_SHORT, _KEPT)
    state = Path(f"/proc/{child.read_text()}/stat")
    assert not state.exists() or state.read_text().split(") ")[1][0] == "Z"


def test_a_stage_that_cannot_run_is_skipped(tmp_path: Path) -> None:
    """In the stage's own process, on a machine whose PyTorch has no CUDA."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("this PyTorch has CUDA")
    launch = str(ROOT / "tools" / "gpu_check" / "launch.py")
    result = _listen(tmp_path, launch, "--stage", "pytorch", str(tmp_path / "context"), host=False)
    assert result.status == SKIPPED
    assert result.reason.startswith(f"PyTorch {torch.__version__} is built ")
    assert "install a CUDA build that fits the driver" in result.reason


class _Recorder(Reporter):
    def __init__(self) -> None:
        self.result = StageResult("some", "Some stage")

    def _send(self, **message: Any) -> None:
        self.result.add(message)


@pytest.mark.parametrize("fault", ["zeros", "crash", "unwritten"])
def test_numerics_notices_faults(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that compute nothing, crash half-way, or leave one element unwritten."""
    program = tmp_path / "run_requests"
    program.write_text(
        f"#!{sys.executable}\n"
        "import os, struct, sys\n"
        "for index, path in enumerate(sys.argv[3:]):\n"
        f"    if {fault!r} == 'crash' and index == 5: os.abort()\n"
        "    data = open(path, 'rb').read()\n"
        "    size = struct.unpack('=q', data[-8:])[0]\n"
        f"    filler = b'\\xff' if {fault!r} == 'unwritten' else b'\\0'\n"
        "    open(path + '.output', 'wb').write(filler * size)\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(numerics, "CASES", numerics.CASES[:8])
    monkeypatch.setattr(numerics, "TARGET_CASES", numerics.TARGET_CASES[:4])
    recorder = _Recorder()
    numerics.run(Context(True, str(tmp_path), str(tmp_path), time.monotonic() + 60), recorder)
    assert recorder.result.status == FAILED
    if fault == "crash":
        assert "run_requests ended with exit code -6 after 5 of" in recorder.result.reason
    else:
        assert not any(row["ok"] for row in recorder.result.tables["test vectors"])


def test_the_sanitizers_reach_every_kernel(tmp_path: Path) -> None:
    kernels = Kernels(compile_for_cpu(tmp_path / "libkernels.so", "library.cpp", ["-O2", "-fPIC", "-shared"]))
    reached = set()
    for case, placement in sanitizer.chosen():
        kernels.run(case, placement)
        reached.add(readable(kernels.last_launch().symbol))
    assert reached == {row.kernel for row in read_committed()[1]}


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("========= COMPUTE-SANITIZER\n========= ERROR SUMMARY: 0 errors\n", 0),
        ("========= ERROR SUMMARY: 13 errors\n", 13),
        ("========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)\n", 0),
        ("========= RACECHECK SUMMARY: 2 hazards displayed (0 errors, 2 warnings)\n", 2),
        ("========= Error: Target application terminated before first instrumented API call\n", None),
    ],
)
def test_what_compute_sanitizer_says(text: str, errors: int | None) -> None:
    assert sanitizer.errors_in(text) == errors


@pytest.mark.parametrize("tool", ["compute-sanitizer", "ncu"])
def test_command_lines_have_known_options(tool: str) -> None:
    """Against the tool's own --help, where it is installed (nvidia-cuda-sanitizer-api, Nsight Compute)."""
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not on PATH")
    lines = {
        "compute-sanitizer": sanitizer.command_line("racecheck", "program", ["file"]),
        "ncu": kernel_times.command_line("program", ["file"], Path("log")),
    }
    told = subprocess.run([tool, "--help"], capture_output=True, text=True, check=True).stdout
    options = [part for part in lines[tool] if part.startswith("--")]
    assert options and all(option in told for option in options)


def test_counters_that_ncu_prints() -> None:
    """The layout of `ncu --csv --page raw`: a line of names, a line of units, a line a launch."""
    names = ["gpu__time_duration.sum", "launch__registers_per_thread",
             "sm__warps_active.avg.pct_of_peak_sustained_active",
             "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed",
             "smsp__average_warps_issue_stalled_barrier_per_issue_active.ratio",
             "smsp__average_warps_issue_stalled_long_scoreboard_per_issue_active.ratio",
             "smsp__average_warps_issue_stalled_selected_per_issue_active.ratio"]  # fmt: skip
    rows = [["ID", "Kernel Name", *names], ["", "", "nsecond", "register/thread", "%", "%", "inst", "inst", "inst"],
            ["0", "a<float, 3>(int)", "1,234,000", "64", "17.5", "41", "7.25", "3.5", "1"],
            ["1", "b", "2000", "32", "n/a", "0", "0", "0", "1"]]  # fmt: skip
    text = "==PROF== Connected to process 7\n" + "\n".join(",".join(f'"{cell}"' for cell in row) for row in rows)
    first, second = kernel_times.profile_rows(text, ["first", "second"])
    assert first["launch"] == "first" and first["us"] == 1234.0 and first["registers"] == 64
    assert first["occupancy, %"] == 17.5 and first["DRAM, % of peak"] == 41.0
    assert first["cycles stalled per instruction"] == "barrier 7.2, long_scoreboard 3.5"
    assert second["us"] == 2.0 and second["cycles stalled per instruction"] == ""


def test_a_suite_that_runs_out_of_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "collected 3 items\n\ntests/gpu/test_a.py::test_one[x-y] PASSED  [ 33%]\n"
        "tests/gpu/test_a.py::test_two SKIPPED (no) [ 66%]\ntests/gpu/test_a.py::test_three"
    )
    monkeypatch.setattr(tensorrt_suite, "run_limited", lambda *_: (None, text))
    recorder = _Recorder()
    tensorrt_suite.run(Context(False, str(tmp_path), str(tmp_path), time.monotonic()), recorder)
    assert recorder.result.tables == {"tests/gpu": [{"test": "test_one[x-y]", "outcome": "passed", "ok": True}]}
    assert (recorder.result.status, recorder.result.reason) == (
        CUT_SHORT,
        "2 of 3 tests were done in time; try --minutes 30",
    )


def test_a_suite_of_which_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT without the plugin library does not pass."""

    def run_limited(command: list[str], _: float) -> tuple[int, str]:
        (path,) = (part.partition("=")[2] for part in command if part.startswith("--junitxml="))
        Path(path).write_text('<s><testcase name="a"><skipped message="no library"/></testcase></s>')
        return 0, ""

    monkeypatch.setattr(tensorrt_suite, "run_limited", run_limited)
    with pytest.raises(SkipStageError, match="none of 1 tests ran; most often: no library"):
        tensorrt_suite.run(Context(False, str(tmp_path), str(tmp_path), time.monotonic()), _Recorder())


def test_outcomes_of_the_suite() -> None:
    report = (
        '<testsuites><testsuite><testcase name="good"><system-out>{"frames_per_second": 61.5}\n</system-out></testcase>'
        '<testcase name="bad"><failure message="assert 1 == 2">long text</failure></testcase>'
        '<testcase name="left out"><skipped message="no GPU">text</skipped></testcase></testsuite></testsuites>'
    )
    assert list(tensorrt_suite.outcomes(report)) == [
        ("good", "passed", '{"frames_per_second": 61.5}'),
        ("bad", "failed", "assert 1 == 2"),
        ("left out", "skipped", "no GPU"),
    ]
