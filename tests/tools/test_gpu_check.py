"""scripts/gpu_check.sh: rehearsed whole on the CPU, and what it says where something is missing or breaks."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cuda_kernels.build import compile_for_cpu, require_toolchain
from cuda_kernels.kernels import Kernels
from cuda_kernels.resources import read_committed, readable
from gpu_check import command, driver
from gpu_check.report import CUT_SHORT, FAILED, PASSED, REHEARSED, SKIPPED, Report, StageResult
from gpu_check.run import listen
from gpu_check.stage import ROOT, STAGES, Context, Reporter, SkipStageError

pytest.importorskip("torch")

from gpu_check.stages import kernel_times, numerics, sanitizer, tensorrt_suite

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
    require_toolchain()
    done = _run("--host", "--out", tmp_path, "--minutes", "30")  # other tests run beside it
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
    # What a machine with a lease takes back: few files, no folders.
    assert len(list(tmp_path.iterdir())) <= 8


def test_what_travels_is_small() -> None:
    """The sources, and the headers that ONNX Runtime's operators need; 40 MiB fit through a narrow door."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    files += [path for path in (ROOT / "build" / "headers").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files if path.is_file()) < 40 << 20


def test_too_little_time_is_said_for_each_stage(tmp_path: Path) -> None:
    require_toolchain()
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


class _Driver:
    """libcuda.so.1 of a machine; codes and attributes as in cuda.h."""

    def __init__(
        self, *, start: int = 0, cuda: int = 13000, gpus: int = 1, capability: tuple[int, int] = (9, 0)
    ) -> None:
        self._start, self._cuda, self._gpus = start, cuda, gpus
        self._attributes = {16: 132, 38: 50 << 20, 75: capability[0], 76: capability[1]}

    def cuInit(self, flags: int) -> int:
        assert flags == 0
        return self._start

    def cuDriverGetVersion(self, value: Any) -> int:
        value._obj.value = self._cuda
        return 0

    def cuDeviceGetCount(self, value: Any) -> int:
        value._obj.value = self._gpus
        return 0

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:
        device._obj.value = ordinal
        return 0

    def cuDeviceGetName(self, name: Any, length: int, _device: Any) -> int:
        name.value = b"NVIDIA Double"[:length]
        return 0

    def cuDeviceGetPCIBusId(self, bus: Any, length: int, _device: Any) -> int:
        bus.value = b"0000:07:00.0"[:length]
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, _device: Any) -> int:
        value._obj.value = self._attributes[attribute]
        return 0

    def cuGetErrorString(self, _result: int, text: Any) -> int:
        text._obj.value = b"no CUDA-capable device is detected"
        return 0


def _machine(monkeypatch: pytest.MonkeyPatch, **facts: Any) -> None:
    monkeypatch.setattr(driver.ctypes, "CDLL", lambda _: _Driver(**facts))


