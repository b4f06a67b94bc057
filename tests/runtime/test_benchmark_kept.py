"""hyperseg-benchmark keeps what it measured where a model fails, at Ctrl-C, and where a file cannot be written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hyperseg_runtime.benchmark import footprint, report, session, video
from hyperseg_runtime.benchmark.subject import Opening, SingleRun
from hyperseg_runtime.cli import benchmark_session, common
from hyperseg_runtime.errors import ModelError
from hyperseg_runtime.segmenter import Segmenter

from .conftest import ENVIRONMENT
from .stand_in import write_model
from .test_benchmark import QUICK, run_benchmark

pytestmark = pytest.mark.usefixtures("no_memory")


def fail_in(monkeypatch: pytest.MonkeyPatch, name: str, number: int, error: BaseException) -> None:
    """Makes run `number` of model `name` under protocols A and B raise."""
    original = SingleRun.seconds

    def seconds(self: SingleRun, at: int) -> float:
        if self.name == name and at == number:
            raise error
        return original(self, at)

    monkeypatch.setattr(SingleRun, "seconds", seconds)


def test_a_model_that_fails_leaves_the_others_results(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_model(tmp_path / "other.onnx")
    fail_in(monkeypatch, "stand-in.onnx", 4, ModelError("the GPU fell off"))
    output, page = tmp_path / "r.json", tmp_path / "r.html"
    done = run_benchmark(
        model, other, "--repetitions", 6, "--warm-up", 0, "--max-frames", 2, "-o", output, "--report", page
    )
    done.failed_with("stand-in.onnx failed (protocol A, after 4 runs): the GPU fell off")
    record = json.loads(output.read_text())
    runs = {(one["model"], one["protocol"]): len(one["ms"]) for one in record["results"]}
    assert runs == {("stand-in.onnx", "A"): 4, ("other.onnx", "A"): 6, ("other.onnx", "B"): 6}
    assert record["ratios"][0]["model"] == "other.onnx"
    assert [one["model"] for one in record["videos"]] == ["other.onnx"]
    assert "the GPU fell off" in page.read_text()
    assert "other.onnx" in done.out


def test_a_model_that_is_exchanged_meanwhile_is_not_measured_as_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streams, memory and profile open the file again."""
    changing = write_model(tmp_path / "changing.onnx", dynamic=True)
    original = session.Benchmark._throughput

    def exchanged(self: session.Benchmark, *arguments: Any) -> None:
        write_model(changing, dynamic=True, size=(32, 32))
        original(self, *arguments)

    monkeypatch.setattr(session.Benchmark, "_throughput", exchanged)
    output = tmp_path / "r.json"
    done = run_benchmark(changing, *QUICK, "--protocol", "A", "--protocol", "D", "--threads", 2, "-o", output)
    done.failed_with("changing.onnx failed (protocol D, batch 1, 2 streams)", "was changed or removed")
    record = json.loads(output.read_text())
    assert len(record["results"]) == 1
    assert {one["streams"] for one in record["throughput"]} == {1}


def test_an_interruption_keeps_the_results(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_in(monkeypatch, "stand-in.onnx", 4, KeyboardInterrupt())
    output, page = tmp_path / "r.json", tmp_path / "r.html"
    done = run_benchmark(model, "--warm-up", 0, "-o", output, "--report", page, "--json")
    assert done.code == common.INTERRUPTED
    assert done.err.splitlines() == ["hyperseg-benchmark: error: interrupted; the results until then were kept"]
    record = json.loads(output.read_text())
    assert record["interrupted"] and json.loads(done.out) == record
    assert [len(one["ms"]) for one in record["results"]] == [4]
    assert "Interrupted" in page.read_text()
    fail_in(monkeypatch, "stand-in.onnx", 0, KeyboardInterrupt())
    done = run_benchmark(model, "--warm-up", 0, "-o", tmp_path / "none.json")
    assert (done.code, done.out) == (common.INTERRUPTED, "") and not (tmp_path / "none.json").exists()


def test_an_interrupted_clip_keeps_its_frames(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = session.run_video

    def interrupted_run(name: str, segmenter: Segmenter, clip: Path, most: int, on_frame: object) -> video.VideoResult:
        del on_frame
        return original(name, segmenter, clip, most, lambda done: done == 2 and signal.raise_signal(signal.SIGINT))

    monkeypatch.setattr(session, "run_video", interrupted_run)
    done = run_benchmark(model, model, "--protocol", "C", "-o", tmp_path / "r.json")
    assert done.code == common.INTERRUPTED
    record = json.loads((tmp_path / "r.json").read_text())
    assert [(one["frames"], one["interrupted"]) for one in record["videos"]] == [(2, True)]
    assert set(record["conditions"]) == {"C"}


@pytest.mark.parametrize("broken", ["report", "output"])
def test_results_are_kept_where_a_file_cannot_be_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    files = {name: tmp_path / name / "r" for name in ("report", "output")}
    for file in files.values():
        file.parent.mkdir()
    original = session.Benchmark.run

    def run(self: session.Benchmark) -> None:
        original(self)
        files[broken].parent.rmdir()

    monkeypatch.setattr(session.Benchmark, "run", run)
    done = run_benchmark(model, *QUICK, "--protocol", "A", "--report", files["report"], "-o", files["output"])
    done.failed_with(str(files[broken]), "; the results are in ")
    assert "stand-in.onnx" in done.out
    saved = json.loads(Path(done.err.strip().split("; the results are in ")[1]).read_text())
    assert len(saved["results"][0]["ms"]) == 3
    other = files["output" if broken == "report" else "report"]
    assert other.is_file()


def test_a_report_that_cannot_be_drawn_costs_nothing_else(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "_headline", lambda _: 1 / 0)
    output = tmp_path / "r.json"
    done = run_benchmark(model, *QUICK, "--protocol", "A", "--report", tmp_path / "r.html", "-o", output, "--json")
    done.failed_with("division by zero")
    assert json.loads(output.read_text()) == json.loads(done.out)


def test_a_pipe_that_closes(model: Path, tmp_path: Path) -> None:
    """The record is in the file before anything is printed."""
    output = tmp_path / "r.json"
    reader, writer = os.pipe()
    os.close(reader)
    options = ["--protocol", "A", "--repetitions", "3", "--json", "-o", str(output)]
    command = [sys.executable, "-m", "hyperseg_runtime.cli.benchmark", str(model), *options]
    try:
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True, check=False)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (common.FAILURE, "")
    (result,) = json.loads(output.read_text())["results"]
    assert len(result["ms"]) == 3


def test_memory_of_a_model_that_cannot_be_opened(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x08\x07")
    with pytest.raises(Exception, match="a process of its own failed") as raised:
        footprint.peak_memory(broken, Opening())
    assert "\n" not in str(raised.value)


def test_a_terminal_without_a_cursor_gets_no_empty_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with benchmark_session._progress(visible=True) as phase:
        phase("A", 1)()
    assert capsys.readouterr().out == ""
