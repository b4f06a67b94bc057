"""hyperseg-benchmark: statistics, comparisons, the self-contained report, the profile."""

from __future__ import annotations

import contextlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hyperseg_runtime.backends.protocol import Images
from hyperseg_runtime.benchmark.measure import Distribution, measure, ratios
from hyperseg_runtime.benchmark.plots import Scale
from hyperseg_runtime.benchmark.profile import NodeRun, parts_of, runs_of
from hyperseg_runtime.benchmark.protocols import Entry, Protocol, natural_images
from hyperseg_runtime.cli import common
from hyperseg_runtime.cli.benchmark import benchmark
from hyperseg_runtime.segmenter import Segmenter

from .conftest import Finished
from .stand_in import write_model


def run_benchmark(*arguments: object) -> Finished:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        common.execute(benchmark, "hyperseg-benchmark", [str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return Finished(ended.value.code, out.getvalue(), err.getvalue())


def distribution(name: str, ms: np.ndarray) -> Distribution:
    return Distribution(name, Protocol.UPLOAD_TO_DOWNLOAD, tuple(ms))


def test_statistics() -> None:
    one = distribution("m", np.arange(1.0, 102.0))
    assert (one.median, one.percentile(5), one.percentile(95), one.percentile(99)) == (51, 6, 96, 100)
    assert one.frames_per_second == pytest.approx(1000 / 51)
    assert one.noisy
    assert not distribution("m", np.full(10, 3.0)).noisy


def test_the_interval_holds_the_true_ratio() -> None:
    """Over 60 simulated comparisons, a 95 % interval misses the true ratio at most a few times."""
    rng = np.random.default_rng(0)
    missed = 0
    for seed in range(60):
        disturbance = rng.lognormal(0, 0.2, 50)
        first = distribution("a", 100 * disturbance * rng.lognormal(0, 0.02, 50))
        second = distribution("b", 80 * disturbance * rng.lognormal(0, 0.02, 50))
        (ratio,) = ratios([first, second], seed)
        assert ratio.low <= ratio.ratio <= ratio.high
        missed += not ratio.low <= 0.8 <= ratio.high
    assert missed <= 8


def test_models_take_turns(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def seconds(entry: Entry, protocol: Protocol, repetition: int) -> float:
        del protocol, repetition
        order.append(entry.name)
        return 0.001

    monkeypatch.setattr(Entry, "seconds", seconds)
    with Segmenter(model) as segmenter:
        images: list[Images] = []
        entries = [Entry(name, segmenter, images) for name in "ab"]
        measure(entries, Protocol.UPLOAD_TO_DOWNLOAD, 40, warm_up=2)
    assert order[:4] == ["a", "a", "b", "b"]
    rounds = [tuple(order[at : at + 2]) for at in range(4, len(order), 2)]
    assert set(rounds) == {("a", "b"), ("b", "a")}


def test_images_are_the_models_input(segmenter: Segmenter) -> None:
    images = natural_images(segmenter)
    assert all(image.shape == (1, 64, 96, 3) and image.dtype == np.uint8 for image in images)
    assert len({image.tobytes() for image in images}) == len(images)


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
    other = write_model(tmp_path / "<other>.onnx")
    report, output = tmp_path / "r.html", tmp_path / "r.json"
    done = run_benchmark(
        model, other, "--repetitions", 5, "--max-frames", 4, "--report", report, "-o", output, "--json"
    )
    assert done.code == 0, done
    record = json.loads(done.out)
    assert record == json.loads(output.read_text())
    assert {(one["model"], one["protocol"]) for one in record["results"]} == {
        (name, letter) for name in ("stand-in.onnx", "<other>.onnx") for letter in "AB"
    }
    assert all(len(one["ms"]) == 5 for one in record["results"])
    assert [one["protocol"] for one in record["ratios"]] == ["A", "B"]
    assert record["videos"][0]["frames"] == 4
    assert record["machine"]["versions"]["onnxruntime"]
    page = report.read_text()
    parsed = _Page()
    parsed.feed(page)
    assert not parsed.foreign
    assert not parsed.open
    assert "&lt;other&gt;.onnx" in page
    assert "<other>" not in page
    assert "prefers-color-scheme: dark" in page
    assert re.search("(?i)not measured here", page)
    assert not re.search(r"\bnan\b|\binf\b", page)
    run_benchmark(model, "--report", report).failed_with("exists", "--force")


def test_bad_usage(model: Path, tmp_path: Path) -> None:
    assert run_benchmark(model, "--protocol", "D").code == 2
    assert run_benchmark(model, "--profile", "--protocol", "A").code == 2
    assert run_benchmark(model, "--resolution", "64").code == 2
    run_benchmark(tmp_path / "missing.onnx").failed_with("does not exist")
    run_benchmark(model, "--video", tmp_path / "missing.mp4", "--protocol", "C").failed_with("does not exist")
    run_benchmark(model, "--report", tmp_path).failed_with("is a directory")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--report", "m.onnx"), "a model"),
        (("-o", "soft.json"), "a model"),
        (("--report", "m.onnx.json"), "a model's description"),
        (("--report", "r.html", "-o", "./r.html"), "both the report and the record"),
        (("--video", "clip.mp4", "-o", "clip.mp4"), "the clip"),
    ],
)
def test_reports_replace_no_input(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    content = {"m.onnx": model.read_bytes(), "m.onnx.json": b"{}", "clip.mp4": b"clip"}
    for name, data in content.items():
        Path(name).write_bytes(data)
    Path("soft.json").symlink_to("m.onnx")
    run_benchmark("m.onnx", "--force", *arguments).failed_with(message)
    assert {name: Path(name).read_bytes() for name in content} == content


def test_axis_ticks_are_round_and_inside() -> None:
    for low, high in ((0, 1), (0.08, 0.09), (12.3, 4711), (0, 160)):
        ticks = Scale(low, high, 0, 100).ticks()
        assert 3 <= len(ticks) <= 8
        assert all(low <= tick <= high + 1e-9 for tick in ticks)


def test_profile(model: Path) -> None:
    done = run_benchmark(model, "--profile", "--repetitions", 4, "--json")
    assert done.code == 0, done
    (profile,) = json.loads(done.out)
    assert profile["runs"] == 4
    assert {"Conv", "ArgMax"} <= {one["name"] for one in profile["operators"]}
    assert {"backbone", "decoder"} <= {one["name"] for one in profile["parts"]}
    for shares in (profile["operators"], profile["parts"]):
        assert sum(one["ms"] for one in shares) == pytest.approx(profile["total_ms"])
    assert "part of the network" in run_benchmark(model, "--profile", "--repetitions", 3).out


def test_parts_of_a_network() -> None:
    names = {"conv2d_3": "backbone.blocks.4.project.conv/Conv", "conv2d_9": "context_head.conv/Conv"}
    told = {
        "deployment/Transpose": "input and output",
        "conv2d_3_nchwc": "backbone",
        "ReorderOutput_token_7": "backbone",
        "backbone.blocks.5.activation/Mul/QuickGeluFusion/": "backbone",
        "conv2d_9_nchwc": "context head",
        "decoder/MatMul": "weight mappers",
    }
    run = [NodeRun(name, "Any", 1.0, None) for name in told]
    run += [
        NodeRun("decoder/DPWConv", "DPWConv", 1.0, 18),
        NodeRun("decoder/DPWInvertedResidual", "DPWInvertedResidual", 1.0, 36),
        NodeRun("deployment/UpsampleArgmax", "UpsampleArgmax", 1.0, None),
    ]
    assert parts_of(run, names) == [*told.values(), "decoder level 0", "decoder level 1", "upsampling and argmax"]


def test_events_are_cut_into_runs() -> None:
    def event(name: str, category: str = "Node") -> dict[str, object]:
        args = {"op_name": "Conv", "output_type_shape": [{"float": [1, 64, 18, 24]}]}
        return {"cat": category, "name": name, "dur": 1500, "args": args}

    events = [event("model_run", "Session"), event("a_kernel_time"), event("b_kernel_time"), event("a_fence_before")]
    runs = runs_of(events * 3)
    assert [[(node.name, node.ms, node.height) for node in run] for run in runs] == [
        [("a", 1.5, 18), ("b", 1.5, 18)]
    ] * 3
