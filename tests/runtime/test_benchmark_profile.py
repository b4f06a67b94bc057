"""hyperseg-benchmark --profile: operators and parts of a network, and the plots' axes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hyperseg_runtime.benchmark.plots import Scale, shortened
from hyperseg_runtime.benchmark.profile import NodeRun, Profile, parts_of, runs_of
from hyperseg_runtime.cli import benchmark_session, common

from .stand_in import write_model
from .test_benchmark import run_benchmark


def test_axis_ticks_are_round_and_inside() -> None:
    for low, high in ((0, 1), (0.08, 0.09), (12.3, 4711), (0, 160)):
        ticks = Scale(low, high, 0, 100).ticks()
        assert 3 <= len(ticks) <= 8
        assert all(low <= tick <= high + 1e-9 for tick in ticks)


def test_a_long_name_is_shortened_in_its_middle() -> None:
    assert shortened("m.onnx") == "m.onnx"
    short = shortened("folder/" * 30 + "m.onnx")
    assert len(short) == 80 and short.startswith("folder/") and short.endswith("m.onnx")


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


def test_the_profile_honours_its_options(model: Path, tmp_path: Path) -> None:
    dynamic, output = write_model(tmp_path / "d.onnx", dynamic=True), tmp_path / "p.json"
    options = ("--repetitions", 3, "--warm-up", 0, "--threads", 1, "--backend", "onnxruntime")
    done = run_benchmark(dynamic, "--profile", *options, "--resolution", "32x64", "-o", output)
    assert done.code == 0, done
    (profile,) = json.loads(output.read_text())
    assert (profile["runs"], profile["resolution"]) == (3, "32x64")
    assert "1 thread)" in profile["backend"] and "32x64" in done.out
    run_benchmark(dynamic, "--profile", "-o", output).failed_with("exists", "--force")
    run_benchmark(dynamic, "--profile", "-o", dynamic, "--force").failed_with("is a file of a model")
    run_benchmark(model, "--profile", "--resolution", "32x32").failed_with("stand-in.onnx", "is fixed to 64x96")


def test_the_profile_of_the_others_is_kept(model: Path, tmp_path: Path) -> None:
    engine = tmp_path / "m.engine"
    engine.write_bytes(b"plan")
    done = run_benchmark(engine, model, "--profile", "--repetitions", 3, "-o", tmp_path / "p.json")
    done.failed_with("m.engine is an engine")
    assert [one["model"] for one in json.loads((tmp_path / "p.json").read_text())] == ["stand-in.onnx"]


def test_an_interrupted_profile_keeps_those_before(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = benchmark_session.profile_model

    def interrupted(path: Path, name: str, **options: Any) -> Profile:
        if name == "stand-in.onnx (2)":
            raise KeyboardInterrupt
        return original(path, name, **options)

    monkeypatch.setattr(benchmark_session, "profile_model", interrupted)
    done = run_benchmark(model, model, "--profile", "--repetitions", 3, "-o", tmp_path / "p.json", "--json")
    assert done.code == common.INTERRUPTED
    (profile,) = json.loads((tmp_path / "p.json").read_text())
    assert json.loads(done.out) == [profile]


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