def test_a_gpu_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    _machine(monkeypatch, cuda=12080, capability=(8, 9))
    gpu = driver.find_gpu()
    assert gpu == driver.Gpu("NVIDIA Double", (8, 9), (12, 8), 132, 50 << 20, "0000:07:00.0")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"start": 100}, r"the driver does not start: no CUDA-capable device is detected \(100\)"),
        ({"gpus": 0}, "finds no GPU; is CUDA_VISIBLE_DEVICES empty"),
        ({"capability": (6, 1)}, r"NVIDIA Double has compute capability 6\.1; the kernels need 7\.5"),
    ],
)
def test_a_gpu_that_will_not_do(facts: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _machine(monkeypatch, **facts)
    with pytest.raises(driver.NoGpuError, match=said):
        driver.find_gpu()


def test_no_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def missing(name: str) -> ctypes.CDLL:
        raise OSError(name)

    monkeypatch.setattr(driver.ctypes, "CDLL", missing)
    assert command.main(["--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said == ("gpu_check: no NVIDIA driver was found (libcuda.so.1); install one, or rehearse with --host\n")


def _compiler(folder: Path, release: str, architectures: str) -> str:
    """An nvcc that only tells what it is."""
    path = folder / "nvcc"
    path.write_text(
        f'#!/bin/sh\ncase $1 in --version) echo "Cuda compilation tools, release {release}, V{release}.1";;\n'
        f"--list-gpu-arch) echo {architectures};; esac\n"
    )
    path.chmod(0o755)
    return str(path)


def _gpu(capability: tuple[int, int], driver_cuda: tuple[int, int]) -> driver.Gpu:
    return driver.Gpu("NVIDIA Double", capability, driver_cuda, 132, 50 << 20, "0000:07:00.0")


def test_compilers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = _compiler(tmp_path, "13.0", "compute_75 compute_90")
    assert driver.check_compiler(_gpu((9, 0), (13, 0)), new) == "13.0"
    with pytest.raises(
        driver.NoGpuError, match=r"the driver supports CUDA up to 12\.4, nvcc is 13\.0: install a newer"
    ):
        driver.check_compiler(_gpu((9, 0), (12, 4)), new)
    with pytest.raises(driver.NoGpuError, match=r"nvcc 13\.0 does not compile for compute capability 12\.0"):
        driver.check_compiler(_gpu((12, 0), (13, 0)), new)
    for broken, said in (("", "does not tell a release"), ("#!/no/such/program\n", "does not run")):
        path = tmp_path / "broken"
        path.write_text(broken or "#!/bin/sh\nprintf '\\377release V13'\n")
        path.chmod(0o755)
        with pytest.raises(driver.NoGpuError, match=said):
            driver.check_compiler(_gpu((9, 0), (13, 0)), str(path))
    monkeypatch.setenv("CUDACXX", "nvcc -ccbin g++")
    with pytest.raises(driver.NoGpuError, match=r"CUDACXX is nvcc -ccbin g\+\+, which is no program"):
        driver.require_nvcc()
    monkeypatch.delenv("CUDACXX")
    monkeypatch.setattr(driver.shutil, "which", lambda _: None)
    with pytest.raises(driver.NoGpuError, match="nvcc was not found: put the CUDA toolkit's bin folder on PATH"):
        driver.require_nvcc()


def _listen(tmp_path: Path, *command: str, seconds: float = 60.0, host: bool = True) -> StageResult:
    result = StageResult("some", "Some stage")
    context = Context(host, str(tmp_path), str(tmp_path), time.monotonic() + seconds)
    (tmp_path / "context").write_text(context.to_json())
    with (tmp_path / "log").open("w") as log:
        listen([sys.executable, *command], log, context, result, lambda: None)
    return result


def _says(tmp_path: Path, program: str, seconds: float = 60.0) -> StageResult:
    """What comes of a stage that runs these lines; `say(MESSAGE)` sends a message."""
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
        # A worker that holds the pipe keeps nobody waiting.
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
    result = _says(tmp_path, program, seconds=7.0)  # time enough to start beside other tests
    assert (result.status, result.tables) == (CUT_SHORT, _KEPT)
    state = Path(f"/proc/{child.read_text()}/stat")
    assert not state.exists() or state.read_text().split(") ")[1][0] == "Z"


def test_a_stage_that_cannot_run_is_skipped(tmp_path: Path) -> None:
    """Through the process that a run starts, on a machine whose PyTorch has no CUDA."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("this PyTorch has CUDA")
    launch = str(ROOT / "tools" / "gpu_check" / "launch.py")
    result = _listen(tmp_path, launch, "--stage", "pytorch", str(tmp_path / "context"), host=False)
    assert result.status == SKIPPED
    assert result.reason.startswith(f"PyTorch {torch.__version__} is built ")
    assert "install a CUDA build that fits the driver" in result.reason


def test_a_run_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    """By a terminal that closes, in the middle of a stage."""
    require_toolchain()
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
    assert said == f"gpu_check: interrupted; what was measured until then is in {tmp_path / 'out'}\n"
    assert list(temporary.iterdir()) == []


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with (tmp_path / "gpu-check.log").open("w") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        done = _run("--host", "--out", tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"gpu_check: another run writes to {tmp_path}; choose another folder with --out\n"


def test_a_run_that_cannot_start_keeps_the_report_of_an_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gpu-check.md").write_text("of yesterday")
    _machine(monkeypatch, gpus=0)
    assert command.main(["--out", str(tmp_path)]) == 1
    assert (tmp_path / "gpu-check.md").read_text() == "of yesterday"


def test_a_run_that_starts_removes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gpu-check.md", "ncu.csv", "compute-sanitizer-memcheck.log"):
        (tmp_path / name).write_text("of yesterday")
    monkeypatch.setattr(command, "_build", lambda *_, **__: None)
    monkeypatch.setattr(command, "run_stages", lambda *_, **__: None)
    assert command.main(["--host", "--out", str(tmp_path)]) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["gpu-check.log"]


@pytest.mark.parametrize("variable", ["CDPATH", "PYTHONOPTIMIZE", "PYTHONPATH"])
def test_the_environment_changes_nothing(variable: str, tmp_path: Path) -> None:
    """Modules of other trees, a search path of cd, and a Python without assertions."""
    require_toolchain()
    for name in ("hyperseg", "vectors", "worst", "platform"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong one')\n")
    value = {"CDPATH": ".", "PYTHONOPTIMIZE": "1", "PYTHONPATH": str(tmp_path)}[variable]
    if variable == "PYTHONPATH":
        (tmp_path / "platform.py").unlink()  # the standard library's own comes after PYTHONPATH for every program
    done = subprocess.run(
        [_SCRIPT, "--host", "--only", "sanitizer", "--out", tmp_path / "out"],
        env={**os.environ, "PYTHON": sys.executable, variable: value},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


class _Recorder(Reporter):
    def __init__(self) -> None:
        self.result = StageResult("some", "Some stage")

    def _send(self, **message: Any) -> None:
        self.result.add(message)


@pytest.mark.parametrize("fault", ["zeros", "crash", "unwritten"])
def test_numerics_notices_faults(fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that computes nothing, one that dies half-way, and one that leaves an element as it was."""
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
    """TensorRT may be there, and its plugin library not: that is no pass."""

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
