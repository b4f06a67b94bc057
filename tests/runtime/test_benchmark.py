"""hyperseg-benchmark: the record, the self-contained report, options, and that no result is lost."""

from __future__ import annotations

import contextlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hyperseg_runtime.benchmark import footprint, session
from hyperseg_runtime.benchmark.subject import Opening, Subject, distinct_names, natural_images
from hyperseg_runtime.benchmark.throughput import points_of, rounds
from hyperseg_runtime.cli import common
from hyperseg_runtime.cli.benchmark import benchmark
from hyperseg_runtime.metadata import KEY, InputType, OutputKind
from hyperseg_runtime.onnx_file import read_parameters
from hyperseg_runtime.segmenter import Segmenter

from .clips import write_clip
from .conftest import Finished
from .stand_in import metadata, write_model

QUICK = ("--repetitions", 3, "--warm-up", 0)


def run_benchmark(*arguments: object) -> Finished:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        common.execute(benchmark, "hyperseg-benchmark", [str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return Finished(ended.value.code, out.getvalue(), err.getvalue())


def test_images_are_the_models_input(segmenter: Segmenter) -> None:
    images = natural_images(segmenter)
    assert all(image.shape == (1, 64, 96, 3) and image.dtype == np.uint8 for image in images)
    assert len({image.tobytes() for image in images}) == len(images)
    assert [image.shape[0] for image in natural_images(segmenter, 20, 2)] == [20, 20]


class _Page(HTMLParser):
    """Collects the external resources of a page, and unclosed tags."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.foreign += [f"{tag} {name}" for name, _ in attrs if name in ("src", "href")]
        if tag == "script":
            self.foreign.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_record_and_report(model: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "<other>[bold].onnx", dynamic=True)
    page_file, output = tmp_path / "r.html", tmp_path / "r.json"
    done = run_benchmark(
        model, other, "--repetitions", 5, "--max-frames", 4, "--report", page_file, "-o", output, "--json"
    )
    assert done.code == 0, done
    record = json.loads(done.out)
    assert record == json.loads(output.read_text())
    names = ("stand-in.onnx", "<other>[bold].onnx")
    assert {(one["model"], one["protocol"]) for one in record["results"]} == {
        (name, letter) for name in names for letter in "AB"
    }
    for one in record["results"]:
        assert len(one["ms"]) == 5
        assert one["frames_per_second"] == pytest.approx(1e3 / one["median_ms"])
        assert one["mean_frames_per_second"] == pytest.approx(1e3 / one["mean_ms"])
    assert [one["protocol"] for one in record["ratios"]] == ["A", "B"]
    assert record["videos"][0]["frames"] == 4
    batches = {name: {one["batch"] for one in record["throughput"] if one["model"] == name} for name in names}
    assert batches == {"stand-in.onnx": {1}, "<other>[bold].onnx": {1, 2, 4, 8}}
    assert record["machine"]["versions"]["onnxruntime"]
    assert record["machine"]["memory_bytes"] > 0
    assert "cpu_governor" in record["machine"]
    assert set(record["conditions"]) == {"A", "B", "C", "D"}
    assert [one["model"] for one in record["profiles"]] == list(names)
    for facts, file in zip(record["models"], (model, other), strict=True):
        assert facts["file_bytes"] == file.stat().st_size
        assert facts["parameters"] == 12 * 3 + 3 + 3
        assert 0 < facts["peak_memory"]["before_model_bytes"] < facts["peak_memory"]["bytes"]
    page = page_file.read_text()
    parsed = _Page()
    parsed.feed(page)
    assert not parsed.foreign
    assert not parsed.open
    assert "&lt;other&gt;[bold].onnx" in page
    assert "<other>" not in page
    assert "prefers-color-scheme: dark" in page
    assert "backbone" in page, "the profile by part"
    assert not re.search(r"\bnan\b|\binf\b", page)
    run_benchmark(model, "--report", page_file).failed_with("exists", "--force")


@pytest.mark.usefixtures("no_memory")
def test_the_tables_define_their_columns(model: Path) -> None:
    done = run_benchmark(model, model, *QUICK, "--max-frames", 3)
    assert done.code == 0, done
    assert "frames/s: images per run / median time" in done.out and "mean frames/s: " in done.out
    assert not re.search(r"(?<!\d)(5|95|99) %(?! CI)", done.out), "95 % alone is a percentile or an interval"
    assert "95 % CI" in done.out and "p95" in done.out
    assert "3.0 MiB, 2.0 of them the model" in done.out
    assert "stand-in.onnx (2)" in done.out, "a model beside itself has another name"
    assert "fewer than 20 runs are rough" in done.out
    help_text = run_benchmark("--help").out
    assert "[A|B|C|D]" in help_text and "[a|b|c" not in help_text
    assert all(name in help_text for name in ("mean frames/s", "p95", "95 % CI"))


def test_names_differ() -> None:
    given = ["a/m.onnx", "b/m.onnx", "b/m.onnx", "x/a/m.onnx", "other.onnx", "bad\udcff\n.onnx"]
    names = distinct_names([Path("/data") / name for name in given])
    assert names == ["data/a/m.onnx", "b/m.onnx", "b/m.onnx (2)", "x/a/m.onnx", "other.onnx", "bad\\udcff\\n.onnx"]
    assert len(set(distinct_names([Path(name) for name in ("m", "m", "m (2)")]))) == 3


def test_protocol_names_in_small_letters(model: Path, no_memory: None) -> None:
    assert json.loads(run_benchmark(model, *QUICK, "--protocol", "b", "--json").out)["results"][0]["protocol"] == "B"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--protocol", "E"), "E"),
        (("--resolution", "64"), "not HEIGHTxWIDTH"),
        (("--repetitions", 2), "2"),
        (("--profile", "--protocol", "A"), "--protocol has no effect with --profile"),
        (("--profile", "--report", "r"), "--report has no effect with --profile"),
        (("--profile", "--video", "v", "--max-frames", 3), "--max-frames, --video has no effect with --profile"),
        (("--profile", "--backend", "onnxruntime-cuda"), "leave --backend onnxruntime-cuda out"),
        (("--protocol", "A", "--video", "v"), "--video has no effect with --protocol A, but with protocol C"),
        (("--protocol", "C", "--repetitions", 9), "--repetitions has no effect with --protocol C"),
        (("--protocol", "D", "--warm-up", 9), "--warm-up has no effect"),
    ],
)
def test_options_without_effect_are_refused(model: Path, options: tuple[object, ...], words: str) -> None:
    done = run_benchmark(model, *options)
    assert (done.code, done.out) == (2, "")
    assert words in done.err and len(done.err.splitlines()) == 1


def test_what_cannot_work_is_said_before_the_measurement(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(self: session.Benchmark) -> None:
        raise AssertionError("it was measured")

    monkeypatch.setattr(session.Benchmark, "run", measured)
    clip = write_clip(tmp_path / "clip.mp4", count=2)
    (tmp_path / "empty.mp4").write_bytes(clip.read_bytes()[:200])
    sounds_only = write_clip(tmp_path / "zero.mkv", count=0)
    dynamic = write_model(tmp_path / "dynamic.onnx", dynamic=True)
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "r.html")
    run_benchmark(tmp_path / "missing.onnx").failed_with("does not exist")
    run_benchmark(model, "--video", tmp_path / "missing.mp4").failed_with("does not exist")
    run_benchmark(model, "--video", tmp_path / "empty.mp4").failed_with("empty.mp4")
    run_benchmark(model, "--video", sounds_only).failed_with("zero.mkv")
    run_benchmark(model, "--report", tmp_path).failed_with("is a directory")
    run_benchmark(model, "-o", tmp_path / "no/r.json").failed_with("does not exist")
    run_benchmark(dynamic, "-o", dynamic, "--force").failed_with("is a file of a model")
    run_benchmark(model, "--video", clip, "--report", clip, "--force").failed_with("is the clip")
    run_benchmark(model, "-o", link, "--report", tmp_path / "r.html", "--force").failed_with(
        "would be both the report and the record"
    )
    run_benchmark(dynamic, model, "--resolution", "64x64").failed_with("stand-in.onnx", "is fixed to 64x96")
    run_benchmark(dynamic, "--resolution", "64x65").failed_with("dynamic.onnx", "use 64x64")


def test_a_model_in_two_files_is_one_input(tmp_path: Path) -> None:
    """The shipped portable model loads its weights from the other file: neither may be replaced."""
    portable = Path(footprint.__file__).parents[1] / "models/camvid-lite.portable.onnx"
    weights = portable.with_name("camvid-lite.onnx")
    assert footprint.file_bytes(portable) == portable.stat().st_size + weights.stat().st_size
    assert footprint.parameters(portable) == pytest.approx(read_parameters(weights), rel=0.01)
    link = tmp_path / "weights.json"
    link.hardlink_to(weights) if link.parent.stat().st_dev == weights.stat().st_dev else link.symlink_to(weights)
    run_benchmark(portable, "-o", link, "--force").failed_with("is a file of a model")


@pytest.mark.usefixtures("no_memory")
def test_a_clip_of_one_frame_and_more_threads_than_cpus(model: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "one.mp4", count=1)
    done = run_benchmark(model, "--protocol", "C", "--video", clip, "--threads", 64, "--json")
    assert done.code == 0, done
    record = json.loads(done.out)
    assert record["videos"][0]["frames"] == 1
    assert any(text.startswith("64 threads share the ") for text in record["warnings"])
    assert "warning: 64 threads share the " in done.err


@pytest.mark.usefixtures("no_memory")
def test_models_that_differ_are_compared_with_a_warning(model: Path, tmp_path: Path) -> None:
    about = metadata(OutputKind.BOTH, InputType.FLOAT, (64, 64))
    fewer = replace(about, class_names=about.class_names[:3], palette=about.palette[:3])
    options = {"output": OutputKind.BOTH, "dtype": InputType.FLOAT, "size": (64, 64)}
    other = write_model(tmp_path / "o.onnx", **options, properties={KEY: fewer.to_json()})
    record = json.loads(run_benchmark(model, other, *QUICK, "--protocol", "A", "--json").out)
    assert "the compared models have different resolutions: stand-in.onnx 64x96, o.onnx 64x64" in record["warnings"]
    assert "the compared models have different numbers of classes: stand-in.onnx 12, o.onnx 3" in record["warnings"]
    assert "the compared models have different outputs: stand-in.onnx labels, o.onnx both" in record["warnings"]


@pytest.mark.usefixtures("no_memory")
def test_a_model_of_a_fixed_batch(model: Path, tmp_path: Path) -> None:
    four = write_model(tmp_path / "four.onnx", fixed_batch=4)
    done = run_benchmark(model, four, *QUICK, "--max-frames", 2, "--json")
    assert done.code == 0, done
    record = json.loads(done.out)
    found = {one["model"]: one for one in record["results"] if one["protocol"] == "A"}
    assert (found["stand-in.onnx"]["images_per_run"], found["four.onnx"]["images_per_run"]) == (1, 4)
    assert found["four.onnx"]["frames_per_second"] == pytest.approx(4e3 / found["four.onnx"]["median_ms"])
    assert [one["model"] for one in record["videos"]] == ["stand-in.onnx"]
    assert any("four.onnx, protocol C: left out" in note for note in record["notes"])
    assert {one["batch"] for one in record["throughput"] if one["model"] == "four.onnx"} == {4}
    (profile,) = json.loads(run_benchmark(four, "--profile", *QUICK, "--json").out)
    assert profile["batch"] == 4
    with Segmenter(four) as segment:
        assert segment.session.batch_range == (4, 4)


def test_streams_share_the_threads(model: Path) -> None:
    def points(threads: int) -> tuple[list[tuple[int, ...]], list[str]]:
        subject = Subject.open("m", model, Opening(threads=threads))
        with subject.segmenter:
            found, left_out = points_of(subject)
        return [point.threads for point in found if point.streams > 1], left_out

    assert points(7)[0] == [(4, 3), (2, 2, 2, 1)]
    assert points(2)[0] == [(1, 1)]
    assert points(1)[0] == []
    assert any("2 threads cannot be divided among 4 streams" in line for line in points(2)[1])
    assert [rounds(count) for count in (3, 30, 50, 200)] == [3, 3, 5, 20]
